"""What swarms in memory promise beyond the conformance suite: limits, who may leave, housekeeping in small steps."""

import random
import tracemalloc

import pytest

from p2psync.wire.announce import SwarmCounts
from tracker.memory_swarms import MemorySwarms, StoreLimits
from tracker.swarms import Change, Kept, PeerUpdate, Role

HASH = b"h" * 20


def entry_of(number, prefix=b"\x0a"):
    return prefix + number.to_bytes(3, "big") + b"\x1a\xe1"


def update(entry, *, client=b"", role=Role.DOWNLOADER, change=Change.STAY, **fields):
    return PeerUpdate(HASH, entry, client or entry[-6:] * 4, role, change, 50, 100)._replace(**fields)


def make(**limits):
    return MemorySwarms(random.Random(0), StoreLimits(**limits))


async def test_one_swarm_too_many_is_refused_and_known_ones_go_on():
    store = make(swarms=1)
    await store.announce([update(entry_of(1))], 0)
    (view,) = await store.announce([update(entry_of(2), info_hash=b"o" * 20)], 0)
    assert (view.kept, view.peers) == (Kept.SWARMS_FULL, b"")
    (view,) = await store.announce([update(entry_of(2))], 0)
    assert (view.kept, view.peers) == (Kept.YES, entry_of(1))


async def test_one_peer_too_many_is_answered_but_told_to_nobody_and_known_ones_go_on():
    store = make(peers=2)
    await store.announce([update(entry_of(1)), update(entry_of(2))], 0)
    (view,) = await store.announce([update(entry_of(3))], 0)
    assert view.kept is Kept.PEERS_FULL
    assert {view.peers[:6], view.peers[6:]} == {entry_of(1), entry_of(2)}
    (view,) = await store.announce([update(entry_of(1))], 0)
    assert (view.kept, view.peers, view.counts.incomplete) == (Kept.YES, entry_of(2), 2)


async def test_room_that_is_left_is_given_to_others():
    store = make(peers=1, swarms=1)
    await store.announce([update(entry_of(1)), update(entry_of(1), change=Change.LEAVE)], 0)
    (view,) = await store.announce([update(entry_of(2))], 0)
    assert view.kept is Kept.YES


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        (b"\x08\x08\x08\x08", 4),  # public
        (b"\x0a\x08\x08\x08", 40),  # private: a gateway may stand for a whole network
        (b"\x7f\0\0\1", 40),
        (bytes.fromhex("20010db800000001") + b"\x77" * 8, 9),
        (bytes.fromhex("fd000db800000001") + b"\x77" * 8, 40),
    ],
)
async def test_one_public_address_lists_so_many_ports_and_no_more(address, allowed):
    store = make(peers_per_address=4, peers_per_prefix6=9)
    views = await store.announce([update(address + port.to_bytes(2, "big")) for port in range(1, 41)], 0)
    assert [view.kept for view in views] == [Kept.YES] * allowed + [Kept.ADDRESS_FULL] * (40 - allowed)
    assert views[-1].counts.incomplete == allowed


async def test_addresses_of_one_ipv6_customer_count_together():
    store = make(peers_per_prefix6=3)
    prefix = bytes.fromhex("20010db800000001")
    entries = [prefix + bytes(7) + bytes([host]) + b"\0\1" for host in range(5)]
    views = await store.announce([update(entry) for entry in entries], 0)
    assert [view.kept for view in views].count(Kept.YES) == 3
    (view,) = await store.announce([update(b"\x20" + entries[0][1:7] + b"\x02" + entries[0][8:])], 0)
    assert view.kept is Kept.YES


async def test_only_the_client_itself_may_leave():
    store = make()
    await store.announce([update(entry_of(1), client=b"a" * 24)], 0)
    for stranger in (b"a" * 20 + b"keyx", b"b" * 24):  # it knows the peer id, which is public, but not the key
        (view,) = await store.announce([update(entry_of(1), client=stranger, change=Change.LEAVE)], 0)
        assert view.counts.incomplete == 1
    (view,) = await store.announce([update(entry_of(1), client=b"a" * 24, change=Change.LEAVE)], 0)
    assert view.counts.incomplete == 0


