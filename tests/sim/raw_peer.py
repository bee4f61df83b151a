"""A peer that is a script: raw wire bytes, right or wrong, over any stream. Shares no code with p2psync.wire."""

import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import bencodepy
import trio

HELLO, HEAD, HAVE, WANT, CANCEL, BLOCKS, PART, MISSING, PING, PONG, BYE = range(11)
WISH, CHOKE, WANT_ANY = 12, 14, 15
HELLO_BODY = {b"agent": b"raw", b"features": [], b"port": 0, b"version": 1}


class RawStream(Protocol):
    async def send_all(self, buffers: Sequence[bytes | bytearray | memoryview]) -> None: ...
    async def receive_into(self, buffer: memoryview) -> int: ...
    async def aclose(self) -> None: ...


Script = Callable[["RawPeer"], Awaitable[None]]


class RawPeer:
    """Frames by hand."""

    def __init__(self, stream: RawStream) -> None:
        self.stream = stream
        self._received = b""

    async def send_raw(self, data: bytes) -> None:
        await self.stream.send_all([data])

    async def send(self, kind: int, body: bytes = b"") -> None:
        await self.send_raw(struct.pack(">IB", len(body) + 1, kind) + body)

    async def send_control(self, kind: int, fields: dict[bytes, object]) -> None:
        await self.send(kind, bencodepy.encode(fields))

    async def send_blocks(self, blocks: Sequence[tuple[bytes, bytes]]) -> None:
        rows = b"".join(id_ + struct.pack(">I", len(data)) for id_, data in blocks)
        await self.send(BLOCKS, struct.pack(">I", len(blocks)) + rows + b"".join(data for _, data in blocks))

    async def hello(self, **fields: object) -> None:
        """Say HELLO; the side that accepted does so first, the other when it has read one."""
        await self.send_control(HELLO, HELLO_BODY | {key.encode(): value for key, value in fields.items()})

    async def read(self) -> tuple[int, bytes] | None:
        """Return the next frame's type and body, None at the end of the stream."""
        while len(self._received) < 4 or len(self._received) < 4 + int.from_bytes(self._received[:4], "big"):
            buffer = bytearray(65536)
            count = await self.stream.receive_into(memoryview(buffer))
            if not count:
                return None
            self._received += buffer[:count]
        end = 4 + int.from_bytes(self._received[:4], "big")
        frame, self._received = self._received[4:end], self._received[end:]
        return frame[0], frame[1:]

    async def read_until(self, kind: int) -> bytes:
        """Return the body of the next frame of a type, skipping others."""
        while True:
            frame = await self.read()
            if frame is None:
                raise EOFError(f"the stream ended before a frame of type {kind}")
            if frame[0] == kind:
                return frame[1]

    async def read_wanted(self) -> list[bytes]:
        """Return the ids of the next WANT, answering PING meanwhile."""
        while True:
            frame = await self.read()
            if frame is None:
                raise EOFError("the stream ended before a WANT")
            if frame[0] == WANT:
                return [frame[1][at : at + 32] for at in range(0, len(frame[1]), 32)]
            if frame[0] == PING:
                await self.send(PONG)

    async def read_to_end(self) -> list[tuple[int, bytes]]:
        """Return all frames up to the end of the stream."""
        frames = []
        try:
            while (frame := await self.read()) is not None:
                frames.append(frame)
        except trio.BrokenResourceError:
            pass
        return frames
