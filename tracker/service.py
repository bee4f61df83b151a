"""The tracker's rules: who is answered, what is kept of an announce, how many peers are told, when to come again."""

import enum
import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from p2psync.ids import InfoHash
from p2psync.wire.announce import UNKNOWN_LEFT, Announce, Event, SwarmCounts
from tracker.access import Access, RateLimiter
from tracker.addresses import is_loopback, is_private, owner
from tracker.swarms import Change, Kept, PeerUpdate, Role, StoreUnavailableError, SwarmStore, SwarmView


class Outcome(enum.IntEnum):
    """How an announce ended, for metrics; all but the first three are refusals."""

    OK = 0
    NOT_KEPT = 1
    STOPPED = 2
    DENIED = 3
    RATE_LIMITED = 4
    FULL = 5
    STORE_AWAY = 6
    MALFORMED = 7


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decides.

    Attributes:
        interval_s: Between two announces of a peer, more or less (`jitter`).
        min_interval_s: What clients are asked not to go below.
        small_swarm_interval_s: While a swarm has fewer than `small_swarm_peers`: two peers that came at the same moment
            missed each other, and nothing else makes them meet.
        max_interval_s: What the interval grows to, at most, as peers become more than `announces_per_s` allows.
        announces_per_s: What this tracker wants to answer in the long run.
        jitter: Share of the interval that chance adds or takes, so that peers who came together drift apart.
        numwant: Peers told to a client that does not say how many it wants.
        max_numwant: Peers told to any.
        rate_per_s: Announces and scrapes a second from one address (IPv6: one /64); 0 for no limit. This machine has
            none.
        burst: Announces and scrapes at once from one address.
        claimed_ip: Whether `ip=` of a client in a private network is believed.
    """

    interval_s: int = 1800
    min_interval_s: int = 60
    small_swarm_interval_s: int = 60
    small_swarm_peers: int = 3
    max_interval_s: int = 7200
    announces_per_s: int = 10_000
    jitter: float = 0.1
    numwant: int = 50
    max_numwant: int = 200
    rate_per_s: float = 50.0
    burst: int = 500
    claimed_ip: bool = False


LAN_POLICY = Policy(interval_s=60, min_interval_s=2, small_swarm_interval_s=10)
"""For a share's own tracker: few peers, who should find each other at once."""


class Refusal(NamedTuple):
    """No peers, and why.

    Attributes:
        retry_in_min: None for never, 0 to say nothing of it.
    """

    outcome: Outcome
    reason: str
    retry_in_min: int | None = 0


class Answer(NamedTuple):
    """Peers, and when to come again."""

    outcome: Outcome
    view: SwarmView
    interval_s: int
    min_interval_s: int
    warning: str = ""


_NO_PORT = Refusal(Outcome.MALFORMED, "port must be a number from 1 to 65535", None)
_NO_KEY = Refusal(Outcome.DENIED, "this tracker wants a key in its URL: /KEY/announce", None)
_DENIED = Refusal(Outcome.DENIED, "this tracker does not serve this torrent", None)
RATE_LIMITED = Refusal(Outcome.RATE_LIMITED, "too many requests from your address", 5)
_FULL = Refusal(Outcome.FULL, "this tracker serves as many torrents as it can", 30)
_STORE_AWAY = Refusal(Outcome.STORE_AWAY, "this tracker has a short break, announce again soon", 1)
_OUTCOMES = {
    Kept.YES: (Outcome.OK, ""),
    Kept.LEFT: (Outcome.STOPPED, ""),
    Kept.PEERS_FULL: (Outcome.NOT_KEPT, "this tracker knows as many peers as it can and will not tell others of you"),
    Kept.ADDRESS_FULL: (Outcome.NOT_KEPT, "too many peers at your address, others will not be told of this one"),
}
_CHANGES: dict[int, Change] = {Event.STOPPED: Change.LEAVE, Event.COMPLETED: Change.COMPLETE}
_new = tuple.__new__  # a constructor of a NamedTuple is Python, and costs twice as much
_STAY, _SWARMS_FULL = Change.STAY, Kept.SWARMS_FULL  # here and below: names of their own are found faster
_DOWNLOADER, _SEED, _PARTIAL_SEED = Role
_COMPLETED, _PAUSED = Event.COMPLETED, Event.PAUSED


