"""UDP over trio: packets in, packets out, as many at a time as have come."""

import socket
import struct
from collections.abc import Callable, Sequence

import trio

from p2psync.wire.compact import unmapped
from p2psync.wire.tracker_udp import MAX_PACKET_BYTES
from tracker.telemetry import Telemetry, Via
from tracker.udp_app import UdpApp

_BATCH = 64  # packets answered before other tasks have their turn: one or two milliseconds
_BUFFER_BYTES = 4 << 20  # what may wait in the kernel: a burst of some 5,000 announces
_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)  # Linux; Python names it from 3.12 on
_PKTINFO4 = struct.Struct("=i4s4s")
_PKTINFO_SPACE = socket.CMSG_SPACE(20)  # the larger of the two families

_Ancillary = list[tuple[int, int, bytes]]
_NOTHING: _Ancillary = []
_Sender = tuple[tuple[str, int] | tuple[str, int, int, int], _Ancillary]


async def serve_udp(
    listener: socket.socket,
    app: UdpApp,
    telemetry: Telemetry,
    wall: Callable[[], float],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a bound socket until cancelled; whoever gave it closes it.

    Args:
        listener: Of one family; set to not block.
        app: Answers.
        telemetry: Counts.
        wall: The clock of the connection ids.
        task_status: Told when packets are read.
    """
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    mouth = _Wildcard(listener) if _is_wildcard(listener) else _Bound(listener)
    task_status.started()
    while True:
        await trio.lowlevel.wait_readable(listener)
        packets, senders = mouth.receive()
        began = trio.current_time()
        with trio.CancelScope(shield=True):  # what was read is answered
            answers = await app.respond(packets, began, wall())
        mouth.send(answers, senders)
        telemetry.latencies[Via.UDP].observe(trio.current_time() - began, len(packets))


def _is_wildcard(listener: socket.socket) -> bool:
    return listener.getsockname()[0] in ("0.0.0.0", "::")


def _packing(listener: socket.socket) -> Callable[[str], bytes]:
    """Return what makes bytes of the addresses that this socket shows."""
    if listener.family == socket.AF_INET:
        return socket.inet_aton
    return lambda host: unmapped(socket.inet_pton(socket.AF_INET6, host.partition("%")[0]))


class _Bound:
    """A socket bound to one address: it answers from there."""

    def __init__(self, listener: socket.socket) -> None:
        self._socket = listener
        self._packed = _packing(listener)

    def receive(self) -> tuple[list[tuple[bytes, bytes]], list[_Sender]]:
        """Return what has come, each packet with the packed address of its sender, and the senders."""
        packets: list[tuple[bytes, bytes]] = []
        senders: list[_Sender] = []
        receive, packed = self._socket.recvfrom, self._packed
        try:
            for _ in range(_BATCH):
                packet, sender = receive(MAX_PACKET_BYTES)
                packets.append((packet, packed(sender[0])))
                senders.append((sender, _NOTHING))
        except OSError:
            pass  # nothing more has come
        return packets, senders

    def send(self, answers: Sequence[bytes], senders: Sequence[_Sender]) -> None:
        """Send what is not empty; what the kernel does not take is lost, as packets are."""
        for answer, (sender, _) in zip(answers, senders, strict=True):
            if answer:
                try:
                    self._socket.sendto(answer, sender)
                except OSError:
                    continue


class _Wildcard:
    """A socket bound to all addresses: each answer leaves from the address that the question was sent to.

    Without that, a host with several addresses answers from whichever is nearest, and clients drop such answers.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._socket = listener
        self._packed = _packing(listener)
        if listener.family == socket.AF_INET:
            listener.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        else:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)

    def receive(self) -> tuple[list[tuple[bytes, bytes]], list[_Sender]]:
        """Return what has come, as `_Bound` does, the senders with what makes answers leave from the right address."""
        packets: list[tuple[bytes, bytes]] = []
        senders: list[_Sender] = []
        try:
            for _ in range(_BATCH):
                packet, ancillary, _, sender = self._socket.recvmsg(MAX_PACKET_BYTES, _PKTINFO_SPACE)
                packets.append((packet, self._packed(sender[0])))
                senders.append((sender, _reversed(ancillary)))
        except OSError:
            pass  # nothing more has come
        return packets, senders

    def send(self, answers: Sequence[bytes], senders: Sequence[_Sender]) -> None:
        """Send what is not empty, as `_Bound` does."""
        for answer, (sender, ancillary) in zip(answers, senders, strict=True):
            if answer:
                try:
                    self._socket.sendmsg((answer,), ancillary, 0, sender)
                except OSError:
                    continue


def _reversed(ancillary: _Ancillary) -> _Ancillary:
    """Return what the kernel said of a packet's destination as what says an answer's source."""
    answers: _Ancillary = []
    for level, kind, octets in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            _, local, _ = _PKTINFO4.unpack(octets)
            answers.append((level, kind, _PKTINFO4.pack(0, local, bytes(4))))
        elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            answers.append((level, kind, octets))
    return answers
