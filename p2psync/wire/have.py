"""The body of a HAVE: read as what it nearly always is, in a tenth of the time that bencode in general takes."""

import re
from typing import NamedTuple

from p2psync import bencoding
from p2psync.bencoding import Value
from p2psync.blocks.block import split_ids
from p2psync.errors import RemoteProtocolError
from p2psync.ids import BLOCK_ID_BYTES, BlockId
from p2psync.wire.limits import MAX_STRANGE_HAVE_BYTES

_OCTETS = re.compile(rb"(0|[1-9][0-9]{0,6}):")
_PARTIAL = re.compile(rb"l32:(.{32})([1-9][0-9]{0,6}):", re.DOTALL)

_Partial = tuple[BlockId, bytes]


class HaveLists(NamedTuple):
    """The fields of a HAVE, as in `messages.Have`."""

    complete: list[BlockId]
    whole: list[BlockId]
    partial: list[_Partial]
    gone: list[BlockId]


class _StrangeError(Exception):
    """It has other keys too, or is broken."""


def parse_have(body: bytes) -> HaveLists:
    """Read a HAVE.

    Raises:
        RemoteProtocolError: It is none, or so long that keys which are not known here are not to be looked for.
    """
    try:
        return _parse_known(body)
    except _StrangeError:
        if len(body) > MAX_STRANGE_HAVE_BYTES:
            raise RemoteProtocolError(f"have: {len(body)} bytes that are not only what this version knows") from None
    fields = bencoding.Fields(bencoding.decode(body), of="have")

    def ids(key: bytes) -> list[BlockId]:
        return split_ids(fields.octets(key, multiple_of=BLOCK_ID_BYTES, default=b""))

    partial = [_parse_partial(item) for item in fields.items(b"partial", default=[])]
    return HaveLists(ids(b"complete"), ids(b"whole"), partial, ids(b"gone"))


def _parse_known(body: bytes) -> HaveLists:
    """Read a HAVE that is canonical and has no keys but those of this version."""
    at = _expect(body, 0, b"d")
    complete, at = _read_ids(body, at, b"8:complete")
    gone, at = _read_ids(body, at, b"4:gone")
    partial, at = _read_partial(body, at)
    whole, at = _read_ids(body, at, b"5:whole")
    if _expect(body, at, b"e") != len(body):
        raise _StrangeError
    return HaveLists(complete, whole, partial, gone)


def _expect(body: bytes, at: int, what: bytes) -> int:
    if not body.startswith(what, at):
        raise _StrangeError
    return at + len(what)


def _read_ids(body: bytes, at: int, key: bytes) -> tuple[list[BlockId], int]:
    if not body.startswith(key, at):
        return [], at
    length = _OCTETS.match(body, at + len(key))
    if length is None:
        raise _StrangeError
    end = length.end() + int(length[1])
    if int(length[1]) % BLOCK_ID_BYTES or end > len(body):
        raise _StrangeError
    return split_ids(body[length.end() : end]), end


def _read_partial(body: bytes, at: int) -> tuple[list[_Partial], int]:
    found: list[_Partial] = []
    if not body.startswith(b"7:partial", at):
        return found, at
    at = _expect(body, at, b"7:partiall")
    while head := _PARTIAL.match(body, at):
        end = head.end() + int(head[2])
        found.append((BlockId(head[1]), body[head.end() : end]))
        at = _expect(body, end, b"e")
    return found, _expect(body, at, b"e")


def _parse_partial(item: Value) -> _Partial:
    match item:
        case [bytes(page), bytes(bits)] if len(page) == BLOCK_ID_BYTES and bits:
            return BlockId(page), bits
    raise RemoteProtocolError("have: partial must hold pairs of a page id and its bits")
