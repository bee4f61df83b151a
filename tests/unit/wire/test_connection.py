"""Each rule of the protocol has a test that its breach is refused."""

import random
import struct

import pytest
import zstandard

from p2psync.bencoding import encode
from p2psync.errors import LocalProtocolError, RemoteProtocolError
from p2psync.wire import limits
from p2psync.wire.buffers import BufferPool
from p2psync.wire.connection import TRANSITIONS, Connection, State, Step, next_state
from p2psync.wire.messages import Blocks, Bye, Cancel, Have, HeadOffer, Hello, Kind, Message, Missing, Part, Ping, Want

A, B = b"\xaa" * 32, b"\xbb" * 32
UNSIZED = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(64))
HELLO = encode({b"agent": b"x", b"features": [], b"port": 0, b"version": 1})


def frame(kind: int, body: bytes = b"", *, length: int | None = None) -> bytes:
    return struct.pack(">IB", len(body) + 1 if length is None else length, kind) + body


def packed_blocks(size: int) -> bytes:
    return zstandard.ZstdCompressor().compress(random.Random(1).randbytes(size))


def packed(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    data = zstandard.ZstdCompressor().compress(body)
    return frame(Kind.PACKED, struct.pack(">BI", kind, len(body) if length is None else length) + data)


def part(id_: bytes, total: int, offset: int, payload: bytes = b"") -> bytes:
    return frame(Kind.PART, id_ + struct.pack(">II", total, offset) + payload)


def feed(connection: Connection, data: bytes, *, step: int = 1 << 30) -> list[Message]:
    messages = []
    while data:
        space = connection.writable()
        part = data[: min(step, len(space))]
        space[: len(part)] = part
        messages += connection.received(len(part))
        data = data[len(part) :]
    return messages


def ready(*, accepting: bool = True, buffers: BufferPool | None = None) -> Connection:
    connection = Connection(accepting=accepting, buffers=buffers or BufferPool())
    if accepting:
        connection.send(Hello())
    feed(connection, frame(Kind.HELLO, HELLO))
    if not accepting:
        connection.send(Hello())
    return connection


def test_two_connections_tied_together_hear_what_the_other_says():
    server, client = Connection(accepting=True, buffers=BufferPool()), Connection(accepting=False, buffers=BufferPool())
    assert feed(client, b"".join(server.send(Hello(listen_port=7)))) == [Hello(listen_port=7)]
    assert feed(server, b"".join(client.send(Hello(agent=b"me")))) == [Hello(agent=b"me")]
    sent = [
        HeadOffer(b"h"),
        Have([A], [B], [(A, b"\x80")], [B]),
        Want([A, B]),
        Blocks([(A, b"x" * 100_000)]),
        Bye(b"?"),
    ]
    heard = feed(client, b"".join(b"".join(server.send(message)) for message in sent))
    assert [m if not isinstance(m, Blocks) else Blocks([(i, bytes(d)) for i, d in m.blocks]) for m in heard] == sent


def test_a_block_in_parts_is_heard_whole_and_once():
    block = bytes(range(256)) * 10_000
    parts = [Part(A, len(block), at, block[at : at + 1_000_000]) for at in range(0, len(block), 1_000_000)]
    sender = ready()
    data = b"".join(b"".join(sender.send(part)) for part in parts)
    ((heard,),) = [message.blocks for message in feed(ready(), data) if isinstance(message, Blocks)]
    assert heard == (A, block)


def test_payload_is_counted_before_its_frame_is_complete():
    connection = ready()
    feed(connection, frame(Kind.PART, A + struct.pack(">II", 2_000_000, 0) + bytes(500_000), length=1_000_041))
    assert connection.payload_bytes == 500_000


def test_payload_is_never_overwritten_by_what_comes_later():
    connection = ready()
    (first,) = feed(connection, frame(Kind.BLOCKS, struct.pack(">I32sI", 1, A, 100) + b"1" * 100))
    feed(connection, frame(Kind.BLOCKS, struct.pack(">I32sI", 1, A, 100) + b"2" * 100))
    assert bytes(first.blocks[0][1]) == b"1" * 100


@pytest.mark.parametrize(
    "unfinished",
    [
        part(A, 300_000, 0, b"x" * 150_000),
        part(A, 300_000, 0, b"x" * 150_000)[:-1],
        frame(Kind.BLOCKS, b"x" * 300_000)[:-1],
    ],
    ids=["a block", "a part of one", "a frame of some"],
)
def test_what_is_unfinished_when_a_link_ends_is_let_go_of(unfinished):
    buffers = BufferPool()
    connection = ready(buffers=buffers)
    feed(connection, unfinished)
    assert buffers.take(300_000)[:1] != b"x"
    connection.forget()
    assert buffers.take(300_000)[:1] == b"x"


def test_what_came_compressed_counts_in_full():
    connection = ready()
    assert feed(connection, packed(Kind.PART, A + struct.pack(">II", 500_000, 0) + bytes(500_000))) == [
        Blocks([(A, bytes(500_000))])
    ]
    assert 500_000 < connection.payload_bytes < 500_050


def test_a_new_first_part_abandons_an_unfinished_block():
    connection = ready()
    data = part(A, 4, 0, b"ab") + frame(Kind.PART, B + struct.pack(">II", 2, 0) + b"cd")
    assert feed(connection, data) == [Blocks([(B, b"cd")])]


@pytest.mark.parametrize(("total", "most"), [(limits.MAX_PART_TOTAL_BYTES, 64), (1000, 4096)])
def test_blocks_that_begin_and_do_not_end_cost_the_link_in_the_end(total, most):
    begun = packed(Kind.PART, A + struct.pack(">II", total, 0) + bytes(total // 4))
    connection = ready()
    for _ in range(most + 1):  # the last of them might go on
        assert feed(connection, begun) == []
    with pytest.raises(RemoteProtocolError, match="does not end"):
        feed(connection, begun)


def test_who_ends_as_many_blocks_may_go_on_abandoning_others():
    connection, total = ready(), limits.MAX_PART_TOTAL_BYTES
    begun = packed(Kind.PART, A + struct.pack(">II", total, 0) + bytes(1 << 20))
    rest = [packed(Kind.PART, A + struct.pack(">II", total, at << 20) + bytes(1 << 20)) for at in (1, 2, 3)]
    for _ in range(100):
        feed(connection, begun)
        assert len(feed(connection, begun + b"".join(rest))) == 1


def test_blocks_that_we_cancelled_need_not_be_ended():
    connection, total = ready(), limits.MAX_PART_TOTAL_BYTES
    begun = packed(Kind.PART, A + struct.pack(">II", total, 0) + bytes(1 << 20))
    for _ in range(2 * limits.MAX_ABANDONED_BYTES // total):
        assert feed(connection, begun) == []
        connection.send(Cancel([B, A]))
    for _ in range(limits.MAX_ABANDONED_BYTES // total + 1):
        feed(connection, begun)
        connection.send(Cancel([B]))
    with pytest.raises(RemoteProtocolError, match="does not end"):
        feed(connection, begun)


def test_what_came_of_blocks_that_are_not_ended_or_cancelled_came_for_nothing():
    connection = ready()
    feed(connection, part(A, 6, 0, b"abc"))
    assert (connection.arriving, connection.wasted_bytes) == ((A, 3), 0)
    feed(connection, part(B, 4, 0, b"de"))
    assert (connection.arriving, connection.wasted_bytes) == ((B, 2), 3)
    connection.send(Cancel([B]))
    assert connection.wasted_bytes == 5
    feed(connection, part(A, 6, 0, b"abcdef"))
    assert (connection.arriving, connection.wasted_bytes) == ((b"", 0), 5)
    connection.send(Cancel([A]))
    assert connection.wasted_bytes == 5


def test_a_block_that_is_ended_though_we_cancelled_it_is_a_block():
    connection = ready()
    feed(connection, part(A, 4, 0, b"ab"))
    connection.send(Cancel([A]))
    assert feed(connection, part(A, 4, 2, b"cd")) == [Blocks([(A, b"abcd")])]
    assert connection.wasted_bytes == 0


@pytest.mark.parametrize("ended", [[], [1], [1 << 20] * 4])
def test_a_block_that_is_ended_makes_up_for_its_own_bytes_alone_and_not_beforehand(ended):
    connection, total = ready(), limits.MAX_PART_TOTAL_BYTES
    begun = packed(Kind.PART, A + struct.pack(">II", total, 0) + bytes(1 << 20))
    for _ in range(100):
        feed(connection, b"".join(part(B, size, 0, bytes(size)) for size in ended))
    with pytest.raises(RemoteProtocolError, match="does not end"):
        for _ in range(66):
            feed(connection, begun + part(B, 1, 0, b"x"))


def test_a_block_that_is_missing_after_some_parts_may_be_sent_again():
    connection = ready()
    data = part(A, 4, 0, b"ab") + frame(Kind.MISSING, A) + part(A, 4, 0, b"abcd")
    assert feed(connection, data) == [Missing([A]), Blocks([(A, b"abcd")])]


def test_unknown_types_and_keys_are_skipped():
    body = encode({b"agent": b"x", b"features": [b"?"], b"future": [1], b"port": 0, b"version": 9})
    connection = Connection(accepting=True, buffers=BufferPool())
    connection.send(Hello())
    assert feed(connection, frame(Kind.HELLO, body)) == [Hello(9, (b"?",), b"x", 0)]
    assert feed(connection, frame(77, b"future") + frame(Kind.PING)) == [Ping()]


@pytest.mark.parametrize(
    ("breach", "sentence"),
    [
        (frame(Kind.PING, length=0), "without a type"),
        (frame(Kind.PING, b"x"), "type 8"),
        (frame(Kind.HELLO, HELLO), "HELLO in state READY"),
        (frame(Kind.HEAD, length=limits.MAX_HEAD_BYTES + 2), "type 1"),
        (frame(Kind.HAVE, length=limits.MAX_HAVE_BYTES + 2), "type 2"),
        (frame(Kind.HAVE, b"de" + b"x"), "canonical"),
        (frame(Kind.HAVE, b"i1e"), "not a dictionary"),
        (frame(Kind.HAVE, encode({b"whole": A[:31]})), "31 bytes"),
        (frame(Kind.HAVE, encode({b"complete": b"x"})), "1 bytes"),
        (frame(Kind.HAVE, encode({b"gone": b"x"})), "1 bytes"),
        (frame(Kind.HAVE, encode({b"partial": [[A[:31], b"x"]]})), "pairs"),
        (frame(Kind.HAVE, encode({b"partial": [[A, b""]]})), "pairs"),
        (frame(Kind.HAVE, encode({b"partial": [[A]]})), "pairs"),
        (frame(Kind.HAVE, encode({b"partial": A})), "list"),
        (frame(Kind.WANT), "no list of ids"),
        (frame(Kind.WANT, A[:31]), "no list of ids"),
        (frame(Kind.WANT, length=limits.MAX_IDS_BYTES + 2), "type 3"),
        (frame(Kind.CANCEL, A[:31]), "no list of ids"),
        (frame(Kind.MISSING, A[:31]), "no list of ids"),
        (frame(Kind.BLOCKS), "cannot hold"),
        (frame(Kind.BLOCKS, struct.pack(">I", 0)), "cannot hold"),
        (frame(Kind.BLOCKS, struct.pack(">I", 1 << 31)), "cannot hold"),
        (frame(Kind.BLOCKS, struct.pack(">I32sI", 1, A, 0)), "without bytes"),
        (frame(Kind.BLOCKS, struct.pack(">I32sI", 1, A, 2) + b"x"), "add up"),
        (frame(Kind.BLOCKS, struct.pack(">I32sI", 1, A, 2) + b"xyz"), "add up"),
        (frame(Kind.BLOCKS, length=(1 << 20) + 1024 * 36 + 6), "type 5"),
        (frame(Kind.PART, A), "type 6"),
        (part(A, 0, 0), "of 0 bytes"),
        (part(A, (4 << 20) + 1, 0, b"x"), "a block of"),
        (part(A, 5, 0), "a part of 0"),
        (part(A, 5, 0, b"123456"), "a part of 6"),
        (part(A, 5, 1, b"1"), "does not continue"),
        (frame(Kind.PART, length=(1 << 20) + 42) + A + struct.pack(">II", 4 << 20, 0), "type 6"),
        (part(A, 5, 0, b"12") + part(B, 5, 2, b"1"), "does"),
        (part(A, 5, 0, b"12") + part(A, 5, 3, b"1"), "does"),
        (part(A, 5, 0, b"12") + part(A, 6, 2, b"1"), "does"),
        (frame(Kind.BYE, b"de"), "reason"),
        (frame(Kind.BYE, length=limits.MAX_BYE_BYTES + 2), "type 10"),
        (frame(Kind.BYE, encode({b"reason": b""})) + frame(Kind.PING), "CLOSED"),
        (frame(Kind.PACKED, struct.pack(">BI", Kind.BLOCKS, 1)), "compressed frame of 5"),
        (frame(Kind.PACKED, length=(1 << 20) + 7), "type 11"),
        (frame(Kind.PACKED, struct.pack(">BI", Kind.BLOCKS, 10) + b"junk of some length"), "damaged"),
        (packed(Kind.BLOCKS, bytes(100), length=99), "not of 99"),
        (packed(Kind.BLOCKS, bytes((1 << 20) + 1024 * 36 + 5)), "type 5"),
        (packed(Kind.WANT, A), "type 3"),
        (packed(Kind.BLOCKS, bytes(100)), "cannot hold"),
        (packed(Kind.PART, A), "a part of 32"),
        (packed(Kind.PART, A + struct.pack(">II", 5, 1) + b"1"), "does not continue"),
        (frame(Kind.PACKED, struct.pack(">BI", Kind.BLOCKS, 64) + UNSIZED), "not of 64"),
        (frame(Kind.PACKED, struct.pack(">BI", Kind.BLOCKS, 64) + packed_blocks(64)[:-5]), "damaged"),
        (frame(77, length=limits.MAX_UNKNOWN_BYTES + 2), "type 77"),
        (frame(77) * (limits.MAX_UNKNOWN_FRAMES + 1), "unknown here"),
    ],
)  # fmt: skip
def test_a_breach_of_the_protocol_is_refused(breach, sentence):
    with pytest.raises(RemoteProtocolError, match=sentence):
        feed(ready(), breach)


@pytest.mark.parametrize(
    "hello",
    [
        b"de",
        encode({b"agent": b"x", b"features": [], b"port": 65536, b"version": 1}),
        encode({b"agent": b"x", b"features": [], b"port": 0, b"version": 0}),
        encode({b"agent": b"x", b"features": [1], b"port": 0, b"version": 1}),
        encode({b"agent": 5, b"features": [], b"port": 0, b"version": 1}),
    ],
)
def test_a_bad_hello_is_refused(hello):
    connection = Connection(accepting=True, buffers=BufferPool())
    connection.send(Hello())
    with pytest.raises(RemoteProtocolError):
        feed(connection, frame(Kind.HELLO, hello))


@pytest.mark.parametrize("kind", [kind for kind in [*Kind, 77] if kind not in (Kind.HELLO, Kind.BYE)])
def test_a_stranger_that_has_not_said_hello_makes_us_keep_nothing(kind):
    connection = Connection(accepting=True, buffers=BufferPool())
    connection.send(Hello())
    body = A + struct.pack(">II", 4, 0) if kind == Kind.PART else b""
    with pytest.raises(RemoteProtocolError, match="OPENING"):
        feed(connection, frame(kind, body, length=1 if kind in (Kind.PING, Kind.PONG, Kind.CHOKE) else 100))


def test_the_dialler_may_not_speak_before_it_has_heard_the_other_side():
    with pytest.raises(LocalProtocolError, match="WAITING"):
        Connection(accepting=False, buffers=BufferPool()).send(Hello())


@pytest.mark.parametrize("message", [Hello(), Want([A] * 5000), HeadOffer(bytes(100_000))])
def test_we_may_not_break_the_protocol_either(message):
    with pytest.raises(LocalProtocolError):
        ready().send(message)


def test_every_state_can_end_and_nothing_follows_the_end():
    assert all(next_state(state, Step.EOF, blame=LocalProtocolError) is State.CLOSED for state in State)
    assert set(TRANSITIONS[State.CLOSED]) == {Step.EOF}


def test_the_end_of_the_stream_closes_their_side():
    connection = ready()
    assert connection.received(0) == []
    assert connection.theirs is State.CLOSED
