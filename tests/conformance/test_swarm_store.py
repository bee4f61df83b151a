"""One suite for every place that swarms are kept in."""

import random

import pytest

from p2psync.wire.announce import SwarmCounts
from tests.interop.redis_server import redis_server_or_skip
from tracker.memory_swarms import MemorySwarms
from tracker.swarms import COMPANY, Change, Kept, PeerUpdate, Role

HASH, OTHER_HASH = b"h" * 20, b"o" * 20
LIFETIME_S = 100


@pytest.fixture(params=["memory", "redis"])
async def store(request, tmp_path):
    if request.param == "memory":
        yield MemorySwarms(random.Random(0))
        return
    server = redis_server_or_skip(tmp_path)
    from tracker.redis_swarms import RedisSwarms  # noqa: PLC0415 - an extra

    swarms = RedisSwarms(server.url, lifetime_s=LIFETIME_S)
    await swarms.tend(990.0)
    yield swarms
    swarms.close()
    server.stop()


@pytest.fixture(params=[6, 18], ids=["ipv4", "ipv6"])
def family(request):
    return request.param


def update(entry, *, role=Role.DOWNLOADER, change=Change.STAY, want=50, client=None, info_hash=HASH):
    return PeerUpdate(info_hash, entry, client or entry[-6:] * 4, role, change, want, LIFETIME_S)


def entry_of(number, family=6):
    return b"\x0a" + bytes(family - 6) + number.to_bytes(3, "big") + b"\x1a\xe1"


async def announce(store, *updates, now=1000.0):
    return await store.announce(updates, now)


def told(view, family=6):
    return {view.peers[i : i + family] for i in range(0, len(view.peers), family)}


async def counts_of(store, info_hash=HASH, now=1000.0):
    (counts,) = await store.scrape([info_hash], now)
    return counts


async def test_whoever_announced_is_told_to_the_next(store, family):
    first, second = entry_of(1, family), entry_of(2, family)
    (view,) = await announce(store, update(first))
    assert (view.peers, view.kept, view.counts) == (b"", Kept.YES, SwarmCounts(0, 0, 1, 1))
    (view,) = await announce(store, update(second))
    assert view.peers == first
    assert view.counts == SwarmCounts(0, 0, 2, 2)


async def test_nobody_is_told_of_itself(store, family):
    entries = [entry_of(number, family) for number in range(5)]
    await announce(store, *map(update, entries))
    for entry in entries:
        (view,) = await announce(store, update(entry))
        assert told(view, family) == set(entries) - {entry}


async def test_swarms_do_not_mix(store):
    await announce(store, update(entry_of(1)))
    (view,) = await announce(store, update(entry_of(2), info_hash=OTHER_HASH))
    assert view.peers == b""


async def test_families_do_not_mix(store):
    await announce(store, update(entry_of(1, 6)))
    (view,) = await announce(store, update(entry_of(2, 18)))
    assert view.peers == b""
    assert view.counts.incomplete == 2


async def test_a_batch_is_applied_in_order(store):
    views = await announce(store, update(entry_of(1)), update(entry_of(2)), update(entry_of(1), change=Change.LEAVE))
    assert [view.peers for view in views] == [b"", entry_of(1), b""]
    assert await counts_of(store) == SwarmCounts(0, 0, 1, 1)


async def test_an_empty_batch_is_nothing(store):
    assert await announce(store) == []
    assert await store.scrape([], 1000.0) == []


async def test_who_left_is_told_to_nobody(store, family):
    await announce(store, update(entry_of(1, family)), update(entry_of(2, family)))
    (view,) = await announce(store, update(entry_of(1, family), change=Change.LEAVE))
    assert (view.kept, view.peers) == (Kept.LEFT, b"")
    (view,) = await announce(store, update(entry_of(3, family)))
    assert told(view, family) == {entry_of(2, family)}
    assert view.counts.incomplete == 2


async def test_leaving_unannounced_is_no_fault_and_makes_no_swarm(store):
    (view,) = await announce(store, update(entry_of(1), change=Change.LEAVE))
    assert (view.kept, view.counts) == (Kept.LEFT, SwarmCounts())
    assert await counts_of(store) == SwarmCounts()


