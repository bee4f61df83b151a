"""A block that is wanted again while it is being written, as the write may be over for whoever wants it now."""

import random

import pytest

from p2psync.blocks.need import Run
from p2psync.ids import BlockId
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.picker import Picker
from p2psync.swarm.tasks import Job
from p2psync.wire.messages import Have

ROOT, PAGE, BLOCK = BlockId(b"r" * 32), BlockId(b"p" * 32), BlockId(b"b" * 32)
SIZE, PEER = 1000, 1


def add_block(picker, job):
    picker.add(job, [Run(PAGE, [0], [BLOCK], [SIZE])])


@pytest.fixture
def picker():
    holdings = Holdings()
    holdings.offer(ROOT)
    holdings.hear(Have(complete=[ROOT]))
    picker = Picker(random.Random(0))
    picker.add_peer(PEER, holdings)
    return picker


@pytest.fixture
def jobs(picker):
    """Two jobs; the block of the first has come, and is being written."""
    jobs = Job(ROOT, exhausted=True), Job(ROOT, exhausted=True)
    for job in jobs:
        picker.begin(job)
    add_block(picker, jobs[0])
    picker.take(PEER, SIZE, 0.0)
    picker.received(PEER, BLOCK)
    return jobs


@pytest.mark.parametrize("again", [0, 1])
def test_it_is_asked_for_again_once_it_is_written(again, picker, jobs):
    add_block(picker, jobs[again])
    assert picker.take(PEER, SIZE, 0.0) == [], "it is not lost yet"
    assert picker.written(BLOCK).job is jobs[0]
    assert not jobs[again].is_done
    assert picker.ask_again(BLOCK)
    assert picker.take(PEER, SIZE, 0.0) == [BLOCK]
    picker.received(PEER, BLOCK)
    assert picker.written(BLOCK).job is jobs[again]
    assert not picker.ask_again(BLOCK)
    assert all(job.is_done for job in jobs)


def test_nothing_is_asked_for_again_that_was_not_added_again(picker, jobs):
    picker.written(BLOCK)
    assert not picker.ask_again(BLOCK)
    assert all(job.is_done for job in jobs)


def test_it_is_asked_for_at_once_where_whoever_wanted_it_first_wants_it_no_more(picker, jobs):
    add_block(picker, jobs[1])
    picker.forget(jobs[0])
    assert picker.take(PEER, SIZE, 0.0) == [BLOCK]


def test_nobody_asks_for_it_again_who_wants_nothing_any_more(picker, jobs):
    add_block(picker, jobs[1])
    picker.forget(jobs[1])
    picker.written(BLOCK)
    assert not picker.ask_again(BLOCK)
    assert picker.take(PEER, SIZE, 0.0) == []
