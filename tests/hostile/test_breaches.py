"""Members that break the protocol lose their link at once, and nothing else happens: to a share, and to a follower."""

import contextlib
import ssl
import struct
from dataclasses import dataclass

import pytest

from p2psync.swarm.tls import make_device_key
from tests.e2e.compare import differences
from tests.e2e.program import Program, follow, get
from tests.hostile.raw_link import (
    BLOCKS,
    BYE,
    CANCEL,
    HAVE,
    HEAD,
    HELLO,
    MISSING,
    PART,
    PING,
    PONG,
    WANT,
    RawLink,
    blocks_frame,
    dial,
    frame,
    header,
    part_frame,
)

MIB = 1 << 20
ID = b"\xaa" * 32
OTHER_ID = b"\xbb" * 32
UNKNOWN = 200


def many_ids(count, first=0):
    return [number.to_bytes(32, "big") for number in range(first, first + count)]


def packed(ids):
    return b"".join(ids)


# What a member says after both HELLOs.
BREACHES = {
    "a frame of 4 GiB": b"\xff\xff\xff\xff\x05",
    "a frame without a type": b"\x00\x00\x00\x00\x00",
    "a second HELLO": frame(HELLO, b"d5:agent0:8:featuresle4:porti0e7:versioni1ee"),
    "a HEAD that is too long": header(HEAD, (64 << 10) + 1),
    "a HAVE that is too long": header(HAVE, (512 << 10) + 1),
    "a WANT of too many ids in a frame": header(WANT, 4097 * 32),
    "a BLOCKS that is too long": header(BLOCKS, 4 + 1024 * 36 + MIB + 1),
    "a PART that is too long": header(PART, 40 + MIB + 1) + ID + struct.pack(">II", 4 * MIB, 0),
    "a PING with a body": header(PING, 1),
    "a BYE that is too long": header(BYE, (1 << 10) + 1),
    "an unknown frame that is too long": header(UNKNOWN, MIB + 1),
    "1,001 unknown frames": frame(UNKNOWN) * 1001,
    "no ids": frame(WANT),
    "half an id": frame(CANCEL, ID[:16]),
    "400,000 ids wanted": b"".join(frame(WANT, packed(many_ids(4096, at))) for at in range(0, 400_000, 4096)),
    "bencode: garbage": frame(HAVE, b"no bencode"),
    "bencode: keys not sorted": frame(HAVE, b"d5:whole32:" + ID + b"4:gone32:" + ID + b"e"),
    "bencode: a key twice": frame(HAVE, b"d4:gone32:" + ID + b"4:gone32:" + ID + b"e"),
    "bencode: a leading zero": frame(HAVE, b"d1:xi01ee"),
    "bencode: minus zero": frame(HAVE, b"d1:xi-0ee"),
    "bencode: a length with a leading zero": frame(HAVE, b"d01:x0:e"),
    "bencode: something behind the end": frame(HAVE, b"de0:"),
    "bencode: 100,000 lists": frame(HAVE, b"d1:x" + b"l" * 100_000 + b"e" * 100_001),
    "bencode: a number of 100,000 digits": frame(HAVE, b"d1:xi1" + b"0" * 100_000 + b"ee"),
    "bencode: no dictionary": frame(HAVE, b"le"),
    "a HAVE of half an id": frame(HAVE, b"d8:complete16:" + ID[:16] + b"e"),
    "a HAVE with bits of no page": frame(HAVE, b"d7:partialll0:1:\x80eee"),
    "a HAVE with no bits": frame(HAVE, b"d7:partialll32:" + ID + b"0:eee"),
    "a page whose bits change their number": frame(
        HAVE, b"d7:partialll32:" + ID + b"1:\x80el32:" + ID + b"2:\x80\x80eee"
    ),
    "BLOCKS of none": frame(BLOCKS, bytes(4)),
    "BLOCKS of more than there are": frame(BLOCKS, struct.pack(">I", 2) + ID + struct.pack(">I", 1) + b"x"),
    "BLOCKS of 4 billion": frame(BLOCKS, b"\xff" * 4 + bytes(36)),
    "BLOCKS with an empty block": frame(BLOCKS, struct.pack(">I", 1) + ID + bytes(4)),
    "BLOCKS that do not fill their frame": blocks_frame([(ID, b"x")])[:3]
    + bytes([blocks_frame([(ID, b"x")])[3] + 1])
    + blocks_frame([(ID, b"x")])[4:]
    + b"y",
    "a PART without payload": part_frame(ID, 10, 0, b""),
    "a PART of a block of no bytes": part_frame(ID, 0, 0, b"x"),
    "a PART of a block of more than 4 MiB": part_frame(ID, 4 * MIB + 1, 0, b"x"),
    "a PART beyond the end": part_frame(ID, 4, 0, b"12345"),
    "PARTs beyond the end": part_frame(ID, 4, 0, b"123") + part_frame(ID, 4, 3, b"45"),
    "PARTs that overlap": part_frame(ID, 10, 0, b"1234") + part_frame(ID, 10, 2, b"34"),
    "PARTs with a gap": part_frame(ID, 10, 0, b"1234") + part_frame(ID, 10, 6, b"78"),
    "PARTs that repeat": part_frame(ID, 10, 0, b"1234") + part_frame(ID, 10, 4, b"5") + part_frame(ID, 10, 4, b"5"),
    "PARTs of two blocks mixed": part_frame(ID, 10, 0, b"1234") + part_frame(OTHER_ID, 10, 4, b"5"),
    "PARTs that change the total": part_frame(ID, 10, 0, b"1234") + part_frame(ID, 11, 4, b"5"),
    "a PART out of nowhere": part_frame(ID, 10, 5, b"12345"),
    "a message after BYE": frame(BYE, b"d6:reason7:closinge") + frame(PING),
    "a forged HEAD": frame(HEAD, b"d4:head0:3:sig64:" + bytes(64) + b"e"),
}

