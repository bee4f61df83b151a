import ipaddress
import random

import pytest

from p2psync.wire.announce import UNKNOWN_LEFT, Announce, Event
from tracker.access import Access, Mode
from tracker.memory_swarms import MemorySwarms, StoreLimits
from tracker.service import Answer, Outcome, Policy, Refusal, TrackerService
from tracker.swarms import StoreUnavailableError, Totals

HASH = b"h" * 20
PLAIN = Policy(jitter=0.0)


def make(policy=PLAIN, *, access=None, limits=None):
    store = MemorySwarms(random.Random(0), limits)
    return TrackerService(store, policy, random.Random(0), access)


def ip(text):
    return ipaddress.ip_address(text).packed


def asked(number=1, **fields):
    return Announce(HASH, b"%020d" % number, 7000 + number)._replace(**{"left": 5, **fields})


async def announce(service, *announces, source="127.0.0.1", now=0.0):
    return await service.announce([(ip(source), item) for item in announces], now)


# --- who is answered ---


async def test_an_open_tracker_serves_everybody():
    (answer,) = await announce(make(), asked())
    assert isinstance(answer, Answer)
    assert answer.outcome is Outcome.OK


@pytest.mark.parametrize(
    ("mode", "listed", "served"),
    [("allow", True, True), ("allow", False, False), ("deny", True, False), ("deny", False, True)],
)
async def test_lists_allow_or_deny(mode, listed, served):
    access = Access(Mode(mode), frozenset({HASH} if listed else {b"o" * 20}))
    service = make(access=access)
    (result,) = await announce(service, asked())
    assert isinstance(result, Answer) is served
    assert (HASH in await service.scrape([HASH], 0.0)) is served
    if not served:
        assert (result.outcome, result.retry_in_min) == (Outcome.DENIED, None)


async def test_one_address_may_not_ask_without_end_and_others_do_not_suffer():
    service = make(Policy(rate_per_s=1, burst=3))
    results = await announce(service, *map(asked, range(5)), source="8.8.8.8")
    assert [isinstance(result, Answer) for result in results] == [True, True, True, False, False]
    assert results[-1].outcome is Outcome.RATE_LIMITED
    (result,) = await announce(service, asked(), source="8.8.4.4")
    assert isinstance(result, Answer)
    results = await announce(service, asked(), asked(), source="8.8.8.8", now=1.01)
    assert [isinstance(result, Answer) for result in results] == [True, False]


async def test_an_ipv6_customer_is_limited_by_his_64():
    service = make(Policy(rate_per_s=1, burst=2))
    for host, served in (
        ("2001:db8::1", True),
        ("2001:db8::2", True),
        ("2001:db8::3", False),
        ("2001:db8:0:1::", True),
    ):
        (result,) = await announce(service, asked(), source=host)
        assert isinstance(result, Answer) is served


async def test_this_machine_is_not_limited():
    service = make(Policy(rate_per_s=1, burst=1))
    results = await announce(service, *map(asked, range(20)))
    assert all(isinstance(result, Answer) for result in results)


async def test_a_full_tracker_says_when_to_come_again():
    service = make(limits=StoreLimits(swarms=1))
    results = await announce(service, asked(), asked(info_hash=b"o" * 20))
    assert isinstance(results[0], Answer)
    assert (results[1].outcome, results[1].retry_in_min) == (Outcome.FULL, 30)


async def test_a_peer_that_is_not_kept_is_warned_and_gets_its_peers():
    service = make(limits=StoreLimits(peers=1))
    results = await announce(service, asked(1), asked(2))
    assert results[1].outcome is Outcome.NOT_KEPT
    assert "not tell others" in results[1].warning
    assert len(results[1].view.peers) == 6


async def test_port_0_is_refused_and_port_1_is_not():
    results = await announce(make(), asked(port=0), asked(port=1))
    assert results[0].outcome is Outcome.MALFORMED
    assert isinstance(results[1], Answer)


class AwayStore:
    async def announce(self, updates, now):
        raise StoreUnavailableError

    def totals(self):
        return Totals()


async def test_a_store_that_is_away_is_a_short_break_and_refusals_stay_refusals():
    access = Access(Mode.DENY, frozenset({b"d" * 20}))
    service = TrackerService(AwayStore(), PLAIN, random.Random(0), access)
    results = await announce(service, asked(), asked(info_hash=b"d" * 20))
    assert [result.outcome for result in results] == [Outcome.STORE_AWAY, Outcome.DENIED]
    assert results[0].retry_in_min == 1


# --- what is kept ---


async def test_who_has_nothing_left_is_a_seed_and_who_does_not_say_is_not():
    service = make()
    await announce(service, asked(1, left=0), asked(2, left=UNKNOWN_LEFT), asked(3, left=7))
    assert (await service.scrape([HASH], 0.0))[HASH][:3] == (1, 0, 2)


async def test_who_completed_without_saying_what_is_left_is_a_seed():
    service = make()
    await announce(service, asked(1, left=UNKNOWN_LEFT, event=Event.COMPLETED))
    assert (await service.scrape([HASH], 0.0))[HASH][:3] == (1, 1, 0)


