"""Announce and scrape over HTTP: query strings and bencoded answers (BEP 3, 7, 21, 23, 24, 31, 48).

Queries carry raw bytes percent-encoded, so they are parsed as bytes: decoding text would destroy info hashes.
A tracker's failures travel as `TrackerRefusalError`; what breaks the format is a `RemoteProtocolError`.
"""

import ipaddress
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from urllib.parse import quote, unquote_to_bytes

from p2psync.bencoding import Fields, decode, encode
from p2psync.errors import RemoteProtocolError
from p2psync.ids import INFO_HASH_BYTES, PEER_ID_BYTES, InfoHash, PeerAddress, PeerId
from p2psync.wire.announce import (
    DEFAULT_NUMWANT,
    UNKNOWN_LEFT,
    Announce,
    Event,
    SwarmCounts,
    TrackerAnswer,
    TrackerRefusalError,
    one_line,
)
from p2psync.wire.compact import ENTRY4_BYTES, ENTRY6_BYTES, PORT_BYTES, parse_peers, show_ip, unmapped

MAX_QUERY_BYTES = 8192
MAX_NUMBER_DIGITS = 20  # 2**64 has as many
MAX_ANSWER_BYTES = 1 << 20  # as libtorrent: no honest answer comes near
DEFAULT_INTERVAL_S = 1800  # what libtorrent takes where a tracker forgot its interval
_NEVER = b"never"

_EVENTS = {
    b"started": Event.STARTED,
    b"completed": Event.COMPLETED,
    b"stopped": Event.STOPPED,
    b"paused": Event.PAUSED,
}
_EVENT_NAMES = {int(event): name.decode() for name, event in _EVENTS.items()}


# --- queries, as a tracker reads them ---


def parse_access_key(path: bytes) -> bytes:
    """Return KEY of a path `/KEY/announce` or `/KEY/scrape`, empty where there is none; a query may follow."""
    before, _, _ = path.partition(b"?")[0].rpartition(b"/")
    return before.rpartition(b"/")[2]


def parse_announce_query(query: bytes, access_key: bytes = b"") -> Announce:
    """Read the query string of an announce; what is optional and absent has its default, what is unknown is skipped.

    Args:
        query: What followed the `?`.
        access_key: From the path.

    Raises:
        RemoteProtocolError: With the sentence that the client's user should see.
    """
    values = _parameters(query)
    port = _number(values, b"port", None)
    if not 1 <= port <= 65535:
        raise RemoteProtocolError("port must be a number from 1 to 65535")
    return Announce(
        InfoHash(_identifier(values, b"info_hash", INFO_HASH_BYTES)),
        PeerId(_identifier(values, b"peer_id", PEER_ID_BYTES)),
        port,
        _number(values, b"uploaded", 0),
        _number(values, b"downloaded", 0),
        _number(values, b"left", UNKNOWN_LEFT),
        _EVENTS.get(values.get(b"event", b""), Event.NONE),
        _numwant(values),
        _client_key(values.get(b"key", b"")),
        values.get(b"compact") != b"0",
        values.get(b"no_peer_id") == b"1",
        _claimed_ip(values),
        access_key,
    )


def parse_scrape_query(query: bytes, *, limit: int) -> list[InfoHash]:
    """Return the info hashes that a scrape names, at most `limit` of them, the rest left out.

    Raises:
        RemoteProtocolError: One of them is no info hash.
    """
    hashes = []
    for part in _parts(query):
        name, _, value = part.partition(b"=")
        if name == b"info_hash":
            hashes.append(InfoHash(_identifier({name: unquote_to_bytes(value)}, name, INFO_HASH_BYTES)))
    return hashes[:limit]


def _parts(query: bytes) -> list[bytes]:
    if len(query) > MAX_QUERY_BYTES:
        raise RemoteProtocolError(f"the query is longer than {MAX_QUERY_BYTES} bytes")
    return query.split(b"&")


def _parameters(query: bytes) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    for part in _parts(query):
        name, _, value = part.partition(b"=")
        if name == b"info_hash" and name in values:
            raise RemoteProtocolError("an announce names one info_hash")
        values[name] = _unquoted(value) if b"%" in value else value
    return values