# What a member says instead of its HELLO.
BREACHES_AT_FIRST = {
    "anything before HELLO": frame(PING),
    "a WANT before HELLO": frame(WANT, ID),
    "an unknown frame before HELLO": frame(UNKNOWN),
    "a HELLO that is too long": header(HELLO, (4 << 10) + 1),
    "a HELLO without a version": frame(HELLO, b"d5:agent0:8:featuresle4:porti0ee"),
    "a HELLO of version 0": frame(HELLO, b"d5:agent0:8:featuresle4:porti0e7:versioni0ee"),
    "a HELLO with a port of 70,000": frame(HELLO, b"d5:agent0:8:featuresle4:porti70000e7:versioni1ee"),
    "a HELLO with no list of features": frame(HELLO, b"d5:agent0:8:features0:4:porti0e7:versioni1ee"),
    "a HELLO that is no bencode": frame(HELLO, b"hello"),
    "a request of the web": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}

# What is strange and yet allowed.
ALLOWED = {
    "unknown frames": frame(UNKNOWN, b"of the future") + frame(255) + frame(UNKNOWN, bytes(MIB)),
    "unknown keys": frame(HAVE, b"d4:gone32:" + ID + b"5:novel5:thinge"),
    "an empty HAVE": frame(HAVE, b"de"),
    "PONGs that answer nothing": frame(PONG) * 100,
    "CANCEL of what was never wanted": frame(CANCEL, ID),
    "MISSING of what was never wanted": frame(MISSING, ID),
    "a block that nobody wanted": blocks_frame([(ID, b"not what its id says")]),
    "a block in parts that nobody wanted": part_frame(ID, 10, 0, b"1234") + part_frame(ID, 10, 4, b"567890"),
    "a block begun and abandoned": part_frame(ID, 10, 0, b"1234") + part_frame(OTHER_ID, 3, 0, b"123"),
    "messages between parts": part_frame(ID, 10, 0, b"1234") + frame(PING) + part_frame(ID, 10, 4, b"567890"),
    "the same id wanted again and again": frame(WANT, ID * 100) * 10,
}


