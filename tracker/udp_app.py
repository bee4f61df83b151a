"""What each UDP packet is answered. Silence for whatever is no request, and for all that proves no address."""

from collections.abc import Sequence

from p2psync.errors import RemoteProtocolError
from p2psync.wire.announce import Announce, SwarmCounts
from p2psync.wire.compact import PORT_BYTES
from p2psync.wire.tracker_udp import (
    ANNOUNCE,
    CONNECT,
    MAGIC,
    SCRAPE,
    encode_announce_answer,
    encode_connect_answer,
    encode_error,
    encode_scrape_answer,
    max_entries,
    parse_announce,
    parse_scrape,
    split_head,
)
from tracker.connection_id import ConnectionIds
from tracker.service import Answer, Outcome, Refusal, TrackerService
from tracker.swarms import StoreUnavailableError
from tracker.telemetry import Telemetry, Via

_NOBODY = SwarmCounts()
_MAX_PEERS_BYTES = {ip_bytes: max_entries(ip_bytes + PORT_BYTES) * (ip_bytes + PORT_BYTES) for ip_bytes in (4, 16)}


class UdpApp:
    """Answers batches of packets."""

    def __init__(self, service: TrackerService, telemetry: Telemetry, ids: ConnectionIds) -> None:
        self._service = service
        self._telemetry = telemetry
        self._ids = ids

    async def respond(self, packets: Sequence[tuple[bytes, bytes]], now: float, wall: float) -> list[bytes]:
        """Return the answer to each packet, empty where there is none.

        Args:
            packets: Each with the 4 or 16 bytes of the address it came from.
            now: Seconds of the store's clock.
            wall: Seconds of the clock of the connection ids.
        """
        answers = [b""] * len(packets)
        announcing: list[tuple[int, bytes]] = []
        arrivals: list[tuple[bytes, Announce]] = []
        for number, (packet, ip) in enumerate(packets):
            try:
                action, connection_id, transaction = split_head(packet)
                if action == CONNECT and connection_id == MAGIC:
                    answers[number] = encode_connect_answer(transaction, self._ids.issue(ip, wall))
                elif not self._ids.accepts(connection_id, ip, wall):
                    continue
                elif action == ANNOUNCE:
                    arrivals.append((ip, parse_announce(packet)))
                    announcing.append((number, transaction))
                elif action == SCRAPE:
                    answers[number] = await self._scrape(transaction, packet, ip, now)
            except RemoteProtocolError:
                continue
        if arrivals:
            outcomes = await self._service.announce(arrivals, now)
            self._telemetry.count(Via.UDP, arrivals, outcomes)
            for (number, transaction), (ip, _), outcome in zip(announcing, arrivals, outcomes, strict=True):
                answers[number] = _encode(transaction, outcome, _MAX_PEERS_BYTES[len(ip)])
        self._telemetry.silence.value += answers.count(b"")
        return answers

    async def _scrape(self, transaction: bytes, packet: bytes, ip: bytes, now: float) -> bytes:
        hashes = parse_scrape(packet)
        if not hashes or not self._service.admits(ip, now):
            return b""
        try:
            counts = await self._service.scrape(hashes, now)
        except StoreUnavailableError:
            return b""  # the client asks again
        self._telemetry.scrapes[Via.UDP].value += 1
        return encode_scrape_answer(transaction, [counts.get(info_hash, _NOBODY) for info_hash in hashes])


def _encode(transaction: bytes, outcome: Answer | Refusal, most: int) -> bytes:
    if isinstance(outcome, Answer):
        view = outcome.view
        return encode_announce_answer(transaction, outcome.interval_s, view.counts, view.peers[:most])
    if outcome.outcome is Outcome.RATE_LIMITED:
        return b""  # answering would be what the limit is there to avoid
    return encode_error(transaction, outcome.reason)
