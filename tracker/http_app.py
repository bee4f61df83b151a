"""What each path of the HTTP service answers. Failures are status 200 with a reason: clients read no other body."""

from p2psync.errors import RemoteProtocolError
from p2psync.wire.announce import Announce
from p2psync.wire.compact import ENTRY4_BYTES
from p2psync.wire.tracker_http import (
    encode_announce_answer,
    encode_failure,
    encode_peer_list,
    encode_scrape,
    parse_announce_query,
    parse_scrape_query,
)
from tracker.http_parser import Request, encode_response
from tracker.service import Answer, Refusal, TrackerService
from tracker.swarms import StoreUnavailableError

MAX_SCRAPE_HASHES = 74  # as over UDP (BEP 15)


class HttpApp:
    """Answers requests, one at a time."""

    def __init__(self, service: TrackerService) -> None:
        self._service = service

    async def respond(self, request: Request, ip: bytes, now: float) -> bytes:
        """Return the whole response.

        Args:
            request: As it was read.
            ip: 4 or 16 bytes of the address it came from.
            now: Seconds of the store's clock.
        """
        if request.method != b"GET":
            return encode_response(b"only GET is answered here\n", status=405, keep_alive=request.keep_alive)
        # One segment may stand before: trackers with passkeys use /KEY/announce, and clients are given such URLs.
        _, _, last = request.path.rpartition(b"/")
        if last == b"announce":
            body = await self._announce(request.query, ip, now)
        elif last == b"scrape":
            body = await self._scrape(request.query, now)
        else:
            return encode_response(b"nothing is here\n", status=404, keep_alive=request.keep_alive)
        return encode_response(body, keep_alive=request.keep_alive)

    async def _announce(self, query: bytes, ip: bytes, now: float) -> bytes:
        try:
            announce = parse_announce_query(query)
        except RemoteProtocolError as error:
            return encode_failure(str(error))
        (answer,) = await self._service.announce([(ip, announce)], now)
        if isinstance(answer, Refusal):
            return encode_failure(answer.reason, retry_in_min=answer.retry_in_min)
        return _encode(answer, announce, ip)

    async def _scrape(self, query: bytes, now: float) -> bytes:
        try:
            hashes = parse_scrape_query(query, limit=MAX_SCRAPE_HASHES)
            if not hashes:
                return encode_failure("a scrape names at least one info_hash")
            return encode_scrape(await self._service.scrape(hashes, now))
        except RemoteProtocolError as error:
            return encode_failure(str(error))
        except StoreUnavailableError:
            return encode_failure("this tracker has a short break, ask again soon", retry_in_min=1)


def _encode(answer: Answer, announce: Announce, ip: bytes) -> bytes:
    peers, peer_list = answer.view.peers, b""
    if not announce.compact and len(ip) + 2 == ENTRY4_BYTES:
        peer_list = encode_peer_list(peers, answer.view.peer_ids)
    return encode_announce_answer(
        answer.view.counts,
        peers,
        interval_s=answer.interval_s,
        min_interval_s=answer.min_interval_s,
        external_ip=ip,
        peer_list=peer_list,
        warning=answer.warning,
    )
