"""Swarms larger than what one host may be linked with."""

import trio

from p2psync.swarm.neighbours import IDLE_S, KEPT_LINKS, MESH_PEERS, SPARE_LINKS, WANTED_LINKS
from p2psync.swarm.statistics import LinkUp
from tests.sim.hosts import SimPeer, all_get, make_folder, running
from tests.sim.net import Net

FOLDER = make_folder([64 << 10] * 16)
LARGE = 2 * MESH_PEERS


def swarm_of(count: int, net: Net) -> list[SimPeer]:
    peers = [SimPeer(net, f"10.0.{n >> 8}.{n & 255}", FOLDER) for n in range(1, count + 1)]
    peers[0].share()
    return peers


def links_of(peer: SimPeer) -> int:
    return len(peer.swarm.statistics().links)


async def test_up_to_thirty_hosts_are_all_linked_with_each_other(autojump_clock):
    peers = swarm_of(MESH_PEERS - 5, Net())
    async with running(*peers):
        await trio.sleep(8)
        assert {links_of(peer) for peer in peers} == {len(peers) - 1}


async def test_more_hosts_have_a_few_links_each_and_everybody_gets_everything(autojump_clock):
    _sharer, *getters = peers = swarm_of(LARGE, Net())
    async with running(*peers) as nursery:
        nursery.start_soon(lambda: all_get(*getters, within_s=60))
        await trio.sleep(20)
        assert all(getter.took_s < 20 for getter in getters)
        counts = sorted(links_of(peer) for peer in getters)
        assert counts[0] >= WANTED_LINKS // 2
        assert counts[-1] <= KEPT_LINKS + SPARE_LINKS


async def links_made(peers: list[SimPeer], within_s: float) -> int:
    """Return how many ends of links come up while nothing happens, once all have found each other."""
    await trio.sleep(40)
    before = sum(isinstance(event, LinkUp) for peer in peers for event in peer.events)
    await trio.sleep(within_s)
    return sum(isinstance(event, LinkUp) for peer in peers for event in peer.events) - before


async def test_where_all_have_everything_nobody_dials_any_more(autojump_clock):
    _sharer, *getters = peers = swarm_of(LARGE, Net())
    async with running(*peers) as nursery:
        nursery.start_soon(lambda: all_get(*getters, within_s=60))
        assert await links_made(peers, 60) < LARGE / 10


async def test_where_nobody_can_give_anything_each_looks_for_others_now_and_then(autojump_clock):
    peers = swarm_of(LARGE, Net())
    async with running(*peers):
        searches_ends = 2 * 2 * LARGE
        assert 0 < await links_made(peers, 2 * IDLE_S) <= 1.5 * searches_ends  # some replace what others give up


async def test_who_knows_a_full_host_alone_is_told_of_others_and_gets_everything(autojump_clock):
    net = Net()
    *peers, late = swarm_of(LARGE, net)
    _sharer, full, *rest = peers
    async with running(*peers) as nursery:
        nursery.start_soon(lambda: all_get(full, *rest, within_s=60))
        await trio.sleep(20)
        await nursery.start(late.run)
        late.swarm.add_addresses([full.address])
        await all_get(late, within_s=10)
        await trio.sleep(20)
        assert links_of(late) >= WANTED_LINKS // 2
