"""Peers tell each other of peers; who lies about it hides nobody."""

import bencodepy
import pytest
import trio

from p2psync.ids import PeerAddress
from tests.sim.hosts import ScriptedHost, SimPeer, all_get, make_folder, running
from tests.sim.net import Host, Net
from tests.sim.raw_peer import HELLO

PEERS = 13
FOLDER = make_folder([256 << 10] * 16)


def packed(addresses):
    return b"".join(bytes(map(int, host.split("."))) + port.to_bytes(2, "big") for host, port in addresses)


def flood(addresses_of, *, every_s):
    """Tell of the addresses of message 0, 1, 2 … until hung up on."""

    async def script(raw):
        await raw.hello(features=[b"peers"])
        await raw.read_until(HELLO)
        number = 0
        while True:
            await raw.send(PEERS, bencodepy.encode({b"v4": packed(addresses_of(number))}))
            number += 1
            await trio.sleep(every_s)

    return script


async def start(nursery, *peers):
    for peer in peers:
        await nursery.start(peer.run)


def linked(peer):
    return {link.address.host for link in peer.swarm.statistics().links}


async def test_getters_that_know_the_sharer_alone_find_each_other_within_two_seconds(autojump_clock):
    net = Net()
    sharer, *getters = (SimPeer(net, f"10.0.0.{n}", FOLDER) for n in range(1, 6))
    sharer.share()
    async with trio.open_nursery() as nursery:
        await start(nursery, sharer, *getters)
        for getter in getters:
            getter.swarm.add_addresses([sharer.address])
        await trio.sleep(2)
        for getter in getters:
            assert linked(getter) == {peer.address.host for peer in (sharer, *getters)} - {getter.address.host}
        nursery.cancel_scope.cancel()


async def test_a_newcomer_gets_from_the_others_when_the_sharer_it_knew_is_gone(autojump_clock):
    net = Net()
    sharer, first, second = (SimPeer(net, f"10.0.0.{n}", FOLDER) for n in (1, 2, 3))
    sharer.share()
    async with trio.open_nursery() as nursery:
        await start(nursery, sharer, first, second)
        first.swarm.add_addresses([sharer.address])
        await all_get(first)
        second.swarm.add_addresses([sharer.address])
        await trio.sleep(1)
        sharer.leave()
        await all_get(second, within_s=20)
        nursery.cancel_scope.cancel()


async def test_dead_addresses_that_a_peer_invents_hide_no_good_one(autojump_clock):
    net = Net()
    silent = Host("silent")
    net.cut(silent)
    dead = [PeerAddress(f"10.{n >> 8}.{n & 255}.9", 1) for n in range(3000)]
    for address in dead:
        net.listen(silent, address)  # it takes connections and answers none: the slowest way to fail
    liar = ScriptedHost(net, "10.66.0.1", flood(lambda n: dead[n * 50 % 3000 :][:50], every_s=2.1))
    getter, sharer = SimPeer(net, "10.0.0.1", FOLDER), SimPeer(net, "10.0.0.2", FOLDER)
    sharer.share()
    async with trio.open_nursery() as nursery:
        await start(nursery, liar, getter, sharer)
        getter.swarm.add_addresses([liar.address])
        await trio.sleep(120)
        assert len(getter.swarm.statistics().addresses) <= 201
        getter.swarm.add_addresses([sharer.address])
        await all_get(getter, within_s=5)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "said",
    [
        {b"v4": bytes(6)},
        {b"v4": b"12345"},
        {b"v6": bytes(17)},
        {},
        {b"v4": packed([(f"10.0.0.{n}", 5) for n in range(51)])},
    ],
)
async def test_a_message_that_breaks_a_rule_ends_the_link(autojump_clock, said):
    net = Net()

    async def script(raw):
        await raw.hello(features=[b"peers"])
        await raw.read_until(HELLO)
        await raw.send(PEERS, bencodepy.encode(said))
        await trio.sleep(5)

    liar, getter = ScriptedHost(net, "10.66.0.1", script), SimPeer(net, "10.0.0.1", FOLDER)
    async with running(liar, getter):
        await trio.sleep(4)
        assert linked(getter) == set()
        assert not getter.swarm.statistics().bans


async def test_who_tells_too_often_is_hung_up_on(autojump_clock):
    net = Net()
    liar = ScriptedHost(net, "10.66.0.1", flood(lambda n: [(f"10.1.{n % 250}.1", 5)], every_s=0.1))
    getter = SimPeer(net, "10.0.0.1", FOLDER)
    async with running(liar, getter):
        await trio.sleep(3)
        (address,) = [each for each in getter.swarm.statistics().addresses if each.address == liar.address]
        assert "too often" in address.last_failure


async def test_peers_that_do_not_read_it_are_told_nothing(autojump_clock):
    net, heard = Net(), []

    async def script(raw):
        await raw.hello()
        while (frame := await raw.read()) is not None:
            heard.append(frame[0])

    old, sharer, other = (
        ScriptedHost(net, "10.66.0.1", script),
        *(SimPeer(net, f"10.0.0.{n}", FOLDER) for n in (1, 2)),
    )
    sharer.share()
    async with running(old, sharer, other):
        await trio.sleep(20)
    assert HELLO in heard
    assert PEERS not in heard
