"""The messages of the protocol as values, and each one's body as bytes (PROTOCOL.md).

Control bodies are canonical bencode or packed ids; payloads are raw. Parsing a body raises RemoteProtocolError and
nothing else; encoding cuts nothing: who sends keeps to the limits.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from p2psync import bencoding
from p2psync.blocks.block import split_ids
from p2psync.errors import RemoteProtocolError
from p2psync.ids import BLOCK_ID_BYTES, BlockId, PeerAddress
from p2psync.wire import limits
from p2psync.wire.compact import ENTRY4_BYTES, ENTRY6_BYTES, encode_families, parse_peers
from p2psync.wire.have import parse_have

Buffer = bytes | bytearray | memoryview


class Kind(IntEnum):
    """Type byte of a frame."""

    HELLO = 0
    HEAD = 1
    HAVE = 2
    WANT = 3
    CANCEL = 4
    BLOCKS = 5
    PART = 6
    MISSING = 7
    PING = 8
    PONG = 9
    BYE = 10
    PACKED = 11
    WISH = 12
    PEERS = 13
    CHOKE = 14
    WANT_ANY = 15


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of either side.

    Attributes:
        version: Highest protocol version the sender speaks; the lower of both is spoken.
        features: Names of optional parts of the protocol; only what both name is used.
        agent: The program, for people to read.
        listen_port: Where the sender accepts links, 0 if nowhere.
    """

    version: int = limits.PROTOCOL_VERSION
    features: tuple[bytes, ...] = ()
    agent: bytes = b""
    listen_port: int = 0


@dataclass(frozen=True, slots=True)
class HeadOffer:
    """A signed head whose root and pages the sender holds; voids every HAVE it said before."""

    head: bytes


@dataclass(frozen=True, slots=True)
class Have:
    """What the sender can serve, in addition to what it said before.

    Attributes:
        complete: Roots of which it holds every page and block.
        whole: Pages of which it holds every block.
        partial: Pages of which it holds some blocks, each with a bit a block (first block in the highest bit).
        gone: Roots and pages about which everything said before is void; applied before the rest.
    """

    complete: Sequence[BlockId] = ()
    whole: Sequence[BlockId] = ()
    partial: Sequence[tuple[BlockId, bytes]] = ()
    gone: Sequence[BlockId] = ()


@dataclass(frozen=True, slots=True)
class Want:
    """Send me these blocks, most urgent first."""

    ids: Sequence[BlockId]


@dataclass(frozen=True, slots=True)
class WantAny:
    """Send me these blocks, after those of WANT, in whatever order suits you; feature `any`."""

    ids: Sequence[BlockId]


@dataclass(frozen=True, slots=True)
class Wish:
    """Send me any of these, in whatever order suits you, until I cancel them; feature `wish`."""

    ids: Sequence[BlockId]


@dataclass(frozen=True, slots=True)
class Cancel:
    """I no longer want these blocks; what is under way may still come."""

    ids: Sequence[BlockId]


@dataclass(frozen=True, slots=True)
class Missing:
    """You asked for these; I do not hold them (any more)."""

    ids: Sequence[BlockId]


@dataclass(frozen=True, slots=True)
class Blocks:
    """Whole blocks with their bytes, together at most `FRAME_PAYLOAD_BYTES` on the wire."""

    blocks: Sequence[tuple[BlockId, Buffer]]


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a block that is longer than a frame; parts of one block come in order, one block at a time."""

    id: BlockId
    total: int
    offset: int
    payload: Buffer


@dataclass(frozen=True, slots=True)
class Packed:
    """A BLOCKS or PART frame, compressed (`wire.compression`).

    Attributes:
        kind: Its type.
        length: Length of its body.
        data: The body as one zstd frame.
        payload_bytes: What the payload in it has; known to the sender, does not travel.
    """

    kind: int
    length: int
    data: Buffer
    payload_bytes: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there."""


@dataclass(frozen=True, slots=True)
class Pong:
    """Yes."""


@dataclass(frozen=True, slots=True)
class Choke:
    """I drop all that you asked me for, and what you ask until I say the opposite; feature `choke`."""

    choked: bool


@dataclass(frozen=True, slots=True)
class Peers:
    """Where other members of the folder accept links, as far as the sender knows: IP addresses, at least one."""

    addresses: Sequence[PeerAddress]


class Feature:
    """Optional parts of the protocol, as HELLO names them."""

    ANY = b"any"
    """WANT_ANY is understood."""
    WISH = b"wish"
    """WISH is understood."""
    CHOKE = b"choke"
    """CHOKE is understood."""
    PEERS = b"peers"
    """PEERS is read."""
    ZSTD = b"zstd"
    """PACKED is read."""
    PROVISIONAL = b"provisional"
    """Heads of format 2 are understood."""