class TrackerService:
    """Announces and scrapes, from whatever protocol, applied to a store."""

    def __init__(self, store: SwarmStore, policy: Policy, rng: random.Random, access: Access | None = None) -> None:
        self.store = store
        self.access = access or Access()
        self.policy = policy
        self._rng = rng
        self._rates = RateLimiter(policy.rate_per_s, policy.burst)

    async def announce(self, arrivals: Sequence[tuple[bytes, Announce]], now: float) -> list[Answer | Refusal]:
        """Answer a batch of announces, in order.

        Args:
            arrivals: Each with the 4 or 16 bytes of the address it came from.
            now: Seconds of the store's clock.
        """
        interval_s = self._interval_s()
        life_s = lifetime_s(self.policy, interval_s)
        refusals = [self._refusal(ip, announce, now) for ip, announce in arrivals]
        updates = [
            self._update(ip, announce, life_s)
            for (ip, announce), refusal in zip(arrivals, refusals, strict=True)
            if refusal is None
        ]
        try:
            views = iter(await self.store.announce(updates, now))
        except StoreUnavailableError:
            return [refusal or _STORE_AWAY for refusal in refusals]
        return [refusal or self._answer(next(views), interval_s) for refusal in refusals]

    async def scrape(
        self, hashes: Sequence[InfoHash], now: float, *, access_key: bytes = b""
    ) -> dict[InfoHash, SwarmCounts]:
        """Return the counts of those swarms that are served to whoever has this key, zeroes where nobody is known.

        Raises:
            StoreUnavailableError: As it says.
        """
        hashes = hashes if self.access.admits(access_key) else ()
        served = [info_hash for info_hash in dict.fromkeys(hashes) if self.access.permits(info_hash)]
        return dict(zip(served, await self.store.scrape(served, now), strict=True))

    def admits(self, ip: bytes, now: float) -> bool:
        """Count one request of an address, unless it is one too many."""
        return is_loopback(ip) or self._rates.admit(owner(ip), now)

    def _refusal(self, ip: bytes, announce: Announce, now: float) -> Refusal | None:
        if not announce.port:
            return _NO_PORT
        if not self.admits(ip, now):
            return RATE_LIMITED
        access = self.access
        if access.keys and not access.admits(announce.access_key):
            return _NO_KEY
        if not access.permits(announce.info_hash):
            return _DENIED
        return None

    def _update(self, ip: bytes, announce: Announce, life_s: int) -> PeerUpdate:
        info_hash, peer_id, port, _, _, left, event, numwant, key, compact, no_peer_id, claimed_ip, _ = announce
        if claimed_ip and self.policy.claimed_ip and is_private(ip):
            ip = _believable(claimed_ip, ip)
        most = self.policy.max_numwant
        fields = (
            info_hash,
            ip + port.to_bytes(2, "big"),
            peer_id + key.to_bytes(4, "big"),
            _role(left, event),
            _CHANGES.get(event, _STAY),
            numwant if 0 <= numwant <= most else most if numwant > most else self.policy.numwant,
            life_s,
            not compact and not no_peer_id,
        )
        return _new(PeerUpdate, fields)

    def _interval_s(self) -> int:
        """Return the interval at which as many peers as there are make no more announces than are wanted."""
        policy = self.policy
        if not policy.announces_per_s:
            return policy.interval_s
        needed_s = self.store.totals().peers // policy.announces_per_s
        return max(policy.interval_s, min(needed_s, policy.max_interval_s))

    def _answer(self, view: SwarmView, interval_s: int) -> Answer | Refusal:
        (complete, _, incomplete, _), _, kept, _ = view
        if kept is _SWARMS_FULL:
            return _FULL
        policy = self.policy
        if complete + incomplete < policy.small_swarm_peers:
            interval_s = min(interval_s, policy.small_swarm_interval_s)
        interval_s = int(interval_s * (1 + policy.jitter * (2 * self._rng.random() - 1))) or 1
        outcome, warning = _OUTCOMES[kept]
        return _new(Answer, (outcome, view, interval_s, min(interval_s, policy.min_interval_s), warning))


def lifetime_s(policy: Policy, interval_s: int) -> int:
    """Return after how many seconds of silence a peer is forgotten that was told this interval: one may get lost."""
    return 2 * interval_s + policy.min_interval_s


def _role(left: int, event: int) -> Role:
    if not left or (event == _COMPLETED and left == UNKNOWN_LEFT):
        return _SEED
    return _PARTIAL_SEED if event == _PAUSED else _DOWNLOADER


def _believable(claimed: bytes, source: bytes) -> bytes:
    """Return the claimed address if it is one that a peer of this family can have, else the one it came from."""
    address = ipaddress.ip_address(claimed)
    impossible = address.is_multicast or address.is_unspecified or address.is_reserved or is_loopback(claimed)
    return source if impossible or len(claimed) != len(source) else claimed
