"""What arrives over a transport, put straight where it belongs, and not before it is worth waking up for."""

import errno
import fcntl
import socket
import termios
from array import array
from contextlib import suppress

import trio

# On a slow line bytes come a packet at a time: waking up for each costs more than all else that is done with them.
# Where less than this is missing, what follows it would be waited for without knowing that anything does.
_WORTH_WAITING_BYTES = 16 << 10
# More than the system keeps for us would never be there: Linux lets a socket hold 6 MiB, others less.
_MOST_AWAITED_BYTES = 128 << 10


class Incoming:
    """The receiving side of any trio stream.

    Args:
        transport: The stream; sockets are read without a copy and with a low-water mark.
    """

    def __init__(self, transport: trio.abc.Stream) -> None:
        self._transport = transport
        self._socket = transport.socket if isinstance(transport, trio.SocketStream) else None
        self._awaited_bytes = 1

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the system holds until there are as many as we wait for: a slow peer must not look silent."""
        if self._socket is None or self._awaited_bytes == 1:
            return 0
        held = array("i", [0])
        with suppress(OSError):
            fcntl.ioctl(self._socket.fileno(), termios.FIONREAD, held)
        return min(held[0], self._awaited_bytes)

    async def receive_into(self, room: memoryview, missing_bytes: int) -> int:
        """Receive at least one byte; return how many, 0 at the end, orderly or not. A cancelled call loses nothing.

        Args:
            room: Where they are put; not empty.
            missing_bytes: So many will certainly come: nothing can be done without the last of them.
        """
        try:
            if self._socket is None:
                arrived = await self._transport.receive_some(len(room))
                room[: len(arrived)] = arrived
                return len(arrived)
            self._await_bytes(self._socket, missing_bytes)
            return await self._socket.recv_into(room)
        except trio.BrokenResourceError:
            return 0
        except OSError as error:
            if error.errno == errno.EBADF:
                raise trio.ClosedResourceError("this side has closed the stream") from None
            return 0

    def _await_bytes(self, sock: trio.socket.SocketType, missing_bytes: int) -> None:
        awaited = 1 if missing_bytes < _WORTH_WAITING_BYTES else min(missing_bytes, _MOST_AWAITED_BYTES)
        if awaited != self._awaited_bytes:
            self._awaited_bytes = awaited
            with suppress(OSError):  # where the system has no such mark, every packet wakes us
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, awaited)
