"""What the tracker counts, by names from fixed sets only."""

import enum
from collections.abc import Sequence

from p2psync.metrics import Registry
from p2psync.wire.announce import Announce, Event
from tracker.service import Answer, Outcome, Refusal
from tracker.swarms import SwarmStore

_LATENCY_BOUNDS_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


class Via(enum.StrEnum):
    """How a request came."""

    HTTP = "http"
    UDP = "udp"


class Telemetry:
    """Metrics of one process."""

    def __init__(self, store: SwarmStore) -> None:
        self.registry = Registry()
        outcomes, events = [outcome.name.lower() for outcome in Outcome], [event.name.lower() for event in Event]
        cells = self.registry.counter(
            "tracker_announces", "Announces answered or refused", via=list(Via), event=events, outcome=outcomes
        )
        # By number, for this is looked up once for every announce.
        self._announces = {
            via: [[cells[via, event, outcome] for outcome in outcomes] for event in events] for via in Via
        }
        scrapes = self.registry.counter("tracker_scrapes", "Scrapes answered", via=list(Via))
        self.scrapes = {via: scrapes[via,] for via in Via}
        self.silence = self.registry.counter("tracker_udp_silence", "UDP packets left without an answer")[()]
        self.bad_requests = self.registry.counter("tracker_http_bad_requests", "HTTP requests that were none")[()]
        self.dropped = self.registry.counter(
            "tracker_http_dropped", "HTTP connections ended because there were too many"
        )[()]
        latencies = self.registry.histogram(
            "tracker_answer_seconds",
            "From reading a request to handing over its answer",
            _LATENCY_BOUNDS_S,
            via=list(Via),
        )
        self.latencies = {via: latencies[via,] for via in Via}
        self.registry.gauge("tracker_swarms", "Swarms known", lambda: store.totals().swarms)
        self.registry.gauge("tracker_peers_ipv4", "Peers known by IPv4 address", lambda: store.totals().peers4)
        self.registry.gauge("tracker_peers_ipv6", "Peers known by IPv6 address", lambda: store.totals().peers6)
        self.registry.gauge("tracker_seeds", "Clients that have all", lambda: store.totals().seeds)

    def count(self, via: Via, announces: Sequence[tuple[bytes, Announce]], results: Sequence[Answer | Refusal]) -> None:
        """Count a batch of announces and what came of each."""
        cells = self._announces[via]
        for (_, announce), result in zip(announces, results, strict=True):
            event = announce.event
            cells[event if event < len(cells) else Event.NONE][result.outcome].value += 1

    def count_malformed(self, via: Via) -> None:
        """Count an announce that could not be read."""
        self._announces[via][Event.NONE][Outcome.MALFORMED].value += 1