def _unquoted(value: bytes) -> bytes:
    """Return what is percent-encoded; many clients encode every byte, which can be read in a tenth of the time."""
    digits = value.replace(b"%", b"")
    if value[::3].count(b"%") * 3 == len(value) == len(digits) // 2 * 3 and digits.isalnum():
        with suppress(ValueError):
            return bytes.fromhex(digits.decode("ascii"))
    return unquote_to_bytes(value)


def _identifier(values: Mapping[bytes, bytes], name: bytes, length: int) -> bytes:
    value = values.get(name, b"")
    if len(value) != length:
        raise RemoteProtocolError(f"{name.decode()} must have {length} bytes")
    return value


def _number(values: Mapping[bytes, bytes], name: bytes, default: int | None) -> int:
    text = values.get(name, b"")
    if not text and default is not None:
        return default
    if text.isdigit() and len(text) <= MAX_NUMBER_DIGITS:
        return int(text)
    if text[:1] == b"-" and text[1:].isdigit() and default is not None:
        return default  # some clients count below zero, or say -1 for "unknown"
    raise RemoteProtocolError(f"{name.decode()} must be a number")


def _numwant(values: Mapping[bytes, bytes]) -> int:
    name = b"numwant" if b"numwant" in values else b"num_want"
    return min(_number(values, name, DEFAULT_NUMWANT), 1 << 31)


def _client_key(text: bytes) -> int:
    """Return the 32 bits that the same client would send over UDP if it writes them as hex, else a digest."""
    if not text:
        return 0
    try:
        return int(text, 16) if len(text) == 8 and text.isalnum() else zlib.crc32(text)
    except ValueError:
        return zlib.crc32(text)


def _claimed_ip(values: Mapping[bytes, bytes]) -> bytes:
    text = values.get(b"ip", b"")
    try:
        return unmapped(ipaddress.ip_address(text.decode("ascii")).packed) if text else b""
    except ValueError:
        return b""  # names and nonsense are ignored, as every tracker does


# --- answers, as a tracker writes them ---


def encode_failure(reason: str, *, retry_in_min: int | None = 0) -> bytes:
    """Return a refusal; `retry_in_min` is None for never, 0 to say nothing of it (BEP 31)."""
    answer: dict[bytes, bytes | int] = {b"failure reason": reason.encode()}
    if retry_in_min != 0:
        answer[b"retry in"] = _NEVER if retry_in_min is None else retry_in_min
    return encode(answer)


def encode_announce_answer(  # noqa: PLR0913 - the keys of the answer
    counts: SwarmCounts,
    peers: bytes,
    *,
    interval_s: int,
    min_interval_s: int,
    external_ip: bytes,
    peer_list: bytes = b"",
    warning: str = "",
) -> bytes:
    """Return an answer; `peers` is always there, for some clients refuse an answer without it.

    Written by hand, not by the encoder, which would be half the cost of an announce; a test compares the two.

    Args:
        counts: Of the swarm.
        peers: Compact entries of the family of `external_ip`.
        interval_s: Seconds until the next announce is due.
        min_interval_s: Seconds before which none is welcome.
        external_ip: 4 or 16 bytes: the client's address as the tracker sees it (BEP 24).
        peer_list: What `encode_peer_list` made of `peers`, for a client that wants no compact list.
        warning: A sentence for the client's user.
    """
    if peer_list:
        lists = b"5:peers%b" % peer_list
    elif len(external_ip) == 4:
        lists = b"5:peers%d:%b" % (len(peers), peers)
    else:
        lists = b"5:peers0:6:peers6%d:%b" % (len(peers), peers)
    if warning:
        lists += b"15:warning message%d:%b" % (len(warning.encode()), warning.encode())
    clients = b"d8:completei%de10:downloadedi%de" % (counts.complete, counts.downloaded)
    clients += b"11:external ip%d:%b10:incompletei%de" % (len(external_ip), external_ip, counts.incomplete)
    return clients + b"8:intervali%de12:min intervali%de%be" % (interval_s, min_interval_s, lists)


