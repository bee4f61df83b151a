"""Multicast over UDP: one group, on the network interfaces we name and on no other."""

import fcntl
import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import trio

# Room for one byte more than any announcement may have, and a whole one besides.
_RECEIVE_BYTES = 2048
# Some group, to ask from which address it would be sent to.
_SOME_GROUP = {socket.AF_INET: "224.0.0.1", socket.AF_INET6: "ff0e::1"}
# <linux/in.h>, <linux/in6.h>; Python does not name them. Without them Linux gives this socket what any program of this
# machine has joined, on any interface.
_MULTICAST_ALL = {socket.AF_INET: (socket.IPPROTO_IP, 49), socket.AF_INET6: (socket.IPPROTO_IPV6, 29)}
# <linux/sockios.h>, <linux/if.h>: questions about an interface, and the flag of one whose cable is plugged in.
_SIOCGIFFLAGS, _SIOCGIFADDR, _IFF_RUNNING = 0x8913, 0x8915, 0x40


def host_of(address: tuple[Any, ...]) -> str:
    """Return the host of a socket's address, with its zone (`fe80::1%eth0`) where it means nothing without."""
    host = str(address[0])
    if len(address) > 3 and address[3] and "%" not in host:
        with suppress(OSError):  # the interface is gone
            host += f"%{socket.if_indextoname(address[3])}"
    return host


class Network(NamedTuple):
    """What an interface leads to, as far as it can be told from here: another one is likely another network.

    Attributes:
        interface: Its index.
        is_running: It is up, and its cable is plugged in.
        ipv4: An address that we have there, empty without one.
        ipv6: The same; one with a zone (`fe80::1%eth0`) if it has no better one.
    """

    interface: int
    is_running: bool
    ipv4: str
    ipv6: str


def look_at(interfaces: Iterable[int]) -> frozenset[Network]:
    """Return what these interfaces lead to now; nothing is sent. Only Linux tells all of it."""
    return frozenset(
        Network(index, _is_running(index), _own_ipv4(index), _source(socket.AF_INET6, index)) for index in interfaces
    )


def choose_interfaces(interfaces: Iterable[tuple[int, str]], *, loopback: bool) -> list[int]:
    """Return the indexes of the loopback interface, or of all others.

    Args:
        interfaces: As `socket.if_nameindex()` gives them.
        loopback: Which of the two is wanted.
    """
    return [index for index, name in interfaces if (name.rstrip("0123456789") == "lo") is loopback]


def interface_hosts(interfaces: Iterable[int], family: socket.AddressFamily) -> list[str]:
    """Return one address of each of these interfaces that has one, but for link-local IPv6; nothing is sent."""
    hosts = [_source(family, index) for index in interfaces]
    return [host for host in hosts if host and not host.startswith("fe80:")]


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
                    self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, self._mreq6(index))
                else:
                    self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, self._mreqn(index))

    def leave(self, interfaces: Sequence[int]) -> None:
        """Forget interfaces that are gone: Linux lets a socket join on twenty, counting those."""
        for index in interfaces:
            with suppress(OSError):  # never joined
                if self._family == socket.AF_INET6:
                    self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, self._mreq6(index))
                else:
                    self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, self._mreqn(index))

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
        return datagram, host_of(address)

    def close(self) -> None:
        """Leave the group."""
        self._socket.close()

    def _select(self, index: int) -> None:
        """Let the next datagram go out on this interface. The TTL stays 1: no router carries it further."""
        if self._family == socket.AF_INET6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, self._mreqn(index))

    def _mreq6(self, index: int) -> bytes:
        """Return a `struct ipv6_mreq`."""
        return socket.inet_pton(self._family, self.group) + struct.pack("@I", index)

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


def _source(family: socket.AddressFamily, index: int) -> str:
    """Return the address from which a datagram to a group would leave on an interface; empty if it has none."""
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@8xi", index))
        probe.connect((_SOME_GROUP[family], 9))
        host = str(probe.getsockname()[0])
        if host.startswith("fe80:"):
            host = host_of((host, 0, 0, index))  # a group of a wider scope does not make the kernel say it
        return "" if host in ("0.0.0.0", "::") else host
    return ""


def _is_running(index: int) -> bool:
    answer = _ask(index, _SIOCGIFFLAGS)
    return bool(answer and struct.unpack_from("@h", answer, 16)[0] & _IFF_RUNNING)


def _own_ipv4(index: int) -> str:
    """Return an address of the interface's own: where it has none, Linux sends from another one's."""
    answer = _ask(index, _SIOCGIFADDR)
    return socket.inet_ntoa(answer[20:24]) if answer else ""


def _ask(index: int, question: int) -> bytes:
    """Return what the kernel says of an interface, a `struct ifreq`; nothing if there is nothing to say."""
    if sys.platform == "linux":
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            return fcntl.ioctl(asking, question, struct.pack("@16s24x", socket.if_indextoname(index).encode()))
    return b""
