"""Wants wait in order, within a limit; answers fill frames."""

import pytest

from p2psync.errors import RemoteProtocolError
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.uploads import Dealt, WantQueue, frames
from p2psync.wire import limits
from p2psync.wire.buffers import BufferPool
from p2psync.wire.connection import Connection
from p2psync.wire.messages import Blocks, Hello, Missing, Part


def ids(count: int) -> list[bytes]:
    return [n.to_bytes(32, "big") for n in range(count)]


def test_wants_are_answered_in_order_without_what_was_cancelled():
    queue = WantQueue(Dealt(), Holdings())
    queue.want(ids(5))
    queue.drop(ids(5)[1:2])
    assert queue.first(3, 1 << 20, 0.0) == [ids(5)[n] for n in (0, 2, 3)]


def test_more_wants_than_a_peer_may_have_are_refused():
    queue = WantQueue(Dealt(), Holdings())
    queue.want(ids(limits.MAX_OUTSTANDING_IDS))
    with pytest.raises(RemoteProtocolError, match="wanted at once"):
        queue.want([b"x" * 32])


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
