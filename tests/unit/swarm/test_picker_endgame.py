"""Whom else to ask for what somebody owes."""

import random

from p2psync.ids import BlockId
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.picker import Picker
from p2psync.swarm.takeover import UNMEASURED_PATIENCE_S
from p2psync.swarm.tasks import Job
from p2psync.wire.messages import Have

ROOT, PAGE = BlockId(b"r" * 32), BlockId(b"p" * 32)
LATER = UNMEASURED_PATIENCE_S
MUTE, SECOND, THIRD = 1, 2, 3


def picker_with(*peers: int) -> Picker:
    """Return a picker that wants one page, which the first of the peers, all of them seeds, was asked for at 0."""
    picker = Picker(random.Random(0))
    for peer in peers:
        holdings = Holdings()
        holdings.offer(ROOT)
        holdings.hear(Have(complete=[ROOT]))
        picker.add_peer(peer, holdings)
    job = Job(ROOT, pages=True, exhausted=True)
    picker.begin(job)
    picker.add_pages(job, [PAGE])
    assert picker.take(peers[0], 1 << 20, 0.0) == [PAGE]
    return picker


def test_another_peer_is_asked_once_patience_is_over():
    picker = picker_with(MUTE, SECOND)
    assert picker.duplicate(SECOND, LATER / 2) == []
    assert picker.duplicate(SECOND, LATER) == [PAGE]


def test_more_peers_are_asked_while_none_sends_each_sooner():
    picker = picker_with(MUTE, SECOND, THIRD)
    picker.duplicate(SECOND, LATER)
    assert picker.duplicate(THIRD, LATER * 1.4) == []
    assert picker.duplicate(THIRD, LATER * 1.5) == [PAGE]


def test_no_third_peer_is_asked_where_the_first_is_only_slow():
    picker = picker_with(MUTE, SECOND, THIRD)
    picker.measured(MUTE, 2_000.0, snubbed=False)
    assert picker.duplicate(SECOND, LATER) == [PAGE]
    assert picker.duplicate(THIRD, LATER * 100) == []


def test_a_third_peer_is_asked_once_the_first_has_stopped_sending():
    picker = picker_with(MUTE, SECOND, THIRD)
    picker.measured(MUTE, 2_000.0, snubbed=False)
    picker.duplicate(SECOND, LATER)
    picker.measured(MUTE, 100.0, snubbed=False)
    assert picker.duplicate(THIRD, LATER * 2) == [PAGE]


def test_a_mute_peer_is_not_asked_first_again_until_it_sends():
    picker = picker_with(MUTE, SECOND)
    picker.duplicate(SECOND, LATER)
    assert picker.received(SECOND, PAGE) == [MUTE]
    picker.written(PAGE)
    more = BlockId(b"q" * 32)
    job = Job(ROOT, pages=True, exhausted=True)
    picker.begin(job)
    picker.add_pages(job, [more])
    assert picker.take(MUTE, 1 << 20, LATER) == []
    picker.measured(MUTE, 100_000.0, snubbed=False)
    assert picker.take(MUTE, 1 << 20, LATER) == [more]


def test_a_mute_peer_is_asked_for_what_nobody_else_has():
    picker = picker_with(MUTE, SECOND)
    picker.duplicate(SECOND, LATER)
    picker.drop_peer(SECOND)
    picker.release(MUTE)
    assert picker.take(MUTE, 1 << 20, LATER) == [PAGE]


def test_a_peer_that_lacks_what_it_was_asked_for_besides_is_not_asked_again_at_once():
    picker = picker_with(MUTE, SECOND, THIRD)
    picker.duplicate(SECOND, LATER)
    picker.missing(SECOND, PAGE, LATER)
    assert picker.duplicate(SECOND, LATER) == []
    assert picker.duplicate(THIRD, LATER) == [PAGE]