class Farewell:
    """Reasons of BYE that we give; others may come."""

    DUPLICATE = b"duplicate"
    """Another link between the same two devices stays."""
    SELF = b"self"
    """Both ends are the same device."""
    CLOSING = b"closing"
    """The program or the folder stops."""
    BUSY = b"busy"
    """Too many links."""
    PROTOCOL = b"protocol"
    """You broke the protocol."""


@dataclass(frozen=True, slots=True)
class Bye:
    """The sender closes the link after this."""

    reason: bytes


_Control = Hello | HeadOffer | Have | Peers | Choke | Ping | Pong | Bye
Message = _Control | Want | WantAny | Wish | Cancel | Missing | Blocks | Part | Packed

PART_HEAD = struct.Struct(">32sII")
_BLOCK_ROW = struct.Struct(">32sI")
_COUNT = struct.Struct(">I")
_PACKED_HEAD = struct.Struct(">BI")

MAX_BODY_BYTES: Mapping[int, int] = {
    Kind.HELLO: limits.MAX_HELLO_BYTES,
    Kind.HEAD: limits.MAX_HEAD_BYTES,
    Kind.HAVE: limits.MAX_HAVE_BYTES,
    Kind.WANT: limits.MAX_IDS_BYTES,
    Kind.CANCEL: limits.MAX_IDS_BYTES,
    Kind.BLOCKS: _COUNT.size + limits.BLOCKS_PER_FRAME * _BLOCK_ROW.size + limits.FRAME_PAYLOAD_BYTES,
    Kind.PART: PART_HEAD.size + limits.FRAME_PAYLOAD_BYTES,
    Kind.MISSING: limits.MAX_IDS_BYTES,
    Kind.PING: 0,
    Kind.PONG: 0,
    Kind.BYE: limits.MAX_BYE_BYTES,
    Kind.PEERS: limits.MAX_PEERS_BYTES,
    Kind.PACKED: _PACKED_HEAD.size + limits.FRAME_PAYLOAD_BYTES,
    Kind.WISH: limits.MAX_IDS_BYTES,
    Kind.CHOKE: 1,
    Kind.WANT_ANY: limits.MAX_IDS_BYTES,
}


def encode_body(message: Message) -> tuple[Kind, list[Buffer]]:
    """Return a message's type and the buffers that make up its body; payloads are not copied."""
    match message:
        case Blocks(blocks):
            rows = b"".join([_BLOCK_ROW.pack(id_, len(data)) for id_, data in blocks])
            return Kind.BLOCKS, [_COUNT.pack(len(blocks)) + rows, *(data for _, data in blocks)]
        case Part(id_, total, offset, payload):
            return Kind.PART, [PART_HEAD.pack(id_, total, offset), payload]
        case Want(ids) | WantAny(ids) | Wish(ids) | Cancel(ids) | Missing(ids):
            return _IDS_KINDS[type(message)], [b"".join(ids)]
        case Packed(kind, length, data):
            return Kind.PACKED, [_PACKED_HEAD.pack(kind, length), data]
        case _:
            return _encode_control(message)


def payload_bytes(message: Message) -> int:
    """Return how many bytes of blocks a message carries."""
    match message:
        case Blocks(blocks):
            return sum([len(data) for _, data in blocks])
        case Part():
            return len(message.payload)
        case Packed():
            return message.payload_bytes
    return 0


def _encode_control(message: _Control) -> tuple[Kind, list[Buffer]]:
    fields: dict[bytes, object]
    match message:
        case Ping() | Pong():
            return Kind.PING if isinstance(message, Ping) else Kind.PONG, []
        case HeadOffer(head):
            return Kind.HEAD, [head]
        case Choke(choked):
            return Kind.CHOKE, [bytes([choked])]
        case Hello(version, features, agent, listen_port):
            kind = Kind.HELLO
            fields = {b"agent": agent, b"features": list(features), b"port": listen_port, b"version": version}
        case Have(complete, whole, partial, gone):
            kind = Kind.HAVE
            packed = {b"complete": complete, b"gone": gone, b"whole": whole}
            fields = {key: b"".join(ids) for key, ids in packed.items() if ids}
            if partial:
                fields[b"partial"] = [[page, bits] for page, bits in partial]
        case Peers(addresses):
            families = zip((b"v4", b"v6"), encode_families(addresses), strict=True)
            kind, fields = Kind.PEERS, {key: entries for key, entries in families if entries}
        case Bye(reason):
            kind, fields = Kind.BYE, {b"reason": reason}
    return kind, [bencoding.encode(fields)]


