"""The datagram by which peers find each other on a local network (BEP 14, Local Service Discovery).

It looks like an HTTP request, but is read strictly: one port, one cookie at most, an info-hash or
more; other headers are passed over.
"""

import re
from dataclasses import dataclass

from p2psync.errors import LocalProtocolError, RemoteProtocolError
from p2psync.ids import INFO_HASH_BYTES, InfoHash

LAN_GROUP_IPV4 = "239.192.152.143"
LAN_GROUP_IPV6 = "ff15::efc0:988f"
LAN_PORT = 6771

# BEP 14: a datagram should not exceed 1400 bytes, so that no link has to cut it.
MAX_DATAGRAM_BYTES = 1400
# Ours have 8 characters, libtorrent's too; more than this is no cookie.
MAX_COOKIE_CHARS = 64

_REQUEST = b"BT-SEARCH * HTTP/1.1"
_END = b"\r\n\r\n"
_HEADER = re.compile(rb"([A-Za-z0-9-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)[ \t]*")
_HEX = re.compile(rb"[0-9A-Fa-f]{%d}" % (2 * INFO_HASH_BYTES))
_COOKIE = re.compile(rb"[\x21-\x7e]{1,%d}" % MAX_COOKIE_CHARS)
_PORT = re.compile(rb"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class LanAnnounce:
    """Somebody on this network listens on `port` for peers of these swarms.

    Attributes:
        port: TCP port; the host is the one the datagram comes from.
        info_hashes: At least one.
        cookie: By which a sender knows its own datagrams again; may be empty.
    """

    port: int
    info_hashes: tuple[InfoHash, ...]
    cookie: str = ""


def encode_lan_announce(announce: LanAnnounce, group: str) -> bytes:
    """Return the datagram for a multicast group (`LAN_GROUP_IPV4` or `LAN_GROUP_IPV6`).

    Raises:
        LocalProtocolError: It would be longer than a datagram may be.
    """
    host = f"[{group}]" if ":" in group else group
    lines = [_REQUEST.decode(), f"Host: {host}:{LAN_PORT}", f"Port: {announce.port}"]
    lines += [f"Infohash: {info_hash.hex()}" for info_hash in announce.info_hashes]
    lines += [f"cookie: {announce.cookie}"] if announce.cookie else []
    datagram = "\r\n".join([*lines, "", "", ""]).encode("ascii")
    if len(datagram) > MAX_DATAGRAM_BYTES:
        raise LocalProtocolError(f"a LAN announcement of {len(datagram)} bytes, limit {MAX_DATAGRAM_BYTES}")
    return datagram


def parse_lan_announce(datagram: bytes) -> LanAnnounce:
    """Read a datagram that anybody on the network may have sent.

    Raises:
        RemoteProtocolError: It is no announcement.
    """
    if len(datagram) > MAX_DATAGRAM_BYTES:
        raise RemoteProtocolError(f"a LAN announcement of {len(datagram)} bytes, limit {MAX_DATAGRAM_BYTES}")
    head, end, rest = datagram.partition(_END)
    request, *lines = head.split(b"\r\n")
    if request != _REQUEST or not end or rest.strip(b"\r\n"):
        raise RemoteProtocolError("a datagram that is no LAN announcement")
    values = _values(lines)
    return LanAnnounce(_port(values), _info_hashes(values), _cookie(values))


def _values(lines: list[bytes]) -> dict[bytes, list[bytes]]:
    values: dict[bytes, list[bytes]] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise RemoteProtocolError("a LAN announcement with a malformed header")
        values.setdefault(header[1].lower(), []).append(header[2])
    return values


def _port(values: dict[bytes, list[bytes]]) -> int:
    ports = values.get(b"port", [])
    if len(ports) != 1 or not _PORT.fullmatch(ports[0]) or int(ports[0]) > 65535:
        raise RemoteProtocolError("a LAN announcement must name one port from 1 to 65535")
    return int(ports[0])


def _info_hashes(values: dict[bytes, list[bytes]]) -> tuple[InfoHash, ...]:
    texts = values.get(b"infohash", [])
    if not texts or not all(_HEX.fullmatch(text) for text in texts):
        raise RemoteProtocolError("a LAN announcement must name info-hashes of 40 hexadecimal digits")
    return tuple(InfoHash(bytes.fromhex(text.decode())) for text in texts)


def _cookie(values: dict[bytes, list[bytes]]) -> str:
    cookies = values.get(b"cookie", [])
    if len(cookies) > 1 or not all(_COOKIE.fullmatch(cookie) for cookie in cookies):
        raise RemoteProtocolError(f"a LAN announcement has one cookie of up to {MAX_COOKIE_CHARS} characters at most")
    return cookies[0].decode() if cookies else ""