async def test_a_client_started_anew_takes_over_its_address():
    store = make()
    await store.announce([update(entry_of(1), client=b"a" * 24)], 0)
    (view,) = await store.announce([update(entry_of(1), client=b"b" * 24)], 0)
    assert view.counts.incomplete == 1
    (view,) = await store.announce([update(entry_of(1), client=b"b" * 24, change=Change.LEAVE)], 0)
    assert view.counts.incomplete == 0


async def test_a_client_counts_as_long_as_one_of_its_addresses_is_known():
    store, client = make(), b"c" * 24
    six = bytes(10) + b"\xfe" * 6 + b"\0\1"
    await store.announce([update(entry_of(1), client=client), update(six, client=client)], 0)
    (view,) = await store.announce([update(entry_of(1), client=client, change=Change.LEAVE)], 0)
    assert view.counts == SwarmCounts(0, 0, 1, 1)
    (view,) = await store.announce([update(six, client=client, change=Change.LEAVE)], 0)
    assert view.counts == SwarmCounts()


async def test_peer_ids_come_in_the_order_of_their_entries():
    store = make()
    await store.announce([update(entry_of(n), client=bytes([n]) * 24, role=Role(n % 2)) for n in range(1, 90)], 0)
    (view,) = await store.announce([update(entry_of(1), client=b"\1" * 24, with_ids=True)], 0)
    entries = [view.peers[i : i + 6] for i in range(0, len(view.peers), 6)]
    ids = [view.peer_ids[i : i + 20] for i in range(0, len(view.peer_ids), 20)]
    assert len(entries) == len(ids) == 50
    assert [entry_of(peer_id[0]) for peer_id in ids] == entries
    assert entry_of(1) not in entries


async def test_housekeeping_takes_small_steps_and_reaches_everything():
    store = make()
    for number in range(60):
        entries = [entry_of(number * 1000 + peer) for peer in range(1000)]
        await store.announce([update(entry, info_hash=bytes([number]) * 20) for entry in entries], 0)
    assert store.totals().peers == 60_000
    left = []
    for _ in range(10):
        await store.tend(101)
        left.append(store.totals().peers)
    assert left[0] >= 30_000  # one step is not all
    assert left[-1] == 0
    assert store.totals().swarms == 0


async def test_a_swarm_that_shrinks_gives_its_memory_back():
    store = make()
    await store.announce([update(entry_of(number)) for number in range(10_000)], 0)
    await store.announce([update(entry_of(1), lifetime_s=1000)], 0)
    ((_, swarm),) = store.swarms()
    assert len(swarm.table4.buckets) > 30
    for _ in range(5):
        await store.tend(101)
        await store.tend(112)
    assert (len(swarm), len(swarm.table4.buckets)) == (1, 1)


async def test_expiry_leaves_counts_right_whatever_is_mixed():
    store, rng = make(), random.Random(1)
    for _ in range(3000):
        change = rng.choice((Change.STAY, Change.STAY, Change.COMPLETE))
        role = rng.choice(list(Role)) if change is Change.STAY else Role.SEED
        client = rng.randrange(1500).to_bytes(24, "big")
        entry = entry_of(rng.randrange(2000), rng.choice((b"\x0a", b"\x08")))
        await store.announce(
            [update(entry, client=client, role=role, change=change, lifetime_s=rng.randrange(50, 150))], 0
        )
    for now in (60, 80, 100, 120, 140):
        for _ in range(4):
            await store.tend(now)
        (counts,) = await store.scrape([HASH], now)
        assert 0 <= counts.downloaders <= counts.incomplete <= store.totals().peers
        assert counts.complete + counts.incomplete <= store.totals().peers
        assert (counts.complete + counts.incomplete == 0) is (store.totals().peers == 0)
    for _ in range(4):
        await store.tend(160)
    assert store.totals() == (0, 0, 0, 0)


async def test_a_peer_costs_less_than_a_hundred_bytes():
    store = make()
    tracemalloc.start()
    for number in range(20):
        await store.announce([update(entry_of(n), info_hash=bytes([number]) * 20) for n in range(1000)], 0)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / 20_000 < 100
