"""Hosts in one process under virtual time: memory streams with uplinks of limited rate, partitions, silent deaths."""

import hashlib
import math
from collections import deque
from collections.abc import Sequence

import trio

from p2psync.ids import DeviceId, PeerAddress

PIPE_BYTES = 256 << 10
CHUNK_BYTES = 32 << 10


def device_id(name: str) -> DeviceId:
    return DeviceId(hashlib.sha256(name.encode()).digest())


class Pipe:
    """One direction of a stream."""

    def __init__(self) -> None:
        self.chunks: deque[memoryview] = deque()
        self.size = 0
        self.ended = self.broken = False
        self.changed = trio.Event()

    def change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


class Host:
    """A machine with an uplink, which all its streams share."""

    def __init__(self, name: str, rate_bytes_per_s: float = math.inf) -> None:
        self.name = name
        self.device = device_id(name)
        self.rate_bytes_per_s = rate_bytes_per_s
        self.sent_bytes = 0
        self.streams: list[SimStream] = []
        self._uplink = trio.Lock()

    async def use_uplink(self, count: int) -> None:
        self.sent_bytes += count
        if self.rate_bytes_per_s != math.inf:
            async with self._uplink:
                await trio.sleep(count / self.rate_bytes_per_s)


class SimStream:
    """One end: what `swarm.link.Stream` asks for."""

    unread_bytes = 0
    shares_line = False

    def __init__(self, net: "Net", host: Host, peer: Host, outgoing: Pipe, incoming: Pipe) -> None:
        self.device = peer.device
        self.remote_host = peer.name
        self._net, self._host, self._peer = net, host, peer
        self._outgoing, self._incoming = outgoing, incoming
        host.streams.append(self)

    async def send_all(self, buffers: Sequence[bytes | bytearray | memoryview]) -> None:
        await trio.lowlevel.checkpoint()
        for buffer in buffers:
            view = memoryview(buffer)
            for at in range(0, len(view), CHUNK_BYTES):
                await self._send(view[at : at + CHUNK_BYTES])

    async def _send(self, chunk: memoryview) -> None:
        pipe = self._outgoing
        await self._host.use_uplink(len(chunk))
        while not pipe.broken and (pipe.size >= PIPE_BYTES or self._net.is_cut(self._host, self._peer)):
            await pipe.changed.wait()
        if pipe.broken or pipe.ended:
            raise trio.BrokenResourceError("the other end is gone")
        pipe.chunks.append(memoryview(bytes(chunk)))
        pipe.size += len(chunk)
        pipe.change()

    async def receive_into(self, buffer: memoryview) -> int:
        await trio.lowlevel.checkpoint()
        pipe = self._incoming
        while not pipe.chunks:
            if pipe.broken:
                raise trio.BrokenResourceError("the other end is gone")
            if pipe.ended:
                return 0
            await pipe.changed.wait()
        filled = 0
        while pipe.chunks and filled < len(buffer):
            chunk = pipe.chunks.popleft()
            part = chunk[: len(buffer) - filled]
            buffer[filled : filled + len(part)] = part
            filled += len(part)
            if len(part) < len(chunk):
                pipe.chunks.appendleft(chunk[len(part) :])
        pipe.size -= filled
        pipe.change()
        return filled

    def share_line(self) -> None:
        self.shares_line = True

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        if self in self._host.streams:
            self._host.streams.remove(self)
        self._outgoing.ended = True
        self._incoming.broken = True
        if not self._net.is_cut(self._host, self._peer):
            self._outgoing.change()
            self._incoming.change()


class Net:
    """Who listens where, and which hosts cannot hear each other."""

    def __init__(self) -> None:
        self._listeners: dict[PeerAddress, tuple[Host, trio.MemorySendChannel[SimStream]]] = {}
        self._cut: set[Host] = set()
        self._names: dict[DeviceId, str] = {}

    def name_of(self, device: DeviceId) -> str:
        """Return the host name of a device that ever listened, or nothing."""
        return self._names.get(device, "")

    def listen(self, host: Host, address: PeerAddress) -> trio.MemoryReceiveChannel[SimStream]:
        send, receive = trio.open_memory_channel[SimStream](100)
        self._listeners[address] = (host, send)
        self._names[host.device] = host.name
        return receive

    def stop(self, address: PeerAddress) -> None:
        self._listeners.pop(address, None)

    def is_cut(self, one: Host, other: Host) -> bool:
        return one in self._cut or other in self._cut

    def cut(self, host: Host) -> None:
        """Nothing that this host sends or is sent arrives, and nobody is told."""
        self._cut.add(host)

    def heal(self, host: Host) -> None:
        self._cut.discard(host)
        for stream in list(host.streams):
            stream._outgoing.change()
            stream._incoming.change()

    async def dial(self, host: Host, address: PeerAddress) -> SimStream:
        await trio.sleep(0.001)
        if address not in self._listeners:
            raise OSError("connection refused")
        peer, accepted = self._listeners[address]
        if self.is_cut(host, peer):
            await trio.sleep_forever()
        up, down = Pipe(), Pipe()
        await accepted.send(SimStream(self, peer, host, down, up))
        return SimStream(self, host, peer, up, down)
