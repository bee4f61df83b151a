"""Ids and addresses as types: never bare bytes or strings.

The byte ids are `NewType`s over `bytes`: the type checker tells them apart, and at run time they hash and
compare at the speed of bytes, which matters where there is one per block.
"""

import ipaddress
from typing import NamedTuple, NewType

from p2psync.errors import ConfigError

BLOCK_ID_BYTES = 32
DEVICE_ID_BYTES = 32
FOLDER_ID_BYTES = 32
INFO_HASH_BYTES = 20
PEER_ID_BYTES = 20

BlockId = NewType("BlockId", bytes)
"""BLAKE3-256 of a block's bytes."""
DeviceId = NewType("DeviceId", bytes)
"""SHA-256 of the SubjectPublicKeyInfo of a member's TLS leaf: who is at the other end of a link."""
FolderId = NewType("FolderId", bytes)
"""Ed25519 public key that signs a folder's heads."""
InfoHash = NewType("InfoHash", bytes)
"""What trackers and LAN announcements know a swarm by."""
PeerId = NewType("PeerId", bytes)
"""The 20 bytes a client calls itself by on trackers (BEP 20)."""


class PeerAddress(NamedTuple):
    """Where a peer listens: `host` is a name or an IPv4 or IPv6 literal without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, *, lowest_port: int = 1) -> PeerAddress:
    """Read `HOST:PORT` or `[IPV6]:PORT`.

    Args:
        text: What the user or a link gave.
        lowest_port: 0 where a port may be left to the system to choose.

    Raises:
        ConfigError: It is neither.
    """
    host, colon, port_text = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not is_ip_literal(host) or ":" not in host:
            raise ConfigError(f"{text!r} is no address: between brackets there must be an IPv6 address")
    elif ":" in host:
        raise ConfigError(f"{text!r} is no address: write an IPv6 address as [ADDRESS]:PORT")
    if not colon or not host or not host.isprintable() or any(c in host for c in " /?#@[]"):
        raise ConfigError(f"{text!r} is no address: it must be HOST:PORT")
    digits = port_text.isascii() and port_text.isdigit() and len(port_text) <= 5
    if not digits or not lowest_port <= int(port_text) <= 65535:
        raise ConfigError(f"{text!r} is no address: the port must be a number from {lowest_port} to 65535")
    return PeerAddress(host, int(port_text))


def is_ip_literal(host: str) -> bool:
    """Say whether `host` is an IPv4 or IPv6 address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