@pytest.mark.parametrize("event", [Event.NONE, Event.STARTED, 5, 2**32 - 1])
async def test_unknown_events_are_like_none(event):
    (answer,) = await announce(make(), asked(event=event))
    assert answer.outcome is Outcome.OK
    assert answer.view.counts.incomplete == 1


async def test_a_partial_seed_counts_as_incomplete_but_downloads_no_more():
    service = make()
    await announce(service, asked(1, event=Event.PAUSED))
    counts = (await service.scrape([HASH], 0.0))[HASH]
    assert (counts.complete, counts.incomplete, counts.downloaders) == (0, 1, 0)


async def test_who_stops_is_forgotten():
    service = make()
    results = await announce(service, asked(1), asked(2), asked(1, event=Event.STOPPED, numwant=0), asked(3))
    assert results[2].outcome is Outcome.STOPPED
    assert results[3].view.peers == ip("127.0.0.1") + (7002).to_bytes(2, "big")


@pytest.mark.parametrize(("numwant", "told"), [(-1, 50), (-7, 50), (0, 0), (3, 3), (100, 100), (2**31, 120)])
async def test_numwant_is_what_the_client_wants_within_limits(numwant, told):
    service = make(Policy(numwant=50, max_numwant=120))
    await announce(service, *map(asked, range(200)))
    (answer,) = await announce(service, asked(1000, numwant=numwant))
    assert len(answer.view.peers) == 6 * told


@pytest.mark.parametrize(
    ("believed", "source", "claimed", "kept_as"),
    [
        (False, "192.168.1.2", "8.8.8.8", "192.168.1.2"),
        (True, "192.168.1.2", "8.8.8.8", "8.8.8.8"),
        (True, "10.1.1.1", "192.168.7.7", "192.168.7.7"),
        (True, "8.8.4.4", "8.8.8.8", "8.8.4.4"),  # a stranger could announce a victim
        (True, "192.168.1.2", "fe80::1", "192.168.1.2"),
        (True, "192.168.1.2", "224.0.0.1", "192.168.1.2"),
        (True, "192.168.1.2", "0.0.0.0", "192.168.1.2"),
        (True, "192.168.1.2", "127.0.0.1", "192.168.1.2"),
        (True, "fd00::1", "2001:db8::5", "2001:db8::5"),
    ],
)
async def test_a_claimed_address_is_believed_from_private_networks_if_at_all(believed, source, claimed, kept_as):
    service = make(Policy(claimed_ip=believed))
    await announce(service, asked(1, claimed_ip=ip(claimed)), source=source)
    (answer,) = await announce(service, asked(2), source=kept_as)
    assert answer.view.peers == ip(kept_as) + (7001).to_bytes(2, "big")


# --- when to come again ---


async def test_a_small_swarm_meets_soon_and_a_large_one_has_time():
    service = make(Policy(interval_s=1800, small_swarm_interval_s=45, small_swarm_peers=3, jitter=0.0))
    answers = await announce(service, asked(1), asked(2), asked(3), asked(4))
    assert [answer.interval_s for answer in answers] == [45, 45, 1800, 1800]
    assert all(answer.min_interval_s <= answer.interval_s for answer in answers)


async def test_chance_keeps_apart_who_came_together():
    service = make(Policy(interval_s=1000, small_swarm_peers=0, jitter=0.1))
    answers = await announce(service, *map(asked, range(200)))
    intervals = {answer.interval_s for answer in answers}
    assert min(intervals) >= 900
    assert max(intervals) <= 1100
    assert len(intervals) > 50


async def test_the_interval_grows_with_the_load_up_to_its_limit():
    policy = Policy(interval_s=10, max_interval_s=60, announces_per_s=2, small_swarm_peers=0, jitter=0.0)
    service = make(policy)
    await announce(service, *map(asked, range(20)))
    assert (await announce(service, asked(1)))[0].interval_s == 10
    await announce(service, *map(asked, range(20, 80)))
    assert (await announce(service, asked(1)))[0].interval_s == 40
    await announce(service, *map(asked, range(80, 400)))
    assert (await announce(service, asked(1)))[0].interval_s == 60


async def test_the_interval_may_be_told_not_to_grow():
    service = make(Policy(interval_s=10, announces_per_s=0, small_swarm_peers=0, jitter=0.0))
    answers = await announce(service, *map(asked, range(50)))
    assert answers[-1].interval_s == 10


async def test_a_peer_survives_one_announce_that_got_lost():
    service = make(Policy(interval_s=100, min_interval_s=10, jitter=0.1))
    await announce(service, asked(1), now=0.0)
    await service.store.tend(2 * 110.0 - 20)
    (answer,) = await announce(service, asked(2), now=200.0)
    assert len(answer.view.peers) == 6


def test_a_refusal_says_nothing_of_when_unless_it_knows():
    assert Refusal(Outcome.FULL, "x").retry_in_min == 0
