"""Which addresses mean anything to whom. Pure."""

import ipaddress
from functools import lru_cache

_LOCAL_NETWORKS = [
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8",  # RFC 1918
        "172.16.0.0/12",
        "192.168.0.0/16",
        "127.0.0.0/8",
        "169.254.0.0/16",  # RFC 3927
        "::1/128",
        "fe80::/10",
        "fc00::/7",  # RFC 4193
    )
]

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_local(host: str) -> bool:
    """Say whether an address belongs to a private network or this machine; names do not."""
    address = _parse(host)
    return address is not None and any(address in network for network in _LOCAL_NETWORKS)


def is_of_use_to(host: str, seen_from: str) -> bool:
    """Say whether a peer that is seen at one address could dial another one.

    Args:
        host: The address to dial.
        seen_from: Where the peer is: whoever is on this machine knows its loopback, and whoever has a private address
            may know other private ones; others know global addresses alone.
    """
    address, from_ = _parse(host), _parse(seen_from)
    if address is None or address.is_unspecified or address.is_multicast or address.is_link_local:
        return False
    if int(address) == 0xFFFFFFFF or (address.is_reserved and not is_local(host)):
        return False
    if address.is_loopback:
        return from_ is not None and from_.is_loopback
    return is_local(seen_from) or not is_local(host)


@lru_cache(maxsize=4096)  # an address book asks again and again about each of its addresses
def party_of(host: str) -> str:
    """Return what must be taken for one party: of a public IPv6 address its /64, which a customer has whole.

    Any device in it chooses the other 64 bits as it likes (RFC 7421), as often as it likes.
    """
    if ":" not in host or is_local(host):
        return host
    address = _parse(host)
    if not isinstance(address, ipaddress.IPv6Address):
        return host
    return str(ipaddress.ip_network((address, 64), strict=False))


def _parse(host: str) -> IpAddress | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
