"""What an idle peer takes over from one that would need much longer for it."""

import random

import pytest

from p2psync.blocks.need import Run
from p2psync.ids import BlockId
from p2psync.swarm.debts import nothing
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.picker import Picker
from p2psync.swarm.takeover import DUPLICATE_GAIN, DUPLICATE_MARGIN_S, STEAL_GAIN, STEAL_MARGIN_S, UNDER_WAY_TASKS
from p2psync.swarm.tasks import Job
from p2psync.wire.messages import Have

ROOT, PAGE = BlockId(b"r" * 32), BlockId(b"p" * 32)
SLOW, QUICK = 1, 2
COUNT = 5
IDS = [BlockId(bytes([n]) * 32) for n in range(COUNT)]
BLOCK_BYTES = 1000
QUICK_RATE = 10_000.0
LATE_S = STEAL_GAIN * BLOCK_BYTES / QUICK_RATE + STEAL_MARGIN_S
"""What would come later than this is taken over."""


def picker_in_which_one_owes_all(last_comes_after_s: float, arriving=nothing) -> Picker:
    """Return a picker of two seeds: one was asked for all blocks, at a rate at which the last comes then."""
    picker = Picker(random.Random(0))
    for peer in (SLOW, QUICK):
        holdings = Holdings()
        holdings.offer(ROOT)
        holdings.hear(Have(complete=[ROOT]))
        picker.add_peer(peer, holdings, arriving=arriving if peer == SLOW else nothing)
    job = Job(ROOT, exhausted=True)
    picker.begin(job)
    for position, id_ in enumerate(IDS):
        picker.add(job, [Run(PAGE, [position], [id_], [BLOCK_BYTES])])
    assert [picker.take(SLOW, BLOCK_BYTES, 0.0) for _ in IDS] == [[id_] for id_ in IDS]
    picker.measured(SLOW, COUNT * BLOCK_BYTES / last_comes_after_s, snubbed=False)
    picker.measured(QUICK, QUICK_RATE, snubbed=False)
    return picker


def test_an_idle_peer_takes_over_what_is_asked_for_last_and_would_come_much_later():
    picker = picker_in_which_one_owes_all(LATE_S * 1.01)
    assert picker.steal(QUICK, 0.0) == (IDS[-1:], {SLOW: IDS[-1:]})
    assert picker.in_flight(SLOW) == ((COUNT - 1) * BLOCK_BYTES, COUNT - 1)
    assert picker.in_flight(QUICK) == (BLOCK_BYTES, 1)


def test_what_would_come_a_little_later_is_left_to_the_slower_peer():
    assert picker_in_which_one_owes_all(LATE_S * 0.99).steal(QUICK, 0.0) == ([], {})


def test_what_may_be_on_its_way_is_not_taken_over():
    picker = picker_in_which_one_owes_all(1000 * LATE_S)
    taken = [picker.steal(QUICK, 0.0)[0] for _ in IDS]
    assert taken == [*([id_] for id_ in reversed(IDS[UNDER_WAY_TASKS:])), *([[]] * UNDER_WAY_TASKS)]


def test_a_block_that_is_coming_is_not_taken_over_but_the_one_before_it():
    picker = picker_in_which_one_owes_all(LATE_S * 1000, arriving=lambda: (IDS[-1], 1))
    assert picker.steal(QUICK, 0.0) == (IDS[-2:-1], {SLOW: IDS[-2:-1]})


def picker_in_which_one_owes_the_last(comes_after_s: float, arrived_bytes: int) -> Picker:
    """Return a picker in whose endgame so much of one block is here, and all that is owed comes then."""
    picker = picker_in_which_one_owes_all(1.0, arriving=lambda: (IDS[0], arrived_bytes))
    owed_bytes = COUNT * BLOCK_BYTES - arrived_bytes
    picker.measured(SLOW, owed_bytes / comes_after_s, snubbed=False)
    return picker


@pytest.mark.parametrize("arrived_bytes", [1, BLOCK_BYTES - 1])
def test_what_is_here_already_of_a_block_need_not_come_any_more(arrived_bytes):
    limit_s = DUPLICATE_GAIN * BLOCK_BYTES / QUICK_RATE + DUPLICATE_MARGIN_S
    later = picker_in_which_one_owes_the_last(1.01 * limit_s, arrived_bytes).duplicate(QUICK, 0.0)
    assert later == [IDS[1]]
    assert picker_in_which_one_owes_the_last(0.99 * limit_s, arrived_bytes).duplicate(QUICK, 0.0) == []


def test_what_is_here_of_a_block_that_the_peer_does_not_owe_is_no_part_of_its_debts():
    limit_s = DUPLICATE_GAIN * BLOCK_BYTES / QUICK_RATE + DUPLICATE_MARGIN_S
    picker = picker_in_which_one_owes_all(1.01 * limit_s, arriving=lambda: (BlockId(b"w" * 32), BLOCK_BYTES))
    assert picker.duplicate(QUICK, 0.0) == [IDS[0]]


def test_a_block_that_is_coming_is_asked_for_twice_if_the_rest_of_it_takes_long():
    picker = picker_in_which_one_owes_the_last(1000.0, 1)
    assert picker.duplicate(QUICK, 0.0) == [IDS[0]]


def test_a_peer_that_sent_nothing_for_long_takes_nothing_over():
    picker = picker_in_which_one_owes_all(1000 * LATE_S)
    picker.measured(QUICK, QUICK_RATE, snubbed=True)
    assert picker.steal(QUICK, 0.0) == ([], {})