def parse_body(kind: int, body: memoryview) -> Message | None:
    """Return the message that a frame other than PART holds, or None where the type is not known.

    The payloads of Blocks are views on `body`.

    Raises:
        RemoteProtocolError: The body is not what its type says.
    """
    parse = _PARSERS.get(kind)
    return None if parse is None else parse(body)


def _parse_hello(body: memoryview) -> Hello:
    fields = bencoding.Fields(bencoding.decode(bytes(body)), of="hello")
    return Hello(
        version=fields.number(b"version", low=1),
        features=tuple(fields.octet_strings(b"features")),
        agent=fields.octets(b"agent"),
        listen_port=fields.number(b"port", high=65535),
    )


def _parse_have(body: memoryview) -> Have:
    return Have(*parse_have(bytes(body)))


def _parse_ids(body: memoryview) -> list[BlockId]:
    if not body or len(body) % BLOCK_ID_BYTES:
        raise RemoteProtocolError(f"{len(body)} bytes that are no list of ids")
    return split_ids(bytes(body))


def _parse_blocks(body: memoryview) -> Blocks:
    count = int.from_bytes(body[: _COUNT.size], "big")
    at = _COUNT.size + count * _BLOCK_ROW.size
    if not 1 <= count <= limits.BLOCKS_PER_FRAME or at > len(body):
        raise RemoteProtocolError(f"a frame of {len(body)} bytes cannot hold {count} blocks")
    blocks = []
    for id_, length in _BLOCK_ROW.iter_unpack(body[_COUNT.size : at]):
        if not length:
            raise RemoteProtocolError("a block without bytes")
        blocks.append((BlockId(id_), body[at : at + length]))
        at += length
    if at != len(body):
        raise RemoteProtocolError("the lengths of blocks do not add up to their frame")
    return Blocks(blocks)


def _parse_packed(body: memoryview) -> Packed:
    if len(body) <= _PACKED_HEAD.size:
        raise RemoteProtocolError(f"a compressed frame of {len(body)} bytes")
    kind, length = _PACKED_HEAD.unpack_from(body)
    return Packed(kind, length, body[_PACKED_HEAD.size :])


def _parse_peers(body: memoryview) -> Peers:
    fields = bencoding.Fields(bencoding.decode(bytes(body)), of="peers")
    v4 = fields.octets(b"v4", multiple_of=ENTRY4_BYTES, default=b"")
    v6 = fields.octets(b"v6", multiple_of=ENTRY6_BYTES, default=b"")
    addresses = parse_peers(v4) + parse_peers(v6, entry_bytes=ENTRY6_BYTES)
    if not 1 <= len(addresses) <= limits.PEERS_PER_MESSAGE:
        raise RemoteProtocolError(f"peers: {len(addresses)} addresses in one message")
    return Peers(addresses)


def _parse_choke(body: memoryview) -> Choke:
    if bytes(body) not in (b"\0", b"\1"):
        raise RemoteProtocolError("choke: neither yes nor no")
    return Choke(bytes(body) == b"\1")


def _parse_bye(body: memoryview) -> Bye:
    return Bye(bencoding.Fields(bencoding.decode(bytes(body)), of="bye").octets(b"reason"))


_IDS_KINDS: Mapping[type[Message], Kind] = {
    Want: Kind.WANT,
    WantAny: Kind.WANT_ANY,
    Wish: Kind.WISH,
    Cancel: Kind.CANCEL,
    Missing: Kind.MISSING,
}

_PARSERS: Mapping[int, Callable[[memoryview], Message]] = {
    Kind.HELLO: _parse_hello,
    Kind.HEAD: lambda body: HeadOffer(bytes(body)),
    Kind.HAVE: _parse_have,
    Kind.WANT: lambda body: Want(_parse_ids(body)),
    Kind.CANCEL: lambda body: Cancel(_parse_ids(body)),
    Kind.MISSING: lambda body: Missing(_parse_ids(body)),
    Kind.BLOCKS: _parse_blocks,
    Kind.PING: lambda body: Ping(),
    Kind.CHOKE: _parse_choke,
    Kind.PONG: lambda body: Pong(),
    Kind.BYE: _parse_bye,
    Kind.PEERS: _parse_peers,
    Kind.PACKED: _parse_packed,
    Kind.WISH: lambda body: Wish(_parse_ids(body)),
    Kind.WANT_ANY: lambda body: WantAny(_parse_ids(body)),
}
