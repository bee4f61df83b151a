"""Limits in swarms: met under virtual time, fair among links, and no obstacle to control messages."""

import pytest
import trio

from p2psync.swarm.limiter import Rates
from tests.sim.hosts import SimPeer, all_get, make_folder, running
from tests.sim.net import Net

MIB = 1 << 20


@pytest.mark.parametrize(
    ("sharer", "getter", "rate"),
    [
        (Rates(up=100e3), Rates(), 100e3),
        (Rates(), Rates(down=100e3), 100e3),
        (Rates(up=500e6), Rates(down=400e6), 400e6),
        (Rates(peer_up=1e6), Rates(), 1e6),
        (Rates(), Rates(peer_down=1e6), 1e6),
    ],
)
async def test_the_lowest_limit_is_met(autojump_clock, sharer, getter, rate):
    net, folder = Net(), make_folder([MIB] * (160 if rate > 1e8 else 16))
    one, other = SimPeer(net, "one", folder, limits=sharer), SimPeer(net, "other", folder, limits=getter)
    one.share()
    async with running(one, other):
        await all_get(other)
    assert folder.size_bytes / other.took_s == pytest.approx(rate, rel=0.04)


async def test_what_is_sent_is_shared_alike_among_getters(autojump_clock):
    net, folder = Net(), make_folder([64 << 10] * 200)
    sharer = SimPeer(net, "sharer", folder, limits=Rates(up=500e3))
    getters = [SimPeer(net, f"getter {n}", folder) for n in range(4)]
    sharer.share()
    async with trio.open_nursery() as nursery:
        for peer in (sharer, *getters):
            await nursery.start(peer.run)
        for getter in getters:  # they do not know each other
            getter.swarm.add_addresses([sharer.address])
            nursery.start_soon(getter.get)
        await trio.sleep(20)
        got = [sum(link.received_bytes for link in getter.swarm.statistics().links) for getter in getters]
        nursery.cancel_scope.cancel()
    assert sum(got) == pytest.approx(10e6, rel=0.05)
    assert min(got) > 0.85 * max(got)


async def test_a_control_message_does_not_wait_for_the_limit(autojump_clock):
    net, folder = Net(), make_folder([4 * MIB] * 2)
    sharer, getter = SimPeer(net, "sharer", folder, limits=Rates(up=20e3)), SimPeer(net, "getter", folder)
    sharer.share()
    async with running(sharer, getter) as nursery:
        nursery.start_soon(getter.get)
        await trio.sleep(30)
        assert getter.swarm.statistics().links[0].in_flight_bytes > MIB
        newer = make_folder([5], seq=2)
        sharer.swarm.publish(newer.head, newer.root, complete=True)
        with trio.fail_after(0.1):
            assert await getter.swarm.next_head() == newer.head


async def test_a_limit_that_is_lifted_lets_go_of_who_waits(autojump_clock):
    net, folder = Net(), make_folder([4 * MIB] * 2)
    sharer, getter = SimPeer(net, "sharer", folder, limits=Rates(up=10e3)), SimPeer(net, "getter", folder)
    sharer.share()
    async with running(sharer, getter) as nursery:
        nursery.start_soon(getter.get)
        await trio.sleep(20)
        sharer.limits.set(Rates())
        await trio.sleep(2)
        assert getter.took_s < 22


async def test_silence_because_of_our_own_limit_is_nobodys_fault(autojump_clock):
    net, folder = Net(), make_folder([256 << 10] * 32)
    seeds = [SimPeer(net, f"seed {n}", folder) for n in range(8)]
    getter = SimPeer(net, "getter", folder, limits=Rates(down=10e3))
    for seed in seeds:
        seed.share()
    async with running(getter, *seeds) as nursery:
        nursery.start_soon(getter.get)
        await trio.sleep(120)
        assert len(getter.swarm.statistics().links) == 8
        assert not any(link.snubbed for link in getter.swarm.statistics().links)
        assert getter.swarm.statistics().wasted_bytes == 0
