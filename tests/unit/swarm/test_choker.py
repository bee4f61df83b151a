"""Who is served, as a function of what the choker is told; time and chance are given."""

import math
import random
from collections import Counter

import pytest

from p2psync.swarm.choker import (
    LUCKY_ROUNDS,
    MAX_SLOTS,
    MIN_SLOTS,
    ROUND_S,
    SLOT_BYTES_PER_S,
    Candidate,
    Choker,
    slots_for,
)

OLD = -1000.0


def peers(*rates):
    """Return old candidates, numbered from 0, from (gives, takes) in kB/s."""
    return [Candidate(number, gives * 1e3, takes * 1e3, OLD) for number, (gives, takes) in enumerate(rates)]


def choker(seed=0):
    return Choker(random.Random(seed))


def test_who_gives_most_is_served_and_one_by_chance():
    chosen = choker().choose(peers((9, 0), (1, 0), (5, 0), (0, 0), (3, 0)), 0.0, complete=False)
    assert {0, 2} < chosen
    assert len(chosen) == MIN_SLOTS


def test_who_lacks_nothing_serves_who_takes_fastest():
    rates = [(900, 0), (0, 1), (0, 12), (0, 3), (0, 9)]
    chosen = choker().choose(peers(*rates), 0.0, complete=True)
    assert {2, 4} < chosen


def test_all_are_served_where_slots_suffice():
    assert choker().choose(peers((0, 0), (0, 0)), 0.0, complete=False) == {0, 1}
    assert choker().choose([], 0.0, complete=False) == frozenset()


def test_the_lucky_one_stays_for_some_rounds_then_changes():
    made, lucky = choker(), []
    for round_ in range(60):
        chosen = made.choose(peers((9, 0), (8, 0), *[(0, 0)] * 20), round_ * ROUND_S, complete=False)
        (one,) = chosen - {0, 1}
        lucky.append(one)
    turns = [set(lucky[at : at + LUCKY_ROUNDS]) for at in range(0, 60, LUCKY_ROUNDS)]
    assert all(len(turn) == 1 for turn in turns)
    assert len(set(lucky)) > 8


def test_a_lucky_one_that_earned_a_slot_makes_room_for_the_next():
    made = choker()
    first = made.choose(peers((9, 0), (8, 0), (0, 0), (0, 0), (0, 0)), 0.0, complete=False) - {0, 1}
    rates = [(9, 0), (8, 0), (0, 0), (0, 0), (0, 0)]
    rates[min(first)] = (99, 0)
    chosen = made.choose(peers(*rates), ROUND_S, complete=False)
    assert first < chosen
    assert len(chosen) == MIN_SLOTS


def test_newcomers_are_drawn_more_often():
    counts = Counter()
    for seed in range(900):
        candidates = [*peers((9, 0), (8, 0), (0, 0)), Candidate(3, 0.0, 0.0, since=95.0)]
        counts.update(choker(seed).choose(candidates, 100.0, complete=False) - {0, 1})
    assert 2 < counts[3] / counts[2] < 4


def test_among_equals_chance_decides():
    chosen = {choker(seed).choose(peers(*[(0, 0)] * 9), 0.0, complete=False) for seed in range(30)}
    assert len(chosen) > 10


@pytest.mark.parametrize(
    ("rates", "slots"),
    [
        ([], MIN_SLOTS),
        ([1e9], MIN_SLOTS),
        ([1.0] * 100, MIN_SLOTS),
        ([1e9] * 10, 11),
        ([1e9] * 1000, MAX_SLOTS),
        ([SLOT_BYTES_PER_S * 5.5] * 20, 6),
    ],
)
def test_slots_follow_what_peers_take(rates, slots):
    assert slots_for(rates) == slots


@pytest.mark.parametrize("uplink", [100e3, 1e6, 10e6, 100e6])
def test_an_uplink_shared_by_many_settles_at_so_many_slots_and_is_filled(uplink):
    made, served, slots = choker(1), frozenset(range(3)), []
    for round_ in range(200):
        share = uplink / max(1, len(served))
        candidates = [Candidate(n, 0.0, share if n in served else 0.0, OLD) for n in range(100)]
        served = made.choose(candidates, round_ * ROUND_S, complete=True)
        slots.append(len(served))
    ideal = math.sqrt(uplink / SLOT_BYTES_PER_S)
    settled = slots[100:]
    assert min(settled) >= max(MIN_SLOTS, 0.7 * min(ideal, MAX_SLOTS))
    assert max(settled) <= max(MIN_SLOTS, min(MAX_SLOTS, 1.5 * ideal + 1))


def test_a_free_rider_gets_its_share_of_chance_and_no_more():
    made, rounds = choker(2), Counter()
    for round_ in range(400):
        candidates = peers(*[(50, 50)] * 6, (0, 50), (0, 50))
        rounds.update(made.choose(candidates, round_ * ROUND_S, complete=False))
    riders, givers = (rounds[6] + rounds[7]) / 2, sum(rounds[n] for n in range(6)) / 6
    assert riders < 0.6 * givers
    assert riders > 0
