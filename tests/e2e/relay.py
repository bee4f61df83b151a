"""A line between two programs that the test owns: it counts every byte, can be slow, go quiet or break."""

import contextlib
import socket
import threading
import time
from typing import Self

PIECE_BYTES = 1 << 16

# Not where the other side listens: a peer that is told of it there cannot be dialled around the relay.
SOURCE_HOST = "127.0.0.2"


class Relay:
    """Forwards connections made to `address` on to `target`.

    Attributes:
        rate_bytes_per_s: What all connections together get on the way from `target`; may be set at any time.
    """

    def __init__(self, target: str, *, rate_bytes_per_s: float = float("inf")) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self.rate_bytes_per_s = rate_bytes_per_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._passed_bytes = 0
        self._is_closed = False
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._flowing.set()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    @property
    def passed_bytes(self) -> int:
        """What went from `target` to those who came, so far."""
        with self._lock:
            return self._passed_bytes

    def cut(self) -> None:
        """Break every connection there is; new ones are taken."""
        with self._lock:
            cut, self._sockets = self._sockets, []
        for end in cut:
            _shut(end)

    def freeze(self) -> None:
        """Pass nothing on from here, and break nothing: the peer that never answers."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target, source_address=(SOURCE_HOST, 0))
            except OSError:
                near.close()
                continue
            self._join(near, far)

    def _join(self, near: socket.socket, far: socket.socket) -> None:
        open_ways = [near, far]
        pumps = [
            threading.Thread(target=self._pump, args=(source, sink, source is far, open_ways), daemon=True)
            for source, sink in ((near, far), (far, near))
        ]
        with self._lock:
            self._sockets += [near, far]
            self._threads += pumps
        for pump in pumps:
            pump.start()

    def _pump(self, source: socket.socket, sink: socket.socket, counts: bool, open_ways: list[socket.socket]) -> None:
        try:
            while piece := source.recv(PIECE_BYTES):
                self._flowing.wait()
                if counts:
                    self._pay(len(piece))
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            _shut(source)
            _shut(sink)
        with self._lock:
            open_ways.remove(source)
            is_last = not open_ways
        if is_last:
            source.close()
            sink.close()

    def _pay(self, length: int) -> None:
        with self._turn:
            if not self._is_closed:
                time.sleep(length / self.rate_bytes_per_s)
        with self._lock:
            self._passed_bytes += length


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side may have been faster
        end.shutdown(socket.SHUT_RDWR)
