"""A member that is a script: a real peer over real TLS whose records and frames come from here and PROTOCOL.md alone.

Certificates are made by the program's own code, for without one nobody listens; nothing of `p2psync.wire` is used.
"""

import contextlib
import secrets
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self

import bencodepy
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from p2psync.keys import FolderKeys
from p2psync.swarm.tls import client_context, make_device_key, server_context

HELLO, HEAD, HAVE, WANT, CANCEL, BLOCKS, PART, MISSING, PING, PONG, BYE = range(11)
HELLO_FIELDS = {b"agent": b"raw", b"features": [], b"port": 0, b"version": 1}
FRAME_BYTES = RECORD_BYTES = 1 << 20
KEY_BYTES, TAG_BYTES = 32, 16
WAIT_S = 20.0

Frame = tuple[int, bytes]


class RawRecords:
    """What follows a TLS handshake: keys over TLS, then records on the bare socket; used as a socket is."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        own_key = secrets.token_bytes(KEY_BYTES)
        try:
            tls.sendall(own_key)
            key = read_key(tls)
        except BaseException:
            tls.close()
            raise
        self.session = tls.session
        timeout = tls.gettimeout()
        self._socket = socket.socket(fileno=tls.detach())
        self._socket.settimeout(timeout)
        self.settimeout, self.fileno, self.close = self._socket.settimeout, self._socket.fileno, self._socket.close
        self._own, self._peers = AESGCM(own_key), AESGCM(key)
        self._sent = self._opened = 0
        self._received = self._plain = b""

    def sendall(self, data: bytes) -> None:
        for at in range(0, len(data), RECORD_BYTES):
            self.send_record(data[at : at + RECORD_BYTES])

    def send_record(self, plain: bytes) -> None:
        self._sent += 1
        header = struct.pack(">I", len(plain) + TAG_BYTES)
        self._socket.sendall(header + self._own.encrypt(struct.pack(">4xQ", self._sent), plain, header))

    def send_unprotected(self, data: bytes) -> None:
        self._socket.sendall(data)

    def recv(self, most: int) -> bytes:
        while not self._plain:
            if len(self._received) >= 4:
                end = 4 + int.from_bytes(self._received[:4], "big")
                if len(self._received) >= end:
                    self._opened += 1
                    header, record, self._received = self._received[:4], self._received[4:end], self._received[end:]
                    self._plain = self._peers.decrypt(struct.pack(">4xQ", self._opened), record, header)
                    if not self._plain:
                        return b""
                    continue
            data = self._socket.recv(1 << 18)
            if not data:
                return b""
            self._received += data
        plain, self._plain = self._plain[:most], self._plain[most:]
        return plain


def read_key(tls: ssl.SSLSocket) -> bytes:
    key = b""
    while len(key) < KEY_BYTES:
        part = tls.recv(KEY_BYTES - len(key))
        if not part:
            raise EOFError("the stream ended before the key")
        key += part
    return key


class RawLink:
    """One connection; every call waits at most `WAIT_S`, then raises TimeoutError."""

    def __init__(self, tls: ssl.SSLSocket, on_greeted: Callable[[], None] = lambda: None) -> None:
        self.stream = RawRecords(tls)
        self._on_greeted = on_greeted
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def send_raw(self, data: bytes) -> None:
        self.stream.sendall(data)

    def send(self, kind: int, body: bytes = b"") -> None:
        self.send_raw(frame(kind, body))

    def hello(self, **fields: object) -> None:
        """Say HELLO; the side that accepted does so first, the other when it has read one."""
        self.send(HELLO, bencodepy.encode(HELLO_FIELDS | {key.encode(): value for key, value in fields.items()}))

    def have(self, **fields: object) -> None:
        self.send(HAVE, bencodepy.encode(fields))

    def greet(self, *, accepted: bool) -> bytes:
        """Exchange HELLOs and return the other's body."""
        if accepted:
            self.hello()
        heard = self.read_until(HELLO)
        if not accepted:
            self.hello()
        self._on_greeted()
        return heard

    def read(self) -> Frame | None:
        """Return the next frame's type and body, None at the end of the stream."""
        while len(self._received) < 4 or len(self._received) < 4 + int.from_bytes(self._received[:4], "big"):
            data = self.stream.recv(1 << 18)
            if not data:
                return None
            self._received += data
        end = 4 + int.from_bytes(self._received[:4], "big")
        one, self._received = self._received[4:end], self._received[end:]
        return one[0], one[1:]

    def read_until(self, *kinds: int) -> bytes:
        """Return the body of the next frame of these types, answering PING meanwhile and skipping the rest."""
        while (one := self.read()) is not None:
            if one[0] in kinds:
                return one[1]
            if one[0] == PING:
                self.send(PONG)
        raise EOFError(f"the stream ended before a frame of type {kinds}")

    def read_to_end(self) -> list[Frame]:
        """Return what still comes, up to the end of the stream, which must come."""
        frames = []
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while (one := self.read()) is not None:
                frames.append(one)
        return frames

    def is_alive(self) -> bool:
        """Say whether the other side still answers."""
        try:
            self.send(PING)
            self.read_until(PONG)
        except (OSError, EOFError):
            return False
        return True