def encode_peer_list(entries: bytes, peer_ids: bytes = b"", *, entry_bytes: int = ENTRY4_BYTES) -> bytes:
    """Return the bencoded list of dictionaries that BEP 3 had before compact lists.

    Args:
        entries: Compact entries.
        peer_ids: Their peer ids in the same order, or nothing to leave these out.
        entry_bytes: `ENTRY4_BYTES` or `ENTRY6_BYTES`.
    """
    peers: list[dict[bytes, bytes | int]] = []
    for number, start in enumerate(range(0, len(entries), entry_bytes)):
        entry = entries[start : start + entry_bytes]
        peer: dict[bytes, bytes | int] = {
            b"ip": show_ip(entry[:-PORT_BYTES]).encode(),
            b"port": int.from_bytes(entry[-PORT_BYTES:], "big"),
        }
        if peer_ids:
            peer[b"peer id"] = peer_ids[number * PEER_ID_BYTES : (number + 1) * PEER_ID_BYTES]
        peers.append(peer)
    return encode(peers)


def encode_scrape(counts: Mapping[InfoHash, SwarmCounts]) -> bytes:
    """Return the answer to a scrape; `downloaders` is BEP 21's."""
    return encode(
        {
            b"files": {
                info_hash: {
                    b"complete": count.complete,
                    b"downloaded": count.downloaded,
                    b"downloaders": count.downloaders,
                    b"incomplete": count.incomplete,
                }
                for info_hash, count in counts.items()
            }
        }
    )


# --- queries, as a client writes them ---


def encode_announce_query(announce: Announce, *, tracker_id: bytes = b"") -> str:
    """Return the query string of an announce, in the order that stock clients use."""
    query = (
        f"info_hash={quote(announce.info_hash)}&peer_id={quote(announce.peer_id)}&port={announce.port}"
        f"&uploaded={announce.uploaded}&downloaded={announce.downloaded}&left={min(announce.left, 2**63 - 1)}"
        f"&key={announce.key:08X}&compact=1&no_peer_id=1"
    )
    if announce.event in _EVENT_NAMES:
        query += f"&event={_EVENT_NAMES[announce.event]}"
    if announce.numwant >= 0:
        query += f"&numwant={announce.numwant}"
    if tracker_id:
        query += f"&trackerid={quote(tracker_id)}"
    return query


# --- answers, as a client reads them ---


def parse_announce_answer(body: bytes) -> TrackerAnswer:
    """Read any tracker's answer, keys in whatever order, peers compact or not.

    Raises:
        TrackerRefusalError: It refused.
        RemoteProtocolError: It is no answer.
    """
    fields = Fields(decode(body, canonical=False), of="the tracker's answer")
    if b"failure reason" in fields:
        raise _refusal(fields)
    return TrackerAnswer(
        fields.number(b"interval", default=DEFAULT_INTERVAL_S),
        fields.number(b"min interval", default=0),
        _peers(fields),
        fields.number(b"complete", default=0),
        fields.number(b"incomplete", default=0),
        one_line(fields.octets(b"warning message", default=b"")),
        fields.octets(b"tracker id", default=b""),
        fields.octets(b"external ip", default=b""),
    )


def _refusal(fields: Fields) -> TrackerRefusalError:
    reason = one_line(fields.octets(b"failure reason")) or "it gave no reason"
    retry_after_s: int | None = 0
    with suppress(RemoteProtocolError):
        retry_after_s = 60 * fields.number(b"retry in", default=0, high=10**6)
    with suppress(RemoteProtocolError):
        retry_after_s = None if fields.octets(b"retry in") == _NEVER else retry_after_s
    return TrackerRefusalError(reason, retry_after_s=retry_after_s)


def _peers(fields: Fields) -> tuple[PeerAddress, ...]:
    six = parse_peers(fields.octets(b"peers6", default=b""), entry_bytes=ENTRY6_BYTES)
    try:
        listed = fields.items(b"peers", default=[])
    except RemoteProtocolError:
        return (*parse_peers(fields.octets(b"peers", default=b"")), *six)
    return (*_listed_peers(listed), *six)


def _listed_peers(listed: Sequence[object]) -> list[PeerAddress]:
    peers = []
    for item in listed:
        fields = Fields(item, of="a peer in the tracker's answer")  # type: ignore[arg-type] # Fields checks it
        host = fields.octets(b"ip").decode("ascii", "replace")
        try:
            literal = str(ipaddress.ip_address(host))
        except ValueError:
            continue  # BEP 3 allows names here; no tracker sends them, and they would make us query a DNS
        peers.append(PeerAddress(literal, fields.number(b"port", low=1, high=65535)))
    return peers
