"""Announce and scrape over UDP: packets as BEP 15 has them, with the options of BEP 41.

    client                                         tracker
    magic 8 · action 0 · transaction 4         →
                                               ←   action 0 · transaction · connection id 8
    connection id · action 1 · transaction ·
      info hash … port (98 bytes) · options    →
                                               ←   action 1 · transaction · interval · leechers · seeders · entries
    connection id · action 2 · transaction ·
      info hashes 20 each                      →
                                               ←   action 2 · transaction · (seeders, completed, leechers) each
                                               ←   action 3 · transaction · text, to any of them

A packet may always be longer than it must be. What a tracker cannot read it does not answer.
"""

import struct
from collections.abc import Iterable

from p2psync.errors import RemoteProtocolError
from p2psync.ids import INFO_HASH_BYTES, InfoHash
from p2psync.wire.announce import Announce, SwarmCounts, TrackerAnswer, TrackerRefusalError, one_line
from p2psync.wire.compact import ENTRY4_BYTES, parse_peers
from p2psync.wire.tracker_http import parse_access_key

MAGIC = bytes.fromhex("0000041727101980")
MAX_PACKET_BYTES = 2048
MAX_SCRAPE_HASHES = 74  # BEP 15: as many as fit into a packet that no network cuts
MAX_ANSWER_BYTES = 1200  # likewise, with room for tunnels
CONNECTION_ID_BYTES = 8
_HEAD_BYTES = 16
_ANSWER_HEAD_BYTES = 20
_ANNOUNCE = struct.Struct(">16x20s20sQQQI4sIiH")
_NO_IP = bytes(4)
_new = tuple.__new__  # a constructor of a NamedTuple is Python, and costs twice as much
_PLAIN_OPTIONS_BYTES = 2 + len("/announce")
_ANSWER = struct.Struct(">I4sIII")
_COUNTS = struct.Struct(">III")
CONNECT, ANNOUNCE, SCRAPE, ERROR = (action.to_bytes(4, "big") for action in range(4))
_END, _NOP, _URL_DATA = 0, 1, 2  # options of BEP 41


# --- requests, as a tracker reads them ---


def split_head(packet: bytes) -> tuple[bytes, bytes, bytes]:
    """Return action, connection id (in a request to connect it is `MAGIC`) and transaction of a request.

    Raises:
        RemoteProtocolError: It is shorter than any request.
    """
    if len(packet) < _HEAD_BYTES:
        raise RemoteProtocolError("a packet shorter than any request")
    return packet[8:12], packet[:8], packet[12:16]


def parse_announce(packet: bytes) -> Announce:
    """Read an announce; its port may be 0, its event any number; of its options the path of the URL (BEP 41) counts.

    Raises:
        RemoteProtocolError: It is too short.
    """
    if len(packet) < _ANNOUNCE.size:
        raise RemoteProtocolError("an announce of too few bytes")
    info_hash, peer_id, downloaded, left, uploaded, event, ip, key, numwant, port = _ANNOUNCE.unpack_from(packet)
    fields = (info_hash, peer_id, port, uploaded, downloaded, left, event, numwant, key, True, False, b"", b"")
    announce = _new(Announce, fields)
    if ip != _NO_IP:
        announce = announce._replace(claimed_ip=ip)
    if len(packet) <= _ANNOUNCE.size + _PLAIN_OPTIONS_BYTES:
        return announce  # no options, or but the `/announce` of a URL without a key
    return announce._replace(access_key=parse_access_key(parse_url_data(packet[_ANNOUNCE.size :])))


def parse_scrape(packet: bytes) -> list[InfoHash]:
    """Return the info hashes that a scrape names, at most 74, what is cut short left out."""
    end = min(len(packet), _HEAD_BYTES + MAX_SCRAPE_HASHES * INFO_HASH_BYTES) - INFO_HASH_BYTES + 1
    return [InfoHash(packet[at : at + INFO_HASH_BYTES]) for at in range(_HEAD_BYTES, end, INFO_HASH_BYTES)]