UPLOADERS = pytest.mark.parametrize("role", [Role.SEED, Role.PARTIAL_SEED])


@UPLOADERS
async def test_uploaders_alone_find_each_other(store, family, role):
    """A tracker that names no seeds to seeds never tells a follower that has all where the sharer lives now."""
    await announce(store, *(update(entry_of(number, family), role=Role.SEED) for number in range(3)))
    for _ in range(2):  # new, and known
        (view,) = await announce(store, update(entry_of(4, family), role=role))
        assert told(view, family) == {entry_of(number, family) for number in range(3)}


@UPLOADERS
@pytest.mark.parametrize("downloaders", [0, 1, 4, COMPANY - 1, COMPANY, COMPANY + 5])
@pytest.mark.parametrize("want", [1, 5, 50])
async def test_uploaders_are_told_of_downloaders_first_and_of_few_others(store, role, downloaders, want):
    downloading = {entry_of(number) for number in range(100, 100 + downloaders)}
    await announce(store, *(update(entry_of(number), role=Role.SEED) for number in range(30)))
    await announce(store, *map(update, downloading))
    for _ in range(20):  # sometimes it is among those chosen itself
        (view,) = await announce(store, update(entry_of(0), role=role, want=want))
        assert len(told(view) & downloading) == min(want, downloaders)
        others, fewest = len(told(view) - downloading - {entry_of(0)}), max(0, min(want, COMPANY) - downloaders)
        assert fewest <= others <= fewest + bool(fewest and want > COMPANY)  # one more if it was not chosen itself
        assert len(view.peers) == 6 * len(told(view))


async def test_partial_seeds_count_as_incomplete(store):
    await announce(store, update(entry_of(1), role=Role.SEED), update(entry_of(2)))
    (view,) = await announce(store, update(entry_of(3), role=Role.PARTIAL_SEED))
    assert view.counts[:3] == (1, 0, 2)
    assert await counts_of(store) == SwarmCounts(1, 0, 2, 1)
    (view,) = await announce(store, update(entry_of(4)))
    assert told(view) == {entry_of(1), entry_of(2), entry_of(3)}


async def test_a_downloader_becomes_a_seed_and_may_become_a_downloader_again(store):
    await announce(store, update(entry_of(1)), update(entry_of(2)))
    await announce(store, update(entry_of(1), role=Role.SEED, change=Change.COMPLETE))
    assert await counts_of(store) == SwarmCounts(1, 1, 1, 1)
    await announce(store, update(entry_of(1)))
    assert await counts_of(store) == SwarmCounts(0, 1, 2, 2)


async def test_completed_counts_once_however_often_it_is_said(store):
    seed = update(entry_of(1), role=Role.SEED)
    await announce(store, seed, seed, seed._replace(change=Change.COMPLETE), seed._replace(change=Change.COMPLETE))
    assert (await counts_of(store)).downloaded == 0  # it never downloaded while we watched
    await announce(store, update(entry_of(2)))
    done = update(entry_of(2), role=Role.SEED, change=Change.COMPLETE)
    await announce(store, done, done)
    assert (await counts_of(store)).downloaded == 1


async def test_completed_of_a_peer_not_seen_before_counts(store):
    await announce(store, update(entry_of(1), role=Role.SEED, change=Change.COMPLETE))
    assert (await counts_of(store)).downloaded == 1


async def test_one_client_at_two_addresses_counts_once(store):
    client = b"c" * 24
    four, six = update(entry_of(1, 6), client=client), update(entry_of(1, 18), client=client)
    views = await announce(store, four, six)
    assert [view.counts.incomplete for view in views] == [1, 1]
    done = {"role": Role.SEED, "change": Change.COMPLETE}
    views = await announce(store, four._replace(**done), six._replace(**done))
    assert views[-1].counts == SwarmCounts(1, 1, 0, 0)


