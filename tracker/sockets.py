"""The sockets of the service: those that the settings ask for, and those that systemd hands over."""

import logging
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import trio

from p2psync.errors import ConfigError
from p2psync.ids import PeerAddress
from tracker.config import Settings
from tracker.logs import log

_FIRST_INHERITED = 3  # sd_listen_fds(3)
_BACKLOG = 1024


@dataclass(slots=True)
class Sockets:
    """Bound and listening, by what is spoken on them."""

    http: list[socket.socket] = field(default_factory=list)
    https: list[socket.socket] = field(default_factory=list)
    udp: list[socket.socket] = field(default_factory=list)

    def addresses(self) -> dict[str, list[str]]:
        """Return where clients reach each service, as HOST:PORT."""
        return {
            name: [str(PeerAddress(*bound.getsockname()[:2])) for bound in getattr(self, name)]
            for name in ("http", "https", "udp")
        }

    def close(self) -> None:
        """Close all."""
        for bound in (*self.http, *self.https, *self.udp):
            bound.close()


def open_sockets(settings: Settings, environment: Mapping[str, str]) -> Sockets:
    """Bind what the settings name; if they name nothing and systemd gave us sockets, those alone.

    Raises:
        ConfigError: An address cannot be had.
    """
    sockets = _inherited(environment)
    if settings.is_default_addresses and any(sockets.addresses().values()):
        return sockets
    try:
        _open(sockets.http, settings.listen, socket.SOCK_STREAM, settings)
        _open(sockets.https, settings.listen_tls, socket.SOCK_STREAM, settings)
        _open(sockets.udp, settings.udp, socket.SOCK_DGRAM, settings)
    except BaseException:
        sockets.close()
        raise
    return sockets


def as_listeners(bound: Sequence[socket.socket]) -> list[trio.SocketListener]:
    """Return trio's listeners over listening sockets, which they own from now on."""
    return [trio.SocketListener(trio.socket.from_stdlib_socket(listening)) for listening in bound]


def _inherited(environment: Mapping[str, str]) -> Sockets:
    """Return the sockets that systemd opened for this very process; those it names `https` are for TLS."""
    sockets = Sockets()
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return sockets
    count, names = int(environment.get("LISTEN_FDS", "0")), environment.get("LISTEN_FDNAMES", "").split(":")
    for number in range(count):
        inherited = socket.socket(fileno=_FIRST_INHERITED + number)
        inherited.set_inheritable(False)
        inherited.setblocking(False)
        if inherited.type == socket.SOCK_DGRAM:
            sockets.udp.append(inherited)
        elif number < len(names) and names[number] == "https":
            sockets.https.append(inherited)
        else:
            sockets.http.append(inherited)
    return sockets


def _open(
    bound: list[socket.socket], addresses: Sequence[PeerAddress], kind: socket.SocketKind, settings: Settings
) -> None:
    for address in addresses:
        try:
            bound.append(_bind(address, kind, reuse_port=settings.reuse_port))
        except OSError as error:
            if settings.is_default_addresses and address.host == "::":
                log(logging.WARNING, "no IPv6 here, serving IPv4 alone")
                continue
            reason = error.strerror or str(error)
            raise ConfigError(f"cannot listen on {address}: {reason}; choose another address") from error


def _bind(address: PeerAddress, kind: socket.SocketKind, *, reuse_port: bool) -> socket.socket:
    family, *_, where = socket.getaddrinfo(address.host, address.port, type=kind, flags=socket.AI_PASSIVE)[0]
    bound = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has a socket of its own
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(where)
        bound.setblocking(False)
        if kind == socket.SOCK_STREAM:
            bound.listen(_BACKLOG)
    except BaseException:
        bound.close()
        raise
    return bound
