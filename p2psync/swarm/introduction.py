"""How two members of a folder introduce themselves: a TLS handshake, and over it the keys of what each will send.

The handshake proves membership and who the device is. The keys go through it, so they are as secret, as authentic and
as short-lived as TLS 1.3 makes what it carries; Python gives no exporter (RFC 8446, 7.5) that would yield them unsent.
"""

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import trio

from p2psync.errors import RemoteProtocolError, UnreachableError
from p2psync.ids import DeviceId
from p2psync.swarm.tls import ALPN, member_device
from p2psync.wire.records import KEY_BYTES

# Three flights of a handshake, with two certificates, fit several times.
_PART_BYTES = 16 << 10

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
_HUNG_UP = "the peer hung up during the handshake"


class Acquainted(NamedTuple):
    """What came of an introduction.

    Attributes:
        device: Who is at the other end.
        context: That of the folder which the connection is for.
        own_key: Of the records that we send.
        peer_key: Of those that we receive.
        received: The first bytes of them that came already.
    """

    device: DeviceId
    context: ssl.SSLContext
    own_key: bytes
    peer_key: bytes
    received: bytes


class Introduction:
    """One end of an introduction over a stream, which must not be used meanwhile.

    Args:
        transport: The bytes below.
        context: `listening_context`, or a folder's `client_context` for the side that dials.
        server_name: The folder's SNI name if this side dials, None if it was dialled.
    """

    def __init__(self, transport: trio.abc.Stream, context: ssl.SSLContext, server_name: str | None) -> None:
        self._transport = transport
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )

    async def run(self) -> Acquainted:
        """Prove membership to each other, and exchange keys. The caller bounds the time.

        Raises:
            RemoteProtocolError: The peer is no member, does not take us for one, or speaks something else.
            UnreachableError: It hung up.
        """
        try:
            return await self._introduce()
        except ssl.SSLError as error:
            with suppress(trio.BrokenResourceError):
                await self._flush()  # the alert tells the peer why
            raise RemoteProtocolError(_sentence(error)) from error
        except trio.BrokenResourceError:
            raise UnreachableError(_HUNG_UP) from None

    async def _introduce(self) -> Acquainted:
        while not self._step():
            await self._flush()
            await self._fill()
        if self._tls.selected_alpn_protocol() != ALPN:
            await self._flush()
            raise RemoteProtocolError("the peer speaks another protocol: is its p2psync of another version?")
        device = member_device(self._tls)
        own_key = os.urandom(KEY_BYTES)
        self._tls.write(own_key)
        await self._flush()
        # In TLS 1.3 a dialler is done before its certificate has been judged: only this tells it that it is let in.
        peer_key = await self._hear_key()
        return Acquainted(device, self._tls.context, own_key, peer_key, self._incoming.read())

    def _step(self) -> bool:
        """Go as far as the bytes at hand allow; return whether the handshake is done."""
        try:
            with _quiet_about_names():
                self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    async def _hear_key(self) -> bytes:
        key = b""
        while len(key) < KEY_BYTES:
            try:
                part = self._tls.read(KEY_BYTES - len(key))
            except ssl.SSLWantReadError:
                await self._fill()
                continue
            if not part:
                raise UnreachableError(_HUNG_UP)
            key += part
        if self._tls.pending():
            raise RemoteProtocolError("the peer says more over TLS than its key")
        return key

    async def _flush(self) -> None:
        while self._outgoing.pending:
            await self._transport.send_all(self._outgoing.read())

    async def _fill(self) -> None:
        arrived = await self._transport.receive_some(_PART_BYTES)
        if not arrived:
            raise UnreachableError(_HUNG_UP)
        self._incoming.write(arrived)


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
