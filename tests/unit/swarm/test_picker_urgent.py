"""Blocks that somebody waits for come before all others, whatever the order of these."""

import pytest

from p2psync.blocks.need import Run
from p2psync.swarm.tasks import Job
from tests.unit.swarm.test_picker_in_order import BLOCKS, PAGE, ROOT, SIZE, picker_of, taken

LATER = [bytes([number]) * 32 for number in range(100, 108)]


def hurry(picker, positions, urgency=1, ids=BLOCKS):
    job = Job(ROOT, urgency=urgency)
    picker.begin(job)
    run = Run(PAGE, positions, [ids[at] for at in positions], [SIZE] * len(positions))
    return job, picker.add(job, [run])


@pytest.mark.parametrize("in_order", [True, False])
def test_what_is_urgent_is_taken_first_and_in_its_order_then_the_rest_goes_on(in_order):
    picker = picker_of("all", range(40), in_order=in_order)
    hurry(picker, range(22, 30))
    assert [taken(picker, peer) for peer in (1, 2, 1)] == [[22, 23], [24, 25, 26, 27], [28, 29]]
    rest = {position for _ in range(20) for position in taken(picker, 1)}
    assert rest == {*range(22), *range(30, 40)}


def test_blocks_that_nobody_had_asked_for_are_urgent_too_and_counted_by_their_own_job():
    picker = picker_of("all")
    job, _ = hurry(picker, range(8), ids=LATER)
    assert (job.pending, job.unassigned) == (8, 8)
    assert picker.take(1, 8 * SIZE, 0.0) == LATER
    assert taken(picker, 1) == [0, 1, 2, 3]


def test_the_last_that_is_asked_for_comes_first_also_where_it_was_urgent_before():
    picker = picker_of("all", in_order=False)
    hurry(picker, range(20, 28), urgency=1)
    hurry(picker, range(24, 26), urgency=2)
    assert taken(picker, 1) == [24, 25]
    assert [taken(picker, 1), taken(picker, 1)] == [[20, 21, 22, 23], [26, 27]]


def test_what_is_less_urgent_takes_nothing_from_what_is_more_so():
    picker = picker_of("all", in_order=False)
    hurry(picker, range(20, 24), urgency=2)
    hurry(picker, range(16, 24), urgency=1)
    assert [taken(picker, 1), taken(picker, 1)] == [[20, 21, 22, 23], [16, 17, 18, 19]]


def test_what_is_on_its_way_is_not_asked_for_again_and_stays_urgent_if_it_does_not_come():
    picker = picker_of("all", "all", in_order=False)
    owed = taken(picker, 1)
    hurry(picker, owed)
    assert not set(taken(picker, 2)) & set(owed)
    picker.release(1)
    assert taken(picker, 2) == owed


def test_what_a_seed_was_left_to_send_when_it_likes_is_taken_back_and_asked_for():
    picker = picker_of("all", [1], in_order=False)
    wished = picker.wishes.wish(1, 1000, 0.0)
    assert BLOCKS[30] in wished
    _, unwished = hurry(picker, range(30, 32))
    assert unwished == {1: [BLOCKS[30], BLOCKS[31]]}
    assert taken(picker, 1) == [30, 31]
    assert taken(picker, 1) == [], "the rest is still left to it"
    assert picker.wishes.at(1)[0] == len(wished) - 2


def test_a_peer_that_is_refused_an_urgent_block_is_asked_for_others_and_the_block_of_others():
    picker = picker_of("all", "all", in_order=False)
    hurry(picker, [33])
    assert taken(picker, 1) == [33]
    picker.missing(1, BLOCKS[33], 0.0)
    assert 33 not in taken(picker, 1)
    assert taken(picker, 2) == [33]


def test_pages_come_before_what_is_urgent():
    picker = picker_of("all", in_order=False)
    hurry(picker, [33])
    picker.add_pages(Job(ROOT, pages=True, exhausted=True), [b"x" * 32])
    assert picker.take(1, 1 << 20, 0.0) == [b"x" * 32]
