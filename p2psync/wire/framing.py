"""Byte stream to frames without copying long ones.

A frame is a u32 big-endian length of what follows, a type byte, and a body. Between frames bytes are read into a small
staging buffer; once a frame's header is known, its body has a buffer of its own, which the rest is read into directly.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from p2psync.errors import RemoteProtocolError
from p2psync.wire.limits import STAGING_BYTES

_HEADER = struct.Struct(">IB")

Place = Callable[[int, memoryview, int], memoryview]
"""(type, the body's fixed first bytes, length of the rest) to the buffer that the rest goes to."""


class Frame(NamedTuple):
    """One frame; nothing else refers to `body`'s buffer unless `place` made it so."""

    kind: int
    body: memoryview


def frame_header(kind: int, body_bytes: int) -> bytes:
    """Return what precedes a body on the wire."""
    return _HEADER.pack(body_bytes + 1, kind)


class FrameReader:
    """Cuts received bytes into frames.

    Args:
        place: Judges a frame by its header, before its body is kept, and says where the body goes.
        prefixes: Bytes at the start of the body that `place` wants to see, by type; they are not part of `Frame.body`.
        payload_kinds: Types whose bodies count as payload.
    """

    def __init__(self, place: Place, prefixes: Mapping[int, int], payload_kinds: frozenset[int]) -> None:
        self._place = place
        self._prefixes = prefixes
        self._payload_kinds = payload_kinds
        self._staging = memoryview(bytearray(STAGING_BYTES))
        self._staged = 0
        self._kind = -1
        self._body: memoryview | None = None
        self._filled = 0
        self.payload_bytes = 0
        """Payload received so far, that of unfinished frames included."""

    def writable(self) -> memoryview:
        """Return where the next received bytes must be put; never empty."""
        if self._body is not None:
            return self._body[self._filled :]
        return self._staging[self._staged :]

    def received(self, count: int) -> Iterator[Frame]:
        """Take note that `count` bytes were put at `writable()`; yield the frames that are complete now.

        Raises:
            RemoteProtocolError: By `place`, or for a frame without a type; the reader is of no use afterwards.
        """
        if self._body is None:
            self._staged += count
            yield from self._cut_staged()
            return
        self._fill(count)
        if self._filled == len(self._body):
            yield self._finish()

    def forget(self) -> None:
        """Let go of a body that is not complete; of no use afterwards."""
        self._body = None

    def _cut_staged(self) -> Iterator[Frame]:
        staging, at, end = self._staging, 0, self._staged
        while end - at >= _HEADER.size:
            length, kind = _HEADER.unpack_from(staging, at)
            if not length:
                raise RemoteProtocolError("a frame without a type")
            start = at + _HEADER.size
            prefix = self._prefixes.get(kind, 0)
            if length - 1 < prefix:
                raise RemoteProtocolError(f"a frame of type {kind} with {length - 1} bytes")
            if end - start < prefix:
                break
            begin = start + prefix
            self._kind, self._filled = kind, 0
            body = self._body = self._place(kind, staging[start:begin], length - 1 - prefix)
            at = min(end, begin + len(body))
            body[: at - begin] = staging[begin:at]
            self._fill(at - begin)
            if self._filled < len(body):
                self._staged = 0
                return
            yield self._finish()
        self._staged = end - at
        staging[: self._staged] = bytes(staging[at:end])

    def _fill(self, count: int) -> None:
        self._filled += count
        if self._kind in self._payload_kinds:
            self.payload_bytes += count

    def _finish(self) -> Frame:
        body, self._body = self._body, None
        assert body is not None  # noqa: S101 - for the type checker; only called with a body
        return Frame(self._kind, body)