@dataclass
class Attacked:
    """A running program that members may dial."""

    program: Program
    address: str


@pytest.fixture(scope="module", params=["share", "sync"])
def attacked(request, origin, tmp_path_factory):
    """The share itself, and somebody who follows it and has everything."""
    if request.param == "share":
        yield Attacked(origin.program, origin.address)
        return
    target = tmp_path_factory.mktemp("follower") / "b"
    with follow(origin.code, target, "--peer", origin.address) as program:
        address = program.wait_event("listening")["listen"]
        program.wait_event("matched")
        yield Attacked(program, address)
        assert program.is_running()
    assert differences(origin.folder, target) == []


def connect(attacked, origin) -> RawLink:
    return dial(attacked.address, origin.keys)


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_ends_the_link(attacked, origin, breach):
    with connect(attacked, origin) as link:
        link.greet(accepted=False)
        with contextlib.suppress(ConnectionError, ssl.SSLError):  # it may not wait for all of it
            link.send_raw(BREACHES[breach])
        assert_farewell(link.read_to_end())
    assert_serves(attacked, origin)


@pytest.mark.parametrize("breach", BREACHES_AT_FIRST)
def test_a_breach_instead_of_a_hello_ends_the_link(attacked, origin, breach):
    with connect(attacked, origin) as link:
        link.read_until(HELLO)
        link.send_raw(BREACHES_AT_FIRST[breach])
        assert_farewell(link.read_to_end())
    assert_serves(attacked, origin)


def assert_farewell(frames):
    """The last word may be a BYE that tells nothing but that the protocol was broken."""
    byes = [body for kind, body in frames if kind == BYE]
    assert byes in ([], [b"d6:reason8:protocole"], [b"d6:reason7:closinge"])
    assert not byes or frames[-1][0] == BYE


def assert_serves(attacked, origin):
    """Somebody else is served as if nothing had happened."""
    with connect(attacked, origin) as link:
        link.greet(accepted=False)
        link.send(WANT, origin.version.root)
        assert link.read_until(BLOCKS)[40:] == origin.version.blocks[origin.version.root]


@pytest.mark.parametrize("oddity", ALLOWED)
def test_what_is_allowed_does_not_end_the_link(attacked, origin, oddity):
    with connect(attacked, origin) as link:
        link.greet(accepted=False)
        link.send_raw(ALLOWED[oddity])
        assert link.is_alive()


def test_a_version_and_features_of_the_future_are_welcome(attacked, origin):
    with connect(attacked, origin) as link:
        link.read_until(HELLO)
        link.hello(version=1 << 40, features=[b"time travel"], novelty=[1, {b"a": b"b"}])
        assert link.is_alive()


def test_what_is_not_held_is_told_missing(attacked, origin):
    with connect(attacked, origin) as link:
        link.greet(accepted=False)
        link.send(WANT, ID + origin.version.root)
        assert link.read_until(MISSING) == ID


def test_who_breaks_the_protocol_may_come_again_but_who_forges_a_head_may_not(attacked, origin):
    for breach, may_return in (("a second HELLO", True), ("a forged HEAD", False)):
        device_key = make_device_key()
        with dial(attacked.address, origin.keys, device_key) as link:
            link.greet(accepted=False)
            link.send_raw(BREACHES[breach])
            link.read_to_end()
        with dial(attacked.address, origin.keys, device_key) as link:
            if may_return:
                link.greet(accepted=False)
                assert link.is_alive()
            else:
                assert [kind for kind, _ in link.read_to_end()] == [BYE]


def test_after_all_this_a_get_completes(attacked, origin, tmp_path):
    with get(origin.code, tmp_path / "b", "--peer", attacked.address) as getter:
        getter.complete()
    assert differences(origin.folder, tmp_path / "b") == []
