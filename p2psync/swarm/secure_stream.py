"""A TLS connection to another member of a folder, made for bulk.

`trio.SSLStream` costs one await a record of 16 KiB, and half of the speed. Here one await moves up to 256 KiB, which
are then decrypted record after record straight into the caller's buffer, or were encrypted by a single call.
"""

import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import trio

from p2psync.errors import RemoteProtocolError, UnreachableError
from p2psync.ids import DeviceId
from p2psync.swarm.tcp import remote_host
from p2psync.swarm.tls import ALPN, member_device

Buffer = bytes | bytearray | memoryview

# Measured over loopback: 64 KiB costs a third more CPU in awaits, 1 MiB does not fit the second-level cache, in
# which the four copies between kernel, BIO, record and buffer are cheap.
_PART_BYTES = 256 * 1024
# The most plaintext that one TLS record holds; buffers below it are joined, so that records are full.
_RECORD_BYTES = 16 * 1024
# A close_notify fits the socket's buffer at once, unless the network is dead; then nobody misses it.
_CLOSE_NOTIFY_S = 1.0

# OpenSSL's reasons, from either side of the handshake, in words that help whoever reads them.
_SENTENCES = {
    "CERTIFICATE_VERIFY_FAILED": "the peer is not a member of this folder",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer is not a member of this folder: it showed no certificate",
    "CALLBACK_FAILED": "the peer asks for a folder that is not shared here",
    "TLSV1_UNRECOGNIZED_NAME": "the peer does not share this folder",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not take us for a member of this folder",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the peer does not take us for a member of this folder",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS: is this the address of a p2psync peer?",
    "HTTP_REQUEST": "the peer speaks HTTP: that is no p2psync peer",
}


