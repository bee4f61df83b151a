"""A connection to another member of the folder, made for bulk: TLS for the introduction, then records of our own.

One await moves a record of up to 1 MiB, which is decrypted straight into the caller's buffer (`wire.records` says why
that is not TLS's own record).
"""

import ssl
from collections.abc import Iterator, Sequence

import trio

from p2psync.errors import RemoteProtocolError
from p2psync.ids import DeviceId
from p2psync.swarm.incoming import Incoming
from p2psync.swarm.introduction import Introduction
from p2psync.swarm.tcp import remote_host, share_line
from p2psync.wire.limits import RECORD_BYTES
from p2psync.wire.records import RECORD_OVERHEAD_BYTES, RecordReader, RecordWriter

Buffer = bytes | bytearray | memoryview

# Below this, copying a buffer to the one that follows it costs less than a record of its own.
_JOINED_BYTES = 16 << 10
# A goodbye fits the socket's buffer at once, unless the network is dead; then nobody misses it.
_GOODBYE_S = 1.0


class SecureStream(trio.abc.AsyncResource):
    """Records over any trio stream, between two members.

    One task may send while another receives.

    Attributes:
        device: Who is at the other end; known once `do_handshake` has returned.
        context: That of the folder which this connection is for; known then too.
    """

    device: DeviceId
    context: ssl.SSLContext

    def __init__(self, transport: trio.abc.Stream, context: ssl.SSLContext, server_name: str | None = None) -> None:
        """Prepare a connection, which this stream then owns.

        Args:
            transport: The bytes below.
            context: `listening_context`, or a folder's `client_context` for the side that dials.
            server_name: The folder's SNI name if this side dials, None if it was dialled.
        """
        self._transport = transport
        self._incoming = Incoming(transport)
        self._first_context, self._server_name = context, server_name
        self._reader: RecordReader | None = None
        self._writer: RecordWriter | None = None
        self._records = memoryview(b"")  # what is being sent: one buffer, as long as was needed so far
        self._can_send = False  # before the handshake, while sending, and for ever after a send that did not finish
        self._is_sending = self._is_ended = False

    @property
    def remote_host(self) -> str:
        """The address at the other end, empty where the transport has none."""
        return remote_host(self._transport)

    @property
    def unread_bytes(self) -> int:
        """Bytes that have arrived and cannot be received yet, for want of the rest of their record."""
        return 0 if self._reader is None else self._reader.unread_bytes + self._incoming.waiting_bytes

    async def do_handshake(self) -> None:
        """Prove membership to each other. The caller bounds the time, and closes the stream if this raises.

        Raises:
            RemoteProtocolError: The peer is no member, does not take us for one, or speaks something else.
            UnreachableError: It hung up.
        """
        introduction = Introduction(self._transport, self._first_context, self._server_name)
        self.device, self.context, own_key, peer_key, received = await introduction.run()
        self._writer, self._reader = RecordWriter(own_key), RecordReader(peer_key, received)
        self._can_send = True

    async def send_all(self, buffers: Sequence[Buffer]) -> None:
        """Send all of `buffers`, in order. After a cancelled or failed call nothing can be sent any more.

        Raises:
            trio.BrokenResourceError: The connection is lost.
            trio.BusyResourceError: Another task is sending.
        """
        if self._is_sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        if not self._can_send:
            raise trio.BrokenResourceError("this stream can send nothing any more")
        self._is_sending, self._can_send = True, False
        try:
            for plains in _iter_groups(buffers):
                await self._transport.send_all(self._protected(plains))
            self._can_send = True
        finally:
            self._is_sending = False

    async def receive_into(self, buffer: memoryview) -> int:
        """Receive at least one byte, and what else has arrived and fits. A cancelled call loses nothing.

        Args:
            buffer: Not empty; 1 MiB for bulk.

        Returns:
            How many bytes of `buffer` are filled; 0 at the end of the stream, orderly or not: whether it was expected
            is for the protocol above to say.

        Raises:
            trio.BrokenResourceError: What arrived is not what the peer sent.
        """
        reader = self._reader
        if reader is None:
            raise trio.ClosedResourceError("this stream is closed, or its handshake is not done")
        try:
            received = reader.read_into(buffer)
            while not (received or self._is_ended or reader.is_ended):
                count = await self._incoming.receive_into(reader.writable(), reader.missing_bytes)
                self._is_ended = not count
                reader.received(count)
                received = reader.read_into(buffer)
        except RemoteProtocolError as error:
            raise trio.BrokenResourceError(str(error)) from error
        return received

    def share_line(self) -> None:
        """Make way for other connections on our line from now on."""
        share_line(self._transport)

    async def aclose(self) -> None:
        """Close the connection, telling the peer if that takes no time. May be called at any moment, and again."""
        try:
            if self._can_send:
                self._can_send = False
                with trio.move_on_after(_GOODBYE_S):
                    await self._transport.send_all(self._protected([b""]))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # it is closed: that is all we want
        finally:
            # Megabytes, which would stay until Python's collector comes: who used this stream is in a cycle of objects.
            self._reader, self._records = None, memoryview(b"")
            await self._transport.aclose()

    def _protected(self, plains: Sequence[Buffer]) -> memoryview:
        """Return a record for each of `plains`; valid until the next call."""
        assert self._writer is not None  # noqa: S101 - for the type checker; only called when we can send
        size = sum(map(len, plains)) + RECORD_OVERHEAD_BYTES * len(plains)
        if size > len(self._records):
            self._records = memoryview(bytearray(size))
        at = 0
        for plain in plains:
            end = at + len(plain) + RECORD_OVERHEAD_BYTES
            self._writer.write_into(self._records[at:end], plain)
            at = end
        return self._records[:size]


def _iter_groups(buffers: Sequence[Buffer]) -> Iterator[list[Buffer]]:
    """Yield the bytes of `buffers`, in pieces for one record each, in groups worth a call of the system."""
    group: list[Buffer] = []
    size = 0
    for plain in _iter_plains(buffers):
        group.append(plain)
        size += len(plain)
        if size >= RECORD_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _iter_plains(buffers: Sequence[Buffer]) -> Iterator[Buffer]:
    """Yield the bytes of `buffers` in pieces that are not empty: small buffers joined, large ones cut."""
    joined = bytearray()
    for buffer in buffers:
        is_small = len(buffer) < _JOINED_BYTES
        if joined and (not is_small or len(joined) + len(buffer) > RECORD_BYTES):
            yield joined
            joined = bytearray()
        if is_small:
            joined += buffer
        else:
            view = memoryview(buffer)
            for start in range(0, len(view), RECORD_BYTES):
                yield view[start : start + RECORD_BYTES]
    if joined:
        yield joined
