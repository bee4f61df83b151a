"""Swarms of honest peers end complete, without sending anything twice."""

import pytest
import trio

from p2psync.errors import StoreError
from p2psync.ids import PeerAddress
from p2psync.manifest.head import Standing
from p2psync.store.memory import MemoryStore
from tests.sim.hosts import SimPeer, all_get, make_folder, running
from tests.sim.net import Net

MIB = 1 << 20


@pytest.fixture
def net() -> Net:
    return Net()


async def test_one_getter_gets_everything_from_one_seed(autojump_clock, net):
    folder = make_folder([18_000] * 300 + [MIB, 3 * MIB + 5, 4 * MIB, 1, 70_000])
    seed, getter = SimPeer(net, "seed", folder), SimPeer(net, "getter", folder)
    seed.share()
    async with running(seed, getter):
        await all_get(getter, within_s=30)
    assert seed.swarm.statistics().uploaded_bytes == sum(map(len, folder.blocks.values()))
    assert getter.memory.rewritten == 0


@pytest.mark.parametrize(("repeated", "bound"), [(1, 1.03), (64, 0.5)])
async def test_a_slow_link_carries_what_shrinks_in_less_time_and_the_rest_in_no_more(
    autojump_clock, net, repeated, bound
):
    folder = make_folder([256 << 10] * 64, repeated=repeated)
    rate = 2 * MIB
    seed, getter = SimPeer(net, "seed", folder, rate=rate), SimPeer(net, "getter", folder, rate=rate)
    seed.share()
    async with running(seed, getter):
        await all_get(getter)
    assert getter.took_s < bound * folder.size_bytes / rate
    assert getter.memory.rewritten == 0


@pytest.mark.parametrize(("getters", "shared"), [(1, False), (2, True)])
async def test_only_links_that_are_not_alone_make_way_for_each_other(autojump_clock, net, getters, shared):
    folder = make_folder([256 << 10] * 8)
    peers = [SimPeer(net, f"peer {n}", folder, rate=MIB) for n in range(1 + getters)]
    peers[0].share()
    async with running(*peers):
        await all_get(*peers[1:])
        streams = [stream for peer in peers for stream in peer.host.streams]
        assert len(streams) == getters * (getters + 1)
        assert [stream.shares_line for stream in streams] == [shared] * len(streams)


@pytest.mark.parametrize("getters", [2, 4, 8])
async def test_every_getter_serves_the_others(autojump_clock, net, getters):
    folder = make_folder([256 << 10] * 128)
    rate = 10 * MIB
    seed = SimPeer(net, "seed", folder, rate=rate)
    others = [SimPeer(net, f"getter {n}", folder, rate=rate) for n in range(getters)]
    seed.share()
    async with running(seed, *others):
        await all_get(*others)
    uploaded = seed.swarm.statistics().uploaded_bytes / folder.size_bytes
    took = max(peer.took_s for peer in others) * rate / folder.size_bytes
    print(f"{getters} getters: seed uploaded {uploaded:.2f} copies, last one done after {took:.2f} F")
    assert uploaded < 1.05
    assert took < 1.15
    assert sum(peer.memory.rewritten for peer in others) <= len(folder.blocks) * 0.02 * getters


async def test_the_others_complete_when_the_seed_leaves_after_its_first_copy(autojump_clock, net):
    folder = make_folder([256 << 10] * 96)
    rate = 10 * MIB
    seed = SimPeer(net, "seed", folder, rate=rate)
    others = [SimPeer(net, f"getter {n}", folder, rate=rate) for n in range(4)]
    seed.share()

    async def leave_when_all_is_out() -> None:
        while set().union(*(peer.memory.ids() for peer in others)) != set(folder.blocks):  # noqa: ASYNC110 - virtual time
            await trio.sleep(0.05)
        seed.leave()

    async with running(seed, *others) as nursery:
        nursery.start_soon(leave_when_all_is_out)
        await all_get(*others, within_s=30)
        assert seed.scope.cancelled_caught


async def test_what_was_sent_to_one_that_vanishes_is_soon_sent_to_another(autojump_clock, net):
    folder = make_folder([256 << 10] * 32)
    rate = 10 * MIB
    seed, gone, getter = (SimPeer(net, name, folder, rate=rate) for name in ("seed", "gone", "getter"))
    seed.share()

    async def leave_when_all_is_out() -> None:
        while gone.memory.ids() | getter.memory.ids() != set(folder.blocks):  # noqa: ASYNC110 - virtual time
            await trio.sleep(0.005)
        gone.leave()

    async with running(seed, gone, getter) as nursery:
        nursery.start_soon(leave_when_all_is_out)
        nursery.start_soon(gone.get)
        await all_get(getter, within_s=30)
        assert gone.scope.cancelled_caught
    assert getter.took_s < folder.size_bytes / rate + 1.5