class SecureStream(trio.abc.AsyncResource):
    """TLS over any trio stream, between two members.

    One task may send while another receives. OpenSSL answers a peer's KeyUpdate in front of the next data that we
    send, so receiving never has to send.

    Attributes:
        device: Who is at the other end; known once `do_handshake` has returned.
    """

    device: DeviceId

    def __init__(self, transport: trio.abc.Stream, context: ssl.SSLContext, server_name: str | None = None) -> None:
        """Prepare a connection, which this stream then owns.

        Args:
            transport: The bytes below.
            context: `listening_context`, or a folder's `client_context` for the side that dials.
            server_name: The folder's SNI name if this side dials, None if it was dialled.
        """
        self._transport = transport
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )
        # The type stubs know `read` only in its form without a buffer, which returns bytes.
        self._read: Callable[[int, memoryview], int] = self._tls.read  # type: ignore[assignment]
        self._can_send = False  # before the handshake, while sending, and for ever after a send that did not finish
        self._is_sending = False
        self._has_heard = False
        self._is_ended = False
        self._failure: ssl.SSLError | None = None

    @property
    def remote_host(self) -> str:
        """The address at the other end, empty where the transport has none."""
        return remote_host(self._transport)

    @property
    def context(self) -> ssl.SSLContext:
        """The context of the folder that this connection is for; known after the handshake."""
        return self._tls.context

    async def do_handshake(self) -> None:
        """Prove membership to each other. The caller bounds the time, and closes the stream if this raises.

        A peer that dials and is refused may learn of it from its first `receive_into` only: in TLS 1.3 the dialling
        side is done before the other side has judged its certificate.

        Raises:
            RemoteProtocolError: The peer is no member, or speaks something else.
            UnreachableError: It hung up.
        """
        try:
            while not self._step_handshake():
                await self._flush()
                if not await self._fill():
                    raise UnreachableError("the peer hung up during the handshake")
            await self._flush()
        except RemoteProtocolError:
            with suppress(trio.BrokenResourceError):
                await self._flush()  # the alert tells the peer why
            raise
        except trio.BrokenResourceError:
            raise UnreachableError("the peer hung up during the handshake") from None
        if self._tls.selected_alpn_protocol() != ALPN:
            raise RemoteProtocolError("the peer speaks another protocol: is its p2psync of another version?")
        self.device = member_device(self._tls)
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
            for part in _iter_parts(buffers):
                self._tls.write(part)
                if self._outgoing.pending >= _PART_BYTES:
                    await self._flush()
            await self._flush()
            self._can_send = True
        except ssl.SSLError as error:
            raise trio.BrokenResourceError(_sentence(error)) from error
        finally:
            self._is_sending = False

    async def receive_into(self, buffer: memoryview) -> int:
        """Receive at least one byte, and what else has arrived and fits. A cancelled call loses nothing.

        Args:
            buffer: Not empty; 256 KiB or more for bulk.

        Returns:
            How many bytes of `buffer` are filled; 0 at the end of the stream, orderly or not: whether it was expected
            is for the protocol above to say.

        Raises:
            RemoteProtocolError: Nothing was heard from the peer before: it refused our certificate.
            trio.BrokenResourceError: What arrived is no valid TLS.
        """
        received = self._decrypt(buffer)
        while not (received or self._is_ended) and await self._fill():
            received = self._decrypt(buffer)
        if not received and self._failure is not None:
            raise self._explained(self._failure)
        return received

    async def aclose(self) -> None:
        """Close the connection, telling the peer if that takes no time. May be called at any moment, and again."""
        try:
            if self._can_send:
                self._can_send = False
                self._say_goodbye()
                with trio.move_on_after(_CLOSE_NOTIFY_S):
                    await self._flush()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # it is closed: that is all we want
        finally:
            await self._transport.aclose()

    def _step_handshake(self) -> bool:
        """Go as far as the bytes at hand allow; return whether the handshake is done."""
        try:
            with _quiet_about_names():
                self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise RemoteProtocolError(_sentence(error)) from error
        return True

    async def _flush(self) -> None:
        while self._outgoing.pending:
            await self._transport.send_all(self._outgoing.read())

    async def _fill(self) -> bool:
        """Take what the transport has; return False at its end."""
        try:
            arrived = await self._transport.receive_some(_PART_BYTES)
        except trio.BrokenResourceError:
            return False
        self._incoming.write(arrived)
        return bool(arrived)

    def _decrypt(self, buffer: memoryview) -> int:
        """Decrypt whole records into `buffer` until it is full or no whole record is left."""
        received = 0
        while received < len(buffer) and not self._is_ended:
            try:
                count = self._read(len(buffer) - received, buffer[received:])
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._failure, count = error, 0
            self._is_ended = count == 0
            received += count
        self._has_heard = self._has_heard or received > 0
        return received

    def _explained(self, failure: ssl.SSLError) -> Exception:
        sentence = _sentence(failure)
        return trio.BrokenResourceError(sentence) if self._has_heard else RemoteProtocolError(sentence)

    def _say_goodbye(self) -> None:
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            return  # it wants to read the peer's close_notify: we do not wait for that


def _iter_parts(buffers: Sequence[Buffer]) -> Iterator[Buffer]:
    """Yield the bytes of `buffers` in pieces worth a call of OpenSSL: small ones joined, large ones cut."""
    joined = bytearray()
    for buffer in buffers:
        is_small = len(buffer) < _RECORD_BYTES
        if is_small:
            joined += buffer
        if joined and (not is_small or len(joined) >= _PART_BYTES):
            yield joined
            joined = bytearray()
        if not is_small:
            view = memoryview(buffer)
            for start in range(0, len(view), _PART_BYTES):
                yield view[start : start + _PART_BYTES]
    if joined:
        yield joined


def _sentence(error: ssl.SSLError) -> str:
    reason = error.reason or "no reason given"
    return _SENTENCES.get(reason, f"the TLS connection failed: {reason.lower().replace('_', ' ')}")


@contextmanager
def _quiet_about_names() -> Iterator[None]:
    """Keep a stranger from printing tracebacks here: `ssl` reports an SNI name that is not ASCII as unraisable.

    The handshake fails all the same. Nothing awaits inside, so hooks of two handshakes never interleave.
    """
    report = sys.unraisablehook

    def report_others(unraisable: "sys.UnraisableHookArgs") -> None:
        if not isinstance(unraisable.exc_value, UnicodeDecodeError):
            report(unraisable)

    sys.unraisablehook = report_others
    try:
        yield
    finally:
        sys.unraisablehook = report
