"""Compact peer lists: an address and a port in network byte order, 6 bytes for IPv4 (BEP 23), 18 for IPv6 (BEP 7)."""

import ipaddress
from collections.abc import Iterable

from p2psync.errors import ConfigError, RemoteProtocolError
from p2psync.ids import PeerAddress

ENTRY4_BYTES = 6
ENTRY6_BYTES = 18
PORT_BYTES = 2
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


def encode_ip(host: str) -> bytes:
    """Return the 4 or 16 bytes of an IP literal; an IPv4 address written as IPv6 (`::ffff:1.2.3.4`) becomes IPv4.

    Raises:
        ConfigError: `host` is a name.
    """
    try:
        return unmapped(ipaddress.ip_address(host).packed)
    except ValueError as error:
        raise ConfigError(f"{host!r} is no IP address") from error


def unmapped(ip: bytes) -> bytes:
    """Return the 4 bytes of an IPv4 address that a dual-stack socket shows as 16, and any other address as it is."""
    return ip[12:] if len(ip) == 16 and ip.startswith(_MAPPED_PREFIX) else ip


def show_ip(ip: bytes) -> str:
    """Return the text of a 4 or 16 byte address."""
    return str(ipaddress.ip_address(ip))


def find_entry(entries: bytes | bytearray, entry: bytes) -> int:
    """Return where in a compact list an entry begins, -1 if it is not there; never across two entries."""
    width = len(entry)
    at = entries.find(entry)
    while at > 0 and at % width:
        at = entries.find(entry, at + 1)
    return at


def without_entry(entries: bytes, entry: bytes) -> bytes:
    """Return a compact list without one of its entries."""
    at = find_entry(entries, entry)
    return entries if at < 0 else entries[:at] + entries[at + len(entry) :]


def encode_peers(peers: Iterable[PeerAddress]) -> bytes:
    """Return the entries of `peers`, which must be IP literals of one family.

    Raises:
        ConfigError: One of them is a name.
    """
    return b"".join(encode_ip(peer.host) + peer.port.to_bytes(PORT_BYTES, "big") for peer in peers)


def encode_families(peers: Iterable[PeerAddress]) -> tuple[bytes, bytes]:
    """Return the entries of the IPv4 addresses among `peers`, and those of the IPv6 addresses.

    Raises:
        ConfigError: One of them is a name.
    """
    entries = [encode_peers([peer]) for peer in peers]
    v4 = [entry for entry in entries if len(entry) == ENTRY4_BYTES]
    return b"".join(v4), b"".join([entry for entry in entries if len(entry) == ENTRY6_BYTES])


def parse_peers(entries: bytes, *, entry_bytes: int = ENTRY4_BYTES) -> list[PeerAddress]:
    """Return the peers of a compact list; entries without a port, which nobody can dial, are left out.

    Args:
        entries: What the tracker sent.
        entry_bytes: `ENTRY4_BYTES` or `ENTRY6_BYTES`.

    Raises:
        RemoteProtocolError: The length is no multiple of `entry_bytes`.
    """
    if len(entries) % entry_bytes:
        raise RemoteProtocolError(f"a list of peers has {len(entries)} bytes, which {entry_bytes} does not divide")
    peers = []
    for start in range(0, len(entries), entry_bytes):
        port_at = start + entry_bytes - PORT_BYTES
        port = int.from_bytes(entries[port_at : port_at + PORT_BYTES], "big")
        if port:
            peers.append(PeerAddress(show_ip(unmapped(entries[start:port_at])), port))
    return peers
