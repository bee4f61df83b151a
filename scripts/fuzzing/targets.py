"""What is fuzzed: functions of bytes that return if all is well.

Garbage must give an error of the right family, an error answer or silence: any other exception rises out of the target,
and so does growth, for each checks that what is kept stays within its limits.
"""

import io
import ipaddress
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from p2psync.bencoding import decode
from p2psync.errors import P2PSyncError, RemoteProtocolError
from p2psync.wire import tracker_http, tracker_udp
from tracker import snapshot
from tracker.access import parse_hashes, parse_keys
from tracker.connection_id import ConnectionIds
from tracker.http_app import HttpApp
from tracker.http_parser import MAX_HEAD_BYTES, BadRequestError, RequestReader
from tracker.memory_swarms import MemorySwarms, StoreLimits
from tracker.service import Policy, TrackerService
from tracker.telemetry import Telemetry
from tracker.udp_app import UdpApp

IP4, IP6 = b"\x08\x08\x08\x08", bytes.fromhex("20010db8") + bytes(12)
LIMITS = StoreLimits(swarms=64, peers=256, peers_per_address=8, peers_per_prefix6=8)
IDS = ConnectionIds(b"k" * 32)

_T = TypeVar("_T")


class Service:
    """A whole tracker, its limits so low that they are reached."""

    def __init__(self) -> None:
        self.store = MemorySwarms(random.Random(0), LIMITS)
        telemetry = Telemetry(self.store)
        service = TrackerService(self.store, Policy(rate_per_s=0, claimed_ip=True), random.Random(0))
        self.http = HttpApp(service, telemetry, trusted_proxies=[ipaddress.ip_network(IP4)])
        self.udp = UdpApp(service, telemetry, IDS)
        self._now = 0.0

    def tick(self) -> float:
        """Let time pass, and check that nothing has grown."""
        self._now += 1.0
        now_(self.store.tend(self._now))
        totals = self.store.totals()
        assert 0 <= totals.swarms <= LIMITS.swarms
        assert 0 <= totals.peers <= LIMITS.peers
        assert 0 <= totals.seeds <= totals.peers
        return self._now


SERVICE = Service()


def now_(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run to its end what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    raise AssertionError("a store in memory has waited")


def http_stream(data: bytes) -> None:
    """A connection: what is a request gets one whole response, whatever the cuts of the stream."""
    whole, cut = [], []
    with suppress(BadRequestError):
        whole = RequestReader().feed(data)
    reader, middle = RequestReader(), len(data) // 2
    with suppress(BadRequestError):
        cut = reader.feed(data[:middle])
        cut += reader.feed(data[middle:])
    assert whole == cut[: len(whole)]
    assert len(reader._buffer) < MAX_HEAD_BYTES
    responses = now_(SERVICE.http.respond([(request, IP4) for request in cut], SERVICE.tick()))
    for response in responses:
        head, _, body = response.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 ")
        assert b"Content-Length: %d" % len(body) in head


def http_announce(data: bytes) -> None:
    """The query of an announce: the answer is bencode that our client reads, or a refusal."""
    (request,) = RequestReader().feed(b"GET /announce?x HTTP/1.1\r\n\r\n")
    for ip in (IP4, IP6):
        (response,) = now_(SERVICE.http.respond([(request._replace(query=data), ip)], SERVICE.tick()))
        body = response.partition(b"\r\n\r\n")[2]
        decode(body)
        with suppress(tracker_http.TrackerRefusalError):
            tracker_http.parse_announce_answer(body)


def http_scrape(data: bytes) -> None:
    """The query of a scrape."""
    (request,) = RequestReader().feed(b"GET /scrape?x HTTP/1.1\r\n\r\n")
    (response,) = now_(SERVICE.http.respond([(request._replace(query=data), IP4)], SERVICE.tick()))
    decode(response.partition(b"\r\n\r\n")[2])


def udp_packet(data: bytes) -> None:
    """A packet, as it is and behind a valid connection id: silence, or no more than its sender may get."""
    now = SERVICE.tick()
    for ip in (IP4, IP6):
        (answer,) = now_(SERVICE.udp.respond([(data, ip)], now, 0.0))
        proven = IDS.accepts(data[:8], ip, 0.0)
        assert len(answer) <= (tracker_udp.MAX_ANSWER_BYTES if proven else len(data))
        (answer,) = now_(SERVICE.udp.respond([(IDS.issue(ip, 0.0) + data, ip)], now, 0.0))
        assert len(answer) <= tracker_udp.MAX_ANSWER_BYTES
    tracker_udp.parse_url_data(data)


def http_answer(data: bytes) -> None:
    """What a hostile tracker answers to our client over HTTP."""
    with suppress(RemoteProtocolError):
        answer = tracker_http.parse_announce_answer(data)
        assert answer.interval_s >= 0
        assert answer.warning.isprintable()


def udp_answer(data: bytes) -> None:
    """What a hostile tracker answers to our client over UDP."""
    transaction = data[4:8]
    for parse in (tracker_udp.parse_connect_answer, tracker_udp.parse_announce_answer):
        with suppress(RemoteProtocolError):
            parse(data, transaction)


def snapshot_file(data: bytes) -> None:
    """A file of peers that somebody else wrote."""
    store = MemorySwarms(random.Random(0), LIMITS)
    with suppress(RemoteProtocolError):
        now_(snapshot._load(io.BytesIO(data), store, 0.0, 0.0))
    assert store.totals().peers <= LIMITS.peers


def access_list(data: bytes) -> None:
    """A list of info hashes, or of keys."""
    for parse in (parse_hashes, parse_keys):
        with suppress(P2PSyncError):
            parse(data.decode("ascii", "replace"), source="list")


TARGETS: dict[str, Callable[[bytes], None]] = {
    function.__name__: function
    for function in (
        http_stream,
        http_announce,
        http_scrape,
        udp_packet,
        http_answer,
        udp_answer,
        snapshot_file,
        access_list,
    )
}
"""By name; a function of another part of the program may be added here."""

SEEDS: dict[str, tuple[bytes, ...]] = {
    "http_stream": (
        b"GET /announce?port=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /scrape?info_hash=aaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nX-Forwarded-For: 1.1.1.1, ::1\r\n\r\n",
    ),
    "http_announce": (
        b"info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=1&left=0&compact=0&numwant=5"
        b"&key=F259856B&event=started&ip=10.0.0.1",
    ),
    "http_scrape": (b"info_hash=aaaaaaaaaaaaaaaaaaaa&info_hash=%00",),
    "udp_packet": (
        tracker_udp.encode_connect(b"tx-1"),
        b"\0\0\0\1tx-1" + bytes(82) + b"\2\x09/announce",
        b"\0\0\0\2tx-1" + bytes(40),
    ),
    "http_answer": (b"d8:intervali60e5:peers6:abcdef6:peers60:e", b"d14:failure reason2:no8:retry in5:nevere"),
    "udp_answer": (b"\0\0\0\1tx-1" + bytes(18), b"\0\0\0\3tx-1text"),
    "snapshot_file": (b"\0\0\0\x0cd1:ni0e1:wi0ee",),
    "access_list": (b"# all\n" + b"00" * 20,),
}
"""Where the search begins."""
