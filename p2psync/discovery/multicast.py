"""Multicast over UDP: one group, on the network interfaces we name and on no other."""

import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress

import trio

# Room for one byte more than any announcement may have, and a whole one besides.
_RECEIVE_BYTES = 2048
_ALL_HOSTS = "224.0.0.1"
# <linux/in.h>, <linux/in6.h>; Python does not name them. Without them Linux gives this socket what any program of this
# machine has joined, on any interface.
_MULTICAST_ALL = {socket.AF_INET: (socket.IPPROTO_IP, 49), socket.AF_INET6: (socket.IPPROTO_IPV6, 29)}


def choose_interfaces(interfaces: Iterable[tuple[int, str]], *, loopback: bool) -> list[int]:
    """Return the indexes of the loopback interface, or of all others.

    Args:
        interfaces: As `socket.if_nameindex()` gives them.
        loopback: Which of the two is wanted.
    """
    return [index for index, name in interfaces if (name.rstrip("0123456789") == "lo") is loopback]


def interface_hosts(interfaces: Iterable[int]) -> list[str]:
    """Return the IPv4 address of each of these interfaces that has one; nothing is sent."""
    hosts = []
    for index in interfaces:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
            # What this socket would send to a group would leave from the address we look for.
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@8xi", index))
            probe.connect((_ALL_HOSTS, 9))
            hosts.append(str(probe.getsockname()[0]))
    return [host for host in hosts if host != "0.0.0.0"]


class MulticastGroup:
    """A socket in one group. Interfaces that are down, or have no multicast, are passed over in silence."""

    def __init__(self, group: str, port: int, source: str) -> None:
        """Bind to the group's port, which several programs may share.

        Args:
            group: IPv4 or IPv6 address.
            port: Its UDP port.
            source: The address to send from; `0.0.0.0` or `::` for whatever fits the interface. IPv6 always takes that.

        Raises:
            OSError: The port is taken by a program that does not share, or the family is missing here.
        """
        self.group = group
        self._family = socket.AF_INET6 if ":" in group else socket.AF_INET
        self._address = (group, port)
        self._source = source
        bound = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            _share(bound, self._family)
            bound.bind(("", port))
        except OSError:
            bound.close()
            raise
        self._socket = trio.socket.from_stdlib_socket(bound)

    def join(self, interfaces: Sequence[int]) -> None:
        """Hear what is sent to the group on these interfaces; those joined before stay so."""
        for index in interfaces:
            with suppress(OSError):  # joined before, or gone since
                if self._family == socket.AF_INET6:
                    request = socket.inet_pton(self._family, self.group) + struct.pack("@I", index)
                    self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
                else:
                    self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, self._mreqn(index))

    async def send(self, datagram: bytes, interfaces: Sequence[int]) -> int:
        """Send to the group on these interfaces; return how many of them took it."""
        taken = 0
        for index in interfaces:
            with suppress(OSError):
                self._select(index)
                await self._socket.sendto(datagram, self._address)
                taken += 1
        return taken

    async def receive(self) -> tuple[bytes, str]:
        """Return the next datagram, cut to 2048 bytes, and the host it came from."""
        datagram, address = await self._socket.recvfrom(_RECEIVE_BYTES)
        return datagram, str(address[0])

    def close(self) -> None:
        """Leave the group."""
        self._socket.close()

    def _select(self, index: int) -> None:
        """Let the next datagram go out on this interface. The TTL stays 1: no router carries it further."""
        if self._family == socket.AF_INET6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, self._mreqn(index))

    def _mreqn(self, index: int) -> bytes:
        """Return a `struct ip_mreqn`: group, address, interface.

        On the loopback interface an address must be named, else datagrams come from another interface's.
        """
        addresses = [socket.inet_pton(self._family, address) for address in (self.group, self._source)]
        return struct.pack("@4s4si", *addresses, index)


def _share(bound: socket.socket, family: socket.AddressFamily) -> None:
    """Let other programs have the same port, and this one only what it joined."""
    for name in ("SO_REUSEADDR", "SO_REUSEPORT"):
        if hasattr(socket, name):
            bound.setsockopt(socket.SOL_SOCKET, getattr(socket, name), 1)
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if sys.platform == "linux":
        level, option = _MULTICAST_ALL[family]
        bound.setsockopt(level, option, 0)
