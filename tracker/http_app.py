"""What each path of the HTTP service answers. Failures are status 200 with a reason: clients read no other body."""

from collections.abc import Sequence

from p2psync.errors import ConfigError, RemoteProtocolError
from p2psync.metrics import CONTENT_TYPE as METRICS_TYPE
from p2psync.wire.announce import Announce
from p2psync.wire.compact import PORT_BYTES, encode_ip
from p2psync.wire.tracker_http import (
    encode_announce_answer,
    encode_failure,
    encode_peer_list,
    encode_scrape,
    parse_access_key,
    parse_announce_query,
    parse_scrape_query,
)
from tracker import page
from tracker.addresses import Networks, contains
from tracker.http_parser import Request, encode_response
from tracker.service import RATE_LIMITED, Answer, Refusal, TrackerService
from tracker.swarms import StoreUnavailableError
from tracker.telemetry import Telemetry, Via

MAX_SCRAPE_HASHES = 74  # as over UDP (BEP 15)
_BUSIEST = 20
_TEXT = b"text/plain"

Arrival = tuple[Request, bytes]
"""A request, and the 4 or 16 bytes of the address that it came from."""


class HttpApp:
    """Answers batches of requests.

    Attributes:
        trusted_proxies: Their X-Forwarded-For is believed.
        status_from: Who may see metrics and the page.
    """

    def __init__(
        self,
        service: TrackerService,
        telemetry: Telemetry,
        *,
        trusted_proxies: Networks = (),
        status_from: Networks = (),
    ) -> None:
        self._service = service
        self._telemetry = telemetry
        self._trusted_proxies = trusted_proxies
        self._status_from = status_from

    async def respond(self, requests: Sequence[tuple[Request, bytes]], now: float) -> list[bytes]:
        """Return the whole response to each request, in order; `now` is in seconds of the store's clock."""
        responses = [b""] * len(requests)
        announcing: list[int] = []
        arrivals: list[tuple[bytes, Announce]] = []
        for number, (request, sender) in enumerate(requests):
            ip = self._origin(request, sender)
            if request.method == b"GET" and request.path.endswith(b"/announce"):
                try:
                    arrivals.append((ip, parse_announce_query(request.query, parse_access_key(request.path))))
                    announcing.append(number)
                except RemoteProtocolError as error:
                    self._telemetry.count_malformed(Via.HTTP)
                    responses[number] = encode_response(encode_failure(str(error)), keep_alive=request.keep_alive)
            else:
                responses[number] = await self._other(request, ip, now)
        if arrivals:
            results = await self._service.announce(arrivals, now)
            self._telemetry.count(Via.HTTP, arrivals, results)
            for number, (ip, announce), result in zip(announcing, arrivals, results, strict=True):
                body = _encode(result, announce, ip)
                responses[number] = encode_response(body, keep_alive=requests[number][0].keep_alive)
        return responses

    def _origin(self, request: Request, sender: bytes) -> bytes:
        """Return the client's address, which a trusted proxy wrote last into its header."""
        if not self._trusted_proxies or not contains(self._trusted_proxies, sender):
            return sender
        last = request.header(b"x-forwarded-for").rpartition(b",")[2].strip().decode("ascii", "replace")
        try:
            return encode_ip(last)
        except ConfigError:
            return sender

    async def _other(self, request: Request, ip: bytes, now: float) -> bytes:
        if request.method != b"GET":
            return encode_response(b"only GET is answered here\n", status=405, keep_alive=request.keep_alive)
        if request.path.endswith(b"/scrape"):
            return encode_response(await self._scrape(request, ip, now), keep_alive=request.keep_alive)
        status, body, content_type = await self._status(request.path, now, trusted=contains(self._status_from, ip))
        return encode_response(body, status=status, content_type=content_type, keep_alive=request.keep_alive)

    async def _scrape(self, request: Request, ip: bytes, now: float) -> bytes:
        if not self._service.admits(ip, now):
            return encode_failure(RATE_LIMITED.reason, retry_in_min=RATE_LIMITED.retry_in_min)
        try:
            hashes = parse_scrape_query(request.query, limit=MAX_SCRAPE_HASHES)
            if not hashes:
                return encode_failure("a scrape names at least one info_hash")
            counts = await self._service.scrape(hashes, now, access_key=parse_access_key(request.path))
        except RemoteProtocolError as error:
            return encode_failure(str(error))
        except StoreUnavailableError:
            return encode_failure("this tracker has a short break, ask again soon", retry_in_min=1)
        self._telemetry.scrapes[Via.HTTP].value += 1
        return encode_scrape(counts)

    async def _status(self, path: bytes, now: float, *, trusted: bool) -> tuple[int, bytes, bytes]:
        store = self._service.store
        try:
            if path == b"/health":
                await store.scrape((), now)
                return 200, b"ok\n", _TEXT
            if path == b"/metrics" and trusted:
                return 200, self._telemetry.registry.openmetrics().encode(), METRICS_TYPE.encode()
            if path == b"/" and trusted:
                return 200, page.render_page(store.totals(), await store.busiest(_BUSIEST, now)), page.CONTENT_TYPE
        except StoreUnavailableError:
            return 503, b"the store is away\n", _TEXT
        return 404, b"nothing is here\n", _TEXT


def _encode(result: Answer | Refusal, announce: Announce, ip: bytes) -> bytes:
    if isinstance(result, Refusal):
        return encode_failure(result.reason, retry_in_min=result.retry_in_min)
    view = result.view
    width = len(ip) + PORT_BYTES
    return encode_announce_answer(
        view.counts,
        view.peers,
        interval_s=result.interval_s,
        min_interval_s=result.min_interval_s,
        external_ip=ip,
        peer_list=b"" if announce.compact else encode_peer_list(view.peers, view.peer_ids, entry_bytes=width),
        warning=result.warning,
    )