def parse_url_data(options: bytes) -> bytes:
    """Return the path and query of the tracker's URL that BEP 41 options carry; what cannot be read ends them."""
    url_data, at = b"", 0
    while at < len(options) and options[at] != _END:
        if options[at] == _NOP:
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else len(options)
        value = options[at + 2 : at + 2 + length]
        if len(value) < length:
            break
        if options[at] == _URL_DATA:
            url_data += value
        at += 2 + length
    return url_data


# --- answers, as a tracker writes them ---


def encode_connect_answer(transaction: bytes, connection_id: bytes) -> bytes:
    """Return 16 bytes, as many as were asked with."""
    return CONNECT + transaction + connection_id


def encode_announce_answer(transaction: bytes, interval_s: int, counts: SwarmCounts, entries: bytes) -> bytes:
    """Return an answer with the compact entries of the family that the packet came from."""
    return _ANSWER.pack(1, transaction, interval_s, counts.incomplete, counts.complete) + entries


def encode_scrape_answer(transaction: bytes, counts: Iterable[SwarmCounts]) -> bytes:
    """Return the counts in the order in which the hashes were given."""
    packed = [_COUNTS.pack(count.complete, count.downloaded, count.incomplete) for count in counts]
    return SCRAPE + transaction + b"".join(packed)


def encode_error(transaction: bytes, reason: str) -> bytes:
    """Return a refusal that clients show to their user."""
    return ERROR + transaction + reason.encode()


def max_entries(entry_bytes: int) -> int:
    """Return how many entries fit into an answer."""
    return (MAX_ANSWER_BYTES - _ANSWER_HEAD_BYTES) // entry_bytes


# --- requests, as a client writes them ---


def encode_connect(transaction: bytes) -> bytes:
    """Ask for a connection id."""
    return MAGIC + CONNECT + transaction


def encode_announce(connection_id: bytes, transaction: bytes, announce: Announce, *, url_data: bytes = b"") -> bytes:
    """Return an announce with the path and query of the tracker's URL as options (BEP 41), where keys travel."""
    fields = _ANNOUNCE.pack(
        announce.info_hash,
        announce.peer_id,
        announce.downloaded,
        announce.left,
        announce.uploaded,
        announce.event,
        announce.claimed_ip if len(announce.claimed_ip) == len(_NO_IP) else _NO_IP,
        announce.key,
        announce.numwant,
        announce.port,
    )
    parts = [url_data[at : at + 255] for at in range(0, len(url_data), 255)]
    head = connection_id + ANNOUNCE + transaction
    return head + fields[_HEAD_BYTES:] + b"".join(bytes((_URL_DATA, len(part))) + part for part in parts)


# --- answers, as a client reads them ---


def parse_connect_answer(packet: bytes, transaction: bytes) -> bytes | None:
    """Return the connection id, or None if this is not the answer to `transaction`.

    Raises:
        TrackerRefusalError: The tracker refuses.
    """
    body = _answer_body(packet, CONNECT, transaction)
    return body[:CONNECTION_ID_BYTES] if body is not None and len(body) >= CONNECTION_ID_BYTES else None


def parse_announce_answer(
    packet: bytes, transaction: bytes, *, entry_bytes: int = ENTRY4_BYTES
) -> TrackerAnswer | None:
    """Return the answer, or None if this is not the answer to `transaction`.

    Raises:
        TrackerRefusalError: The tracker refuses.
        RemoteProtocolError: Its list of peers has an impossible length.
    """
    body = _answer_body(packet, ANNOUNCE, transaction)
    if body is None or len(body) < _COUNTS.size:
        return None
    interval_s, incomplete, complete = _COUNTS.unpack_from(body)
    peers = tuple(parse_peers(body[_COUNTS.size :], entry_bytes=entry_bytes))
    return TrackerAnswer(interval_s, peers=peers, complete=complete, incomplete=incomplete)


def _answer_body(packet: bytes, action: bytes, transaction: bytes) -> bytes | None:
    if packet[4:8] != transaction:
        return None
    if packet[:4] == ERROR:
        raise TrackerRefusalError(one_line(packet[8:]) or "it gave no reason")
    return packet[8:] if packet[:4] == action else None
