"""TCP as links need it: listening on both families, dialling either, and noticing when the network is dead."""

import errno
import ipaddress
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

import trio

from p2psync.discovery.multicast import choose_interfaces, host_of, interface_hosts
from p2psync.errors import ConfigError, UnreachableError
from p2psync.ids import PeerAddress

# A name to resolve, then both families in turn (RFC 8305), to a host that may be gone.
CONNECT_S = 10.0

_WILDCARDS = {"", "0.0.0.0", "::"}
_LOOPBACK = "127.0.0.1"
# Documentation addresses (RFC 5737, RFC 3849): routed like any other, and nothing is ever sent to them.
_SOMEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
# How often to look for a port that is free in both families.
_PORT_ATTEMPTS = 20
_FAMILY_IS_MISSING = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}

# An idle connection is probed after 10 s and given up 15 s later; one with data under way after 30 s without an
# acknowledgement. The latter also ends a connection whose peer reads nothing for 30 s (measured on Linux 6), so it
# must not be much shorter: a disk may stall.
_DEAD_NETWORK_OPTIONS = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPALIVE", 10),  # the name of TCP_KEEPIDLE on macOS
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 30_000),
)

# Where the system's choice is BBR, of whatever version: what to ask for, the first that it lets us have.
_HEEDING_LOSS = ("cubic", "reno")
_ALGORITHM_BYTES = 16


async def connect(address: PeerAddress) -> trio.SocketStream:
    """Dial `address` over IPv4 or IPv6, whichever answers first.

    Raises:
        UnreachableError: Nobody answers there, or not in time.
    """
    try:
        with trio.fail_after(CONNECT_S):
            stream = await trio.open_tcp_stream(address.host, address.port)
    except trio.TooSlowError:
        raise UnreachableError(f"{address} does not answer") from None
    except (OSError, UnicodeError) as error:  # the latter from names that no DNS can hold
        raise UnreachableError(f"{address} cannot be reached: {_reason(error)}") from error
    watch_for_dead_network(stream)
    return stream


async def open_listeners(address: PeerAddress) -> list[trio.SocketListener]:
    """Listen on one port of every address that `address` stands for.

    Args:
        address: An empty host, `0.0.0.0` or `::` mean all interfaces in both families; port 0 lets the system choose.

    Raises:
        ConfigError: It is in use, not ours, or not allowed.
    """
    hosts = ["0.0.0.0", "::"] if address.host in _WILDCARDS else await _resolve(address)
    for _ in range(_PORT_ATTEMPTS):
        try:
            return await _listen(hosts, address.port)
        except OSError as error:
            # The system chose a port that is free in the first family only.
            if address.port != 0 or error.errno != errno.EADDRINUSE:
                raise ConfigError(_listen_sentence(address, error)) from error
    raise ConfigError("no port is free in both IPv4 and IPv6: choose one with --listen")


def bound_addresses(listeners: Sequence[trio.SocketListener]) -> list[PeerAddress]:
    """Return what each listener is bound to, wildcards as they are."""
    return [PeerAddress(*listener.socket.getsockname()[:2]) for listener in listeners]


def reachable_addresses(listeners: Sequence[trio.SocketListener]) -> list[PeerAddress]:
    """Return where others may reach us, best first: what a link should name.

    Listening on all interfaces, that is the address from which this machine would send to the world, in each family;
    without such a route, what its interfaces have; without those, loopback.
    """
    bound = bound_addresses(listeners)
    own = [_primary_host(address.host) if address.host in _WILDCARDS else address.host for address in bound]
    found = [PeerAddress(host, address.port) for host, address in zip(own, bound, strict=True) if host is not None]
    if not found:
        interfaces = choose_interfaces(socket.if_nameindex(), loopback=False)
        hosts = [host for address in bound for host in interface_hosts(interfaces, _family(address.host))]
        found = [PeerAddress(host, bound[0].port) for host in hosts or [_LOOPBACK]]
    return found


def watch_for_dead_network(stream: trio.abc.Stream) -> None:
    """Let the kernel end a TCP connection about half a minute after the network under it died; others stay as is."""
    if isinstance(stream, trio.SocketStream):
        for level, name, value in _DEAD_NETWORK_OPTIONS:
            if hasattr(socket, name):
                stream.setsockopt(level, getattr(socket, name), value)


def share_line(stream: trio.abc.Stream) -> None:
    """Have a TCP connection make way for others on its line where the system's choice is BBR; others stay as is.

    BBR (draft-cardwell-iccrg-bbr-congestion-control-00) probes above its share whatever is lost by that: good for one
    stream, but of many on one line with a short queue each has others' packets dropped as well as its own.
    """
    if not isinstance(stream, trio.SocketStream) or not hasattr(socket, "TCP_CONGESTION"):
        return
    option = (socket.IPPROTO_TCP, socket.TCP_CONGESTION)
    try:
        chosen = stream.socket.getsockopt(*option, _ALGORITHM_BYTES)
    except OSError:  # the connection is closed already
        return
    if not chosen.startswith(b"bbr"):
        return
    for algorithm in _HEEDING_LOSS:
        with suppress(OSError):  # not there, or not for everybody (tcp_allowed_congestion_control)
            stream.setsockopt(*option, algorithm.encode())
            return


def remote_host(stream: trio.abc.Stream) -> str:
    """Return the address at the other end of a TCP connection; empty if it is gone, or is no such connection."""
    if not isinstance(stream, trio.SocketStream):
        return ""
    try:
        return host_of(stream.socket.getpeername())
    except OSError:
        return ""


async def _listen(hosts: Sequence[str], port: int) -> list[trio.SocketListener]:
    """Listen on all of `hosts` at one port, leaving out families that this machine has not."""
    listeners: list[trio.SocketListener] = []
    missing = None
    for host in hosts:
        try:
            listeners += await trio.open_tcp_listeners(port, host=host)
        except OSError as error:
            if error.errno not in _FAMILY_IS_MISSING:
                for listener in listeners:
                    await listener.aclose()
                raise
            missing = error
        else:
            port = port or listeners[0].socket.getsockname()[1]
    if not listeners and missing is not None:
        raise missing
    return listeners


async def _resolve(address: PeerAddress) -> list[str]:
    try:
        found = await trio.socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{address.host!r} is no address to listen on: {_reason(error)}") from error
    return list(dict.fromkeys(str(sockaddr[0]) for _, _, _, _, sockaddr in found))


def _primary_host(wildcard: str) -> str | None:
    """Return the address of the interface that routes to the world in this family, without sending anything."""
    family = _family(wildcard)
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_SOMEWHERE[family], 9))
        except OSError:
            return None
        host = str(probe.getsockname()[0])
    is_usable = family == socket.AF_INET or ipaddress.ip_address(host).is_global
    return host if is_usable else None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _listen_sentence(address: PeerAddress, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {address.port} is already in use: choose another with --listen"
    if error.errno == errno.EACCES:
        return f"port {address.port} needs privileges: choose one above 1023 with --listen"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address.host} is no address of this machine: choose another with --listen"
    return f"cannot listen on {address}: {_reason(error)}"


def _reason(error: Exception) -> str:
    """Return the system's words for what happened; `trio.open_tcp_stream` has them in the causes of its error."""
    cause = error.__cause__
    while isinstance(cause, ExceptionGroup):
        cause = cause.exceptions[0]
    first = cause if isinstance(cause, OSError) else error
    if isinstance(first, OSError) and first.errno is not None and not isinstance(first, socket.gaierror):
        return os.strerror(first.errno)  # trio's own words repeat the address
    return (first.strerror if isinstance(first, OSError) else None) or str(first)