def frame(kind: int, body: bytes = b"") -> bytes:
    return struct.pack(">IB", len(body) + 1, kind) + body


def header(kind: int, body_bytes: int) -> bytes:
    """Announce a frame of which the body does not come."""
    return struct.pack(">IB", body_bytes + 1, kind)


def blocks_frame(blocks: Sequence[tuple[bytes, bytes]]) -> bytes:
    rows = b"".join(id_ + struct.pack(">I", len(data)) for id_, data in blocks)
    return frame(BLOCKS, struct.pack(">I", len(blocks)) + rows + b"".join(data for _, data in blocks))


def part_frame(id_: bytes, total: int, offset: int, payload: bytes) -> bytes:
    return frame(PART, id_ + struct.pack(">II", total, offset) + payload)


def block_frames(id_: bytes, data: bytes) -> bytes:
    """Return the frames that carry one block, however long."""
    if len(data) <= FRAME_BYTES:
        return blocks_frame([(id_, data)])
    starts = range(0, len(data), FRAME_BYTES)
    return b"".join(part_frame(id_, len(data), at, data[at : at + FRAME_BYTES]) for at in starts)


def split_ids(packed: bytes) -> list[bytes]:
    return [packed[at : at + 32] for at in range(0, len(packed), 32)]


def dial(address: str, keys: FolderKeys, device_key: Ed25519PrivateKey | None = None) -> RawLink:
    """Connect as a member, by default one that nobody has seen before."""
    return RawLink(dial_tls(address, client_context(keys, device_key or make_device_key()), keys.sni))


def dial_tls(address: str, context: ssl.SSLContext, name: str, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    """Connect and do our half of the handshake; the other side may still refuse us."""
    stream = dial_tcp(address)
    try:
        return context.wrap_socket(stream, server_hostname=name, session=session)
    except BaseException:
        stream.close()
        raise


def dial_tcp(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=WAIT_S)


class Listener:
    """A port where a test decides what happens: `answer` is called in a thread of its own with each connection.

    Attributes:
        ended: How many connections have ended.
    """

    def __init__(self, answer: Callable[[socket.socket], None], host: str = "127.0.0.1") -> None:
        self.ended = 0
        self._answer = answer
        self._listener = socket.create_server((host, 0), backlog=128)
        self._listener.setsockopt(
            socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo"
        )  # for 0.0.0.0: all of 127/8, no more
        self._streams: list[socket.socket] = []
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        _shut(self._listener)
        self._listener.close()
        self._threads[0].join(WAIT_S)
        for stream in self._streams:
            _shut(stream)
        for thread in self._threads:
            thread.join(WAIT_S)
        for stream in self._streams:
            stream.close()
        if error is None and self._failures:
            raise self._failures[0]

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def _accept(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            stream.settimeout(WAIT_S)
            # A duplicate: TLS takes the descriptor out of the socket that it wraps.
            line = stream.dup()
            self._streams.append(line)
            self._threads.append(threading.Thread(target=self._play, args=(stream, line), daemon=True))
            self._threads[-1].start()

    def _play(self, stream: socket.socket, line: socket.socket) -> None:
        try:
            with stream:
                self._answer(stream)
        except (OSError, EOFError):
            pass  # the other side hung up: the test says whether it should have
        except BaseException as failure:  # raised where the listener is left
            self._failures.append(failure)
        finally:
            _shut(line)
            self.ended += 1


def _shut(stream: socket.socket) -> None:
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)


Script = Callable[[RawLink], None]


class RawListener(Listener):
    """A member at an address of its own, which plays a script with everybody who dials it.

    Attributes:
        dialled: How often somebody came and proved to be a member.
        greeted: How often somebody then said HELLO: a busy machine may give up before.
    """

    def __init__(self, keys: FolderKeys, script: Script) -> None:
        self.dialled = self.greeted = 0
        self._context = server_context(keys, make_device_key())
        self._script = script
        super().__init__(self._introduce)

    def _introduce(self, stream: socket.socket) -> None:
        with self._context.wrap_socket(stream, server_side=True) as tls:
            self.dialled += 1
            with RawLink(tls, self._note_greeting) as link:
                self._script(link)

    def _note_greeting(self) -> None:
        self.greeted += 1


@contextlib.contextmanager
def listeners(keys: FolderKeys, scripts: Iterable[Script]) -> Iterator[list[RawListener]]:
    """Run a member for each script."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(RawListener(keys, script)) for script in scripts]
