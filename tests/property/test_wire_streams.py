"""However a stream is cut, it means the same; whatever bytes come, only RemoteProtocolError is raised."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from p2psync.errors import RemoteProtocolError
from p2psync.ids import BlockId
from p2psync.wire.buffers import BufferPool
from p2psync.wire.compression import pack, unpack
from p2psync.wire.connection import Connection
from p2psync.wire.messages import (
    Blocks,
    Cancel,
    Have,
    HeadOffer,
    Hello,
    Kind,
    Message,
    Missing,
    Packed,
    Part,
    Ping,
    Pong,
    Want,
    parse_body,
)

ids = st.binary(min_size=32, max_size=32)
id_lists = st.lists(ids, min_size=1, max_size=5)
payloads = st.integers(1, 100_000).map(lambda n: (n.to_bytes(4, "big") * (n // 4 + 1))[:n])
messages = st.one_of(
    st.builds(HeadOffer, st.binary(max_size=200)),
    st.builds(
        Have, id_lists, id_lists, st.lists(st.tuples(ids, st.binary(min_size=1, max_size=40)), max_size=3), id_lists
    ),
    st.builds(Want, id_lists),
    st.builds(Cancel, id_lists),
    st.builds(Missing, id_lists),
    st.builds(Blocks, st.lists(st.tuples(ids, payloads), min_size=1, max_size=4)),
    st.builds(lambda id_, data: Part(id_, len(data), 0, data), ids, payloads),
    st.builds(lambda id_, data: pack(Part(id_, len(data), 0, data)), ids, payloads),
    st.builds(lambda blocks: pack(Blocks(blocks)), st.lists(st.tuples(ids, payloads), min_size=1, max_size=4)),
    st.just(Ping()),
    st.just(Pong()),
)


def ready() -> Connection:
    connection, other = (
        Connection(accepting=True, buffers=BufferPool()),
        Connection(accepting=False, buffers=BufferPool()),
    )
    feed(other, b"".join(connection.send(Hello())), [])
    feed(connection, b"".join(other.send(Hello())), [])
    return connection


def feed(connection: Connection, data: bytes, cuts: list[int]) -> list[Message]:
    heard: list[Message] = []
    steps = iter(cuts)
    while data:
        space = connection.writable()
        assert len(space) > 0
        count = min(next(steps, 1 << 20), len(space), len(data))
        space[:count] = data[:count]
        heard += [frozen(message) for message in connection.received(count)]
        data = data[count:]
    return heard


def frozen(message: Message) -> Message:
    if isinstance(message, Packed):
        body = unpack(message)
        return frozen(parse_body(Kind.BLOCKS, body)) if message.kind == Kind.BLOCKS else alone(body[:32], body[40:])
    if isinstance(message, Part):
        return alone(message.id, message.payload)
    if isinstance(message, Blocks):
        return Blocks([(id_, bytes(data)) for id_, data in message.blocks])
    return message


def alone(id_: bytes, data: bytes | memoryview) -> Blocks:
    return Blocks([(BlockId(bytes(id_)), bytes(data))])


@given(
    sent=st.lists(messages, max_size=8),
    cuts=st.lists(st.one_of(st.integers(1, 60), st.integers(1, 70_000)), max_size=60),
)
def test_any_cut_of_a_stream_gives_the_messages_that_were_sent(sent, cuts):
    sender = ready()
    data = b"".join(bytes(buffer) for message in sent for buffer in sender.send(message))
    assert feed(ready(), data, cuts) == [frozen(message) for message in sent]


@settings(max_examples=300)
@given(
    junk=st.one_of(
        st.binary(max_size=300),
        st.tuples(st.integers(0, 13), st.binary(max_size=200)).map(
            lambda t: (len(t[1]) + 1).to_bytes(4, "big") + bytes([t[0]]) + t[1]
        ),
    ),
    cuts=st.lists(st.integers(1, 60), max_size=20),
)
def test_junk_raises_nothing_but_remote_protocol_error(junk, cuts):
    with contextlib.suppress(RemoteProtocolError):
        feed(ready(), junk, cuts)
