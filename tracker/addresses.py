"""Addresses as 4 or 16 bytes: which of them are private, and what counts as one owner."""

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks = Sequence[Network]

OWNER6_BYTES = 8  # a /64: what any IPv6 customer has for himself


def is_private(ip: bytes) -> bool:
    """Say whether an address (or a compact entry, which begins with one) can only be in a network of its own.

    Loopback, link-local, RFC 1918, RFC 6598 and unique local IPv6: whoever is there is no stranger from the internet.
    """
    first, second = ip[0], ip[1]
    if len(ip) <= 6:
        return (
            first in (10, 127)
            or (first == 192 and second == 168)
            or (first == 172 and 16 <= second <= 31)
            or (first == 169 and second == 254)
            or (first == 100 and 64 <= second <= 127)
        )
    return first & 0xFE == 0xFC or (first == 0xFE and second & 0xC0 == 0x80) or ip[:16] == b"\0" * 15 + b"\1"


def is_loopback(ip: bytes) -> bool:
    """Say whether an address is this machine's own."""
    return ip[0] == 127 if len(ip) == 4 else ip == b"\0" * 15 + b"\1"


def owner(ip: bytes) -> bytes:
    """Return what an address's owner cannot change at will: an IPv4 address, an IPv6 /64."""
    return ip if len(ip) == 4 else ip[:OWNER6_BYTES]


def contains(networks: Networks, ip: bytes) -> bool:
    """Say whether an address is in one of the networks."""
    address = ipaddress.ip_address(ip)
    return any(address in network for network in networks)
