"""The golden frames of PROTOCOL.md, read from there: changing one breaks every peer in the field."""

import re
from pathlib import Path

import pytest

import p2psync.wire
from p2psync.ids import PeerAddress
from p2psync.wire.buffers import BufferPool
from p2psync.wire.connection import Connection
from p2psync.wire.messages import (
    Blocks,
    Bye,
    Cancel,
    Choke,
    Farewell,
    Have,
    HeadOffer,
    Hello,
    Kind,
    Missing,
    Packed,
    Part,
    Peers,
    Ping,
    Pong,
    Want,
    WantAny,
    Wish,
)

A, B = b"\xaa" * 32, b"\xbb" * 32
MESSAGES = {
    "hello": Hello(version=1, agent=b"p2psync", listen_port=1234),
    "head": HeadOffer(b"seed"),
    "have": Have(complete=[A], partial=[(B, b"\xa0\x80")]),
    "want": Want([A, B]),
    "wantany": WantAny([A, B]),
    "wish": Wish([A, B]),
    "cancel": Cancel([A]),
    "blocks": Blocks([(A, b"hi"), (B, b"you")]),
    "part": Part(A, 4, 2, b"ok"),
    "missing": Missing([A]),
    "ping": Ping(),
    "pong": Pong(),
    "bye": Bye(Farewell.CLOSING),
    "choke": Choke(True),
    "peers": Peers([PeerAddress("10.0.0.2", 8000), PeerAddress("2001:db8::1", 8001)]),
    "packed": Packed(Kind.BLOCKS, 56, bytes.fromhex("28b52ffd20389d00005800000001aa000000106869020039b934400b")),
}


def examples() -> dict[str, bytes]:
    text = (Path(p2psync.wire.__file__).parent / "PROTOCOL.md").read_text()
    return {
        name: bytes.fromhex(body.replace("{A}", A.hex()).replace("{B}", B.hex()))
        for name, body in re.findall(r"^    (\w+): ([0-9a-f{}AB ]+)$", text, re.MULTILINE)
        if name != "records"
    }


def ready() -> Connection:
    connection = Connection(accepting=True, buffers=BufferPool())
    connection.send(Hello())
    return connection


@pytest.mark.parametrize("name", MESSAGES)
def test_what_we_send_is_what_the_protocol_page_shows(name):
    connection = Connection(accepting=True, buffers=BufferPool())
    if name != "hello":
        connection.send(Hello())
    assert b"".join(connection.send(MESSAGES[name])).hex() == examples()[name].hex()


def test_the_page_has_one_example_of_each_message():
    assert set(examples()) == set(MESSAGES)
    assert sorted(frame[4] for frame in examples().values()) == sorted(Kind)
