"""Links: `p2psync:CODE?name=NAME&tr=TRACKERS&peer=HOST:PORT`, what one person sends another to share a folder.

CODE is base32 (RFC 4648, lower case, unpadded) of: one byte of kind, the keys of that kind, four bytes of BLAKE3 of
what precedes. `tr` and `peer` may repeat; each `tr` is a tier (BEP 12), its trackers separated by commas. NAME is only
shown: UTF-8, and whatever of a folder's name cannot be shown is replaced.
"""

import base64
import binascii
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

from blake3 import blake3

from p2psync.errors import ConfigError
from p2psync.ids import FOLDER_ID_BYTES, FolderId, PeerAddress, parse_address
from p2psync.keys import KEY_BYTES, FolderKeys, Role, keys_from_read_key, keys_from_seed

SCHEME = "p2psync:"
CHECKSUM_BYTES = 4
_KINDS = {Role.WRITE: 0x10, Role.READ: 0x11, Role.STORE: 0x12}
_KEY_BYTES = {
    Role.WRITE: KEY_BYTES,
    Role.READ: FOLDER_ID_BYTES + KEY_BYTES,
    Role.STORE: FOLDER_ID_BYTES + KEY_BYTES,
}

TrackerTiers = tuple[tuple[str, ...], ...]
_Hint = TypeVar("_Hint")


@dataclass(frozen=True, slots=True)
class ShareLink:
    """A parsed link: the keys it grants, and where to look for peers."""

    keys: FolderKeys
    name: str = ""
    trackers: TrackerTiers = ()
    peers: tuple[PeerAddress, ...] = ()

    def __str__(self) -> str:
        name = _shown(self.name)
        parts = [("name", name)] if name else []
        parts += [("tr", ",".join(tier)) for tier in self.trackers]
        parts += [("peer", str(address)) for address in self.peers]
        query = "&".join(f"{key}={quote(value, safe=':/,[]')}" for key, value in parts)
        return SCHEME + _encode_code(self.keys) + (f"?{query}" if query else "")


def parse_link(text: str) -> ShareLink:
    """Read a link.

    Raises:
        ConfigError: With one sentence on what is wrong with it.
    """
    text = text.strip()
    if not text.lower().startswith(SCHEME):
        raise ConfigError(f"this is not a p2psync link: a link begins with {SCHEME!r}")
    code, _, query = text[len(SCHEME) :].partition("?")
    keys = _decode_code(code)
    name, trackers, peers = "", [], []
    try:
        parts = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError:
        raise ConfigError("the part of the link behind '?' cannot be read: copy the whole link again") from None
    for key, value in parts:
        if key == "name":
            name = _shown(value)
        elif key == "tr":
            trackers.append(_read_hint(parse_tier, value))
        elif key == "peer":
            peers.append(_read_hint(parse_address, value))
        else:
            raise ConfigError(f"the link has an unknown part {key!r}: copy it again, or update p2psync")
    return ShareLink(keys, name, tuple(trackers), tuple(peers))


def _read_hint(parse: Callable[[str], _Hint], value: str) -> _Hint:
    """Read a part of a link; an error says that it is the link's, and not an option's."""
    try:
        return parse(value)
    except ConfigError as error:
        raise ConfigError(f"the link may be cut off, copy the whole link again: {error}") from None


def parse_tier(text: str) -> tuple[str, ...]:
    """Read the trackers of one tier, separated by commas.

    Raises:
        ConfigError: One of them is no tracker URL.
    """
    return tuple(_checked_tracker(url.strip()) for url in text.split(","))


def _checked_tracker(url: str) -> str:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https", "udp") and bool(parts.hostname)
        fits = fits and parts.port != 0 and (parts.scheme != "udp" or parts.port is not None)
    except ValueError:
        fits = False
    if not fits or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"{url!r} is no tracker: write http://HOST:PORT/announce, https://… or udp://HOST:PORT")
    return url


def _shown(name: str) -> str:
    """Replace what would steer a terminal, and the undecodable bytes of a folder's name."""
    return "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in name)


def _encode_code(keys: FolderKeys) -> str:
    role = keys.role
    body = bytes([_KINDS[role]])
    if role is Role.WRITE:
        body += keys.seed or b""
    else:
        body += keys.folder + ((keys.read_key if role is Role.READ else keys.swarm_key) or b"")
    return base64.b32encode(body + _checksum(body)).decode().rstrip("=").lower()


def _decode_code(code: str) -> FolderKeys:
    try:
        code.encode("ascii")  # some other letters have an ASCII letter as their capital
        raw = base64.b32decode(code.upper() + "=" * (-len(code) % 8))
    except (binascii.Error, ValueError):
        raise ConfigError("the link's code holds a character that no link has: copy it again") from None
    body, checksum = raw[:-CHECKSUM_BYTES], raw[-CHECKSUM_BYTES:]
    # The last character of base32 may hold unused bits: only the one spelling that we write is accepted.
    if _checksum(body) != checksum or base64.b32encode(raw).decode().rstrip("=") != code.upper():
        raise ConfigError("the link has a wrong or missing character: copy it again")
    for role, kind in _KINDS.items():
        if body[:1] == bytes([kind]) and len(body) == 1 + _KEY_BYTES[role]:
            return _keys_of(role, body[1:])
    raise ConfigError("the link is of a kind that this version does not know: update p2psync")


def _keys_of(role: Role, material: bytes) -> FolderKeys:
    if role is Role.WRITE:
        return keys_from_seed(material)
    folder, key = FolderId(material[:FOLDER_ID_BYTES]), material[FOLDER_ID_BYTES:]
    return keys_from_read_key(folder, key) if role is Role.READ else FolderKeys(folder, key)


def _checksum(body: bytes) -> bytes:
    return blake3(body).digest(CHECKSUM_BYTES)