async def test_peers_at_one_address_with_different_ports_are_different_peers(store):
    ports = [b"\x7f\0\0\1" + port.to_bytes(2, "big") for port in (5001, 5002, 5003)]
    await announce(store, *map(update, ports))
    (view,) = await announce(store, update(ports[0]))
    assert told(view) == set(ports[1:])


async def test_no_more_are_told_than_wanted(store):
    await announce(store, *(update(entry_of(number), role=Role(number % 2)) for number in range(100)))
    for want in (0, 1, 7, 50, 99, 200):
        for role in (Role.DOWNLOADER, Role.SEED):
            (view,) = await announce(store, update(entry_of(1000), role=role, want=want))
            assert len(told(view)) == len(view.peers) // 6 == min(want, 100 if role is Role.DOWNLOADER else 50)


async def test_a_downloader_is_told_of_both_kinds(store):
    await announce(store, *(update(entry_of(number), role=Role.SEED) for number in range(3)))
    await announce(store, *(update(entry_of(number)) for number in range(10, 150)))
    (view,) = await announce(store, update(entry_of(1000), want=20))
    assert {entry_of(0), entry_of(1), entry_of(2)} < told(view)
    assert len(told(view)) == 20


async def test_everybody_is_told_sooner_or_later(store):
    everybody = {entry_of(number) for number in range(400)}
    await announce(store, *map(update, everybody))
    seen = set()
    for _ in range(20):  # 2,000 choices of 20: to miss one of 400 is less likely than a fault of the hardware
        for view in await announce(store, *[update(entry_of(1000), want=20)] * 100):
            seen |= told(view)
    assert seen == everybody


async def test_silence_ends_a_peer_but_not_while_it_may_still_announce(store, family):
    await announce(store, update(entry_of(1, family)), update(entry_of(2, family)), now=1000.0)
    await announce(store, update(entry_of(2, family)), now=1055.0)
    await store.tend(1062.0)
    (view,) = await announce(store, update(entry_of(3, family)), now=1062.0)
    assert told(view, family) == {entry_of(1, family), entry_of(2, family)}
    await announce(store, update(entry_of(2, family)), now=1110.0)
    for now in (1110.0, 1121.0, 1132.0):
        await store.tend(now)
    (view,) = await announce(store, update(entry_of(3, family)), now=1132.0)
    assert told(view, family) == {entry_of(2, family)}
    assert view.counts.incomplete == 2


async def test_an_abandoned_swarm_is_forgotten(store):
    await announce(store, update(entry_of(1), role=Role.SEED, change=Change.COMPLETE))
    for now in (1100.0, 1120.0, 1140.0, 1160.0):
        await store.tend(now)
    counts = await counts_of(store, now=1160.0)
    assert (counts.complete, counts.incomplete) == (0, 0)


async def test_scrapes_are_answered_in_the_order_they_were_asked(store):
    await announce(store, update(entry_of(1), role=Role.SEED), update(entry_of(2), info_hash=OTHER_HASH))
    counts = await store.scrape([OTHER_HASH, b"u" * 20, HASH], 1000.0)
    assert counts == [SwarmCounts(0, 0, 1, 1), SwarmCounts(), SwarmCounts(1, 0, 0, 0)]


async def test_totals_tell_families_seeds_and_swarms(store):
    await announce(store, *(update(entry_of(number), role=Role(number % 2)) for number in range(10)))
    await announce(store, *(update(entry_of(number, 18), info_hash=OTHER_HASH) for number in range(3)))
    await store.tend(1010.0)
    totals = store.totals()
    assert (totals.swarms, totals.peers4, totals.peers6, totals.seeds, totals.peers) == (2, 10, 3, 5, 13)


async def test_the_busiest_swarm_comes_first(store):
    await announce(store, update(entry_of(1)), *(update(entry_of(n), info_hash=OTHER_HASH) for n in range(5)))
    await store.tend(1010.0)
    await store.tend(1025.0)
    busiest = await store.busiest(10, 1025.0)
    assert [(info_hash, counts.incomplete) for info_hash, counts in busiest] == [(OTHER_HASH, 5), (HASH, 1)]
    assert len(await store.busiest(1, 1025.0)) == 1
