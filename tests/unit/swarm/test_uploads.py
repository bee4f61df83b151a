"""Wants wait in order, within a limit; answers fill frames."""

from itertools import product

import pytest

from p2psync.errors import RemoteProtocolError
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.uploads import OVERTAKEN_FRAMES, Dealt, WantQueue, frames
from p2psync.wire import limits
from p2psync.wire.buffers import BufferPool
from p2psync.wire.connection import Connection
from p2psync.wire.messages import Blocks, Hello, Missing, Part, Want, WantAny, Wish


def ids(count: int) -> list[bytes]:
    return [n.to_bytes(32, "big") for n in range(count)]


def test_wants_are_answered_in_order_without_what_was_cancelled():
    queue = WantQueue(Dealt(), Holdings())
    queue.ask(Want(ids(5)))
    queue.drop(ids(5)[1:2])
    assert queue.first(3, 1 << 20, 0.0) == [ids(5)[n] for n in (0, 2, 3)]


def test_of_wants_in_no_order_comes_first_what_was_sent_least():
    dealt = Dealt()
    dealt.note(ids(2), Holdings(), 0.0)
    dealt.note(ids(1), Holdings(), 0.0)
    queue = WantQueue(dealt, Holdings())
    queue.ask(WantAny(ids(5)))
    assert queue.has_wants
    assert queue.first(2, 1 << 20, 0.0) == ids(5)[2:4]
    queue.drop(ids(5)[2:5])
    assert queue.first(1, 1 << 20, 0.0) == ids(2)[1:]


def test_the_first_of_them_is_overtaken_for_a_while_only():
    dealt = Dealt()
    old, new = ids(2), ids(2 * OVERTAKEN_FRAMES + 3)[2:]
    dealt.note(old, Holdings(), 0.0)
    queue = WantQueue(dealt, Holdings())
    queue.ask(WantAny([*old, *new]))
    sent = []
    for _ in range(2 * OVERTAKEN_FRAMES + 2):
        chosen = queue.first(1, 1 << 20, 0.0)
        queue.drop(chosen)
        sent += chosen
    assert sent == [*new[:OVERTAKEN_FRAMES], old[0], *new[OVERTAKEN_FRAMES : 2 * OVERTAKEN_FRAMES], old[1]]


def test_wants_in_order_keep_it_and_go_before_those_in_none_and_wishes_come_last():
    dealt = Dealt()
    dealt.note(ids(1), Holdings(), 0.0)
    queue = WantQueue(dealt, Holdings())
    queue.ask(Wish(ids(5)[4:]))
    queue.ask(WantAny(ids(4)[3:]))
    queue.ask(Want(ids(3)))
    sent = []
    while queue:
        assert queue.rest_s(0.0) == 0
        sent += queue.first(1, 1 << 20, 0.0)
        queue.drop(sent)
    assert sent == ids(5)


def test_what_was_chosen_and_not_read_any_more_is_sent_as_soon_as_before():
    queue = WantQueue(Dealt(), Holdings())
    queue.ask(WantAny(ids(6)))
    assert queue.first(3, 1 << 20, 0.0) == ids(3)
    queue.answered(ids(3), [b"one"])
    assert queue.first(3, 1 << 20, 0.0) == ids(4)[1:]


def test_a_wish_that_was_cut_off_is_sent_to_others_at_once():
    dealt = Dealt()
    one, other = (WantQueue(dealt, Holdings()) for _ in range(2))
    for queue in (one, other):
        queue.ask(Wish(ids(2)))
    one.answered(one.first(2, 1 << 20, 0.0), [b"x", b"x"])
    assert other.rest_s(0.0) > 0
    one.cut_off(ids(2)[1:])
    assert other.rest_s(0.0) == 0
    assert other.first(2, 1 << 20, 0.0) == ids(2)[1:]


def test_what_is_taken_back_counts_as_sent_once_less():
    dealt = Dealt()
    for expected in (1, 2):
        dealt.note(ids(1), Holdings(), 0.0)
        assert dealt.times(ids(1)[0]) == expected
    for expected in (1, 0, 0):
        dealt.take_back(ids(1))
        assert dealt.times(ids(1)[0]) == expected


@pytest.mark.parametrize(("most", "more"), [*product([Want, WantAny, Wish], repeat=2)])
def test_more_than_a_peer_may_ask_for_in_all_is_refused(most, more):
    queue = WantQueue(Dealt(), Holdings())
    queue.ask(most(ids(limits.MAX_OUTSTANDING_IDS)))
    with pytest.raises(RemoteProtocolError, match="wanted at once"):
        queue.ask(more([b"x" * 32]))


def test_small_blocks_share_frames_and_large_ones_come_in_parts_all_within_the_limits():
    payloads = [b"a" * 300_000] * 5 + [b"b" * 2_500_000, b"c", None, b"d" * (1 << 20)]
    names = ids(len(payloads))
    messages = list(frames(names, payloads, limits.FRAME_PAYLOAD_BYTES))
    kinds = [type(message) for message in messages]
    assert kinds == [Missing, Blocks, Blocks, Part, Part, Part, Blocks, Blocks]
    connection = Connection(accepting=True, buffers=BufferPool())
    connection.send(Hello())
    for message in messages:
        connection.send(message)  # raises where a limit is exceeded
    whole = {id_: bytes(data) for m in messages if isinstance(m, Blocks) for id_, data in m.blocks}
    parted = b"".join(m.payload for m in messages if isinstance(m, Part))
    assert whole == {names[n]: payloads[n] for n in (0, 1, 2, 3, 4, 6, 8)}
    assert parted == payloads[5]


def test_thousands_of_tiny_blocks_stay_within_the_blocks_of_a_frame():
    messages = list(frames(ids(3000), [b"x"] * 3000, limits.FRAME_PAYLOAD_BYTES))
    assert [len(message.blocks) for message in messages] == [1024, 1024, 952]