async def test_a_network_cut_for_a_minute_is_found_again_within_seconds(autojump_clock, net):
    folder = make_folder([256 << 10] * 64)
    seed, getter = SimPeer(net, "seed", folder, rate=2 * MIB), SimPeer(net, "getter", folder)
    seed.share()
    async with running(seed, getter) as nursery:
        nursery.start_soon(getter.get)
        await trio.sleep(3)
        held = len(getter.memory)
        net.cut(seed.host)
        await trio.sleep(60)
        assert not getter.swarm.statistics().links
        net.heal(seed.host)
        await trio.sleep(16)
        assert len(getter.memory) > held
        await trio.sleep(10)
    assert getter.took_s < 60 + 3 + 8 + 16
    assert getter.memory.rewritten == 0


async def test_a_seed_that_returns_is_found_again_within_seconds(autojump_clock, net):
    folder = make_folder([256 << 10] * 64)
    seed, getter = SimPeer(net, "seed", folder, rate=2 * MIB), SimPeer(net, "getter", folder)
    seed.share()
    again = SimPeer(net, "seed", folder)
    again.share()
    async with running(seed, getter) as nursery:
        nursery.start_soon(getter.get)
        await trio.sleep(3)
        seed.leave()
        await trio.sleep(60)
        await nursery.start(again.run)
        await trio.sleep(16)
    assert getter.took_s < 80
    assert getter.memory.rewritten == 0


async def test_a_sharer_that_was_away_for_long_is_found_about_a_minute_after_its_return(autojump_clock, net):
    folder = make_folder([1000])
    seed, getter, again = (SimPeer(net, name, folder) for name in ("seed", "getter", "seed"))
    for sharer in (seed, again):
        sharer.share()
    async with trio.open_nursery() as nursery:
        await nursery.start(seed.run)
        await nursery.start(getter.run)
        getter.swarm.add_addresses([seed.address])
        await all_get(getter)
        seed.leave()
        await trio.sleep(3600)
        await nursery.start(again.run)
        await trio.sleep(76)
        assert [link.device for link in getter.swarm.statistics().links] == [seed.host.device]
        nursery.cancel_scope.cancel()


async def test_hosts_that_have_gone_for_good_are_not_dialled_without_end(autojump_clock, net):
    peer = SimPeer(net, "peer", make_folder([1000]))
    async with running(peer):
        peer.swarm.add_addresses([PeerAddress("gone", number) for number in range(1, 101)])
        await trio.sleep(1800)
        assert min(address.failures for address in peer.swarm.statistics().addresses) < 20
        await trio.sleep(6 * 3600)
        assert not peer.swarm.statistics().addresses


async def test_peers_that_dial_each_other_keep_one_link(autojump_clock, net):
    folder = make_folder([1000])
    peers = [SimPeer(net, f"peer {n}", folder) for n in range(4)]
    async with running(*peers):
        await trio.sleep(30)
        for peer in peers:
            devices = [link.device for link in peer.swarm.statistics().links]
            assert sorted(devices) == sorted(other.host.device for other in peers if other is not peer)


async def test_a_peer_that_dials_itself_forgets_the_address(autojump_clock, net):
    peer = SimPeer(net, "peer", make_folder([1000]))
    async with running(peer):
        peer.swarm.add_addresses([peer.address])
        await trio.sleep(5)
        assert not peer.swarm.statistics().addresses
        assert not peer.swarm.statistics().links


async def test_a_newer_head_reaches_everybody(autojump_clock, net):
    old, new = make_folder([1000] * 10), make_folder([1000] * 20, seq=2, seed=2)
    seed, getter = SimPeer(net, "seed", old), SimPeer(net, "getter", old)
    seed.share()
    async with running(seed, getter):
        await all_get(getter, within_s=5)
        seed.folder = getter.folder = new
        seed.share()
        await all_get(getter, within_s=5)


async def test_an_older_head_is_told_of_and_not_followed(autojump_clock, net):
    seed, getter = SimPeer(net, "seed", make_folder([1000])), SimPeer(net, "getter", make_folder([1000], seq=7))
    seed.share()
    getter.seen_seq = 7
    async with running(seed, getter):
        with trio.move_on_after(20) as scope:
            await getter.swarm.next_head()
        assert scope.cancelled_caught
        assert [link.standing for link in getter.swarm.statistics().links] == [Standing.OLDER]


async def test_a_fetch_that_is_cancelled_leaves_nothing_behind(autojump_clock, net):
    folder = make_folder([256 << 10] * 64)
    seed, getter = SimPeer(net, "seed", folder, rate=2 * MIB), SimPeer(net, "getter", folder)
    seed.share()
    async with running(seed, getter):
        with trio.move_on_after(2):
            await getter.get()
        await trio.sleep(5)
        assert [link.in_flight_bytes for link in getter.swarm.statistics().links] == [0]
        await getter.get_blocks()
    assert getter.memory.rewritten <= 16


class FullStore(MemoryStore):
    """A disk that is full after some blocks."""

    def write(self, blocks):
        if len(self) > 10:
            raise StoreError("the disk is full", transient=True)
        return super().write(blocks)


async def test_a_full_disk_is_told_to_the_caller(autojump_clock, net):
    folder = make_folder([256 << 10] * 64)
    seed, getter = SimPeer(net, "seed", folder), SimPeer(net, "getter", folder, store=FullStore())
    seed.share()
    async with running(seed, getter):
        with pytest.raises(StoreError), trio.fail_after(5):
            await getter.get()
