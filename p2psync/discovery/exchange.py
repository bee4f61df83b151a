"""Peers tell each other of peers: whom to tell what, and what to believe. Pure.

Only members of the folder are linked, so no stranger learns or says anything here. But a member may lie: what it tells
is bounded in amount and pace, and what comes of it is for the address book, which doubts all that is hearsay.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from p2psync.discovery.reach import is_of_use_to
from p2psync.errors import RemoteProtocolError
from p2psync.ids import PeerAddress
from p2psync.wire.limits import PEERS_PER_MESSAGE

TELL_INTERVAL_S = 5.0
"""Between two messages to one peer: a newcomer is known to all within this, and a swarm at rest says nothing."""
MAX_TOLD = 2_000
"""Addresses that one peer was told and that are remembered, not to be told again."""
FASTEST_S = 2.0
"""Nobody who keeps to the interval tells more often than this, however his messages bunch on the way."""
BURST = 5


@dataclass(slots=True)
class _Acquaintance:
    """What passed over one link."""

    host: str
    reads: bool
    tell_at: float
    told: dict[PeerAddress, None] = field(default_factory=dict)
    messages: float = 0.0
    heard_at: float = 0.0


class PeerExchange:
    """Whom the linked peers were told of."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._links: dict[int, _Acquaintance] = {}

    def link_up(self, link: int, host: str, *, reads: bool, now: float) -> None:
        """A link is up to a peer that is seen at `host`; `reads` if it takes PEERS messages."""
        self._links[link] = _Acquaintance(host, reads, tell_at=now, heard_at=now)

    def link_down(self, link: int) -> None:
        """A link is down."""
        del self._links[link]

    def news(self, link: int, linked: Iterable[PeerAddress], own: PeerAddress | None, now: float) -> list[PeerAddress]:
        """Return whom to tell a peer of now: some it has not been told of, or nobody.

        Args:
            link: Whom to tell.
            linked: Where the peers that are linked now accept links; they live, so they are worth dialling.
            own: The peer's own address.
            now: In seconds.
        """
        peer = self._links[link]
        if not peer.reads or now < peer.tell_at:
            return []
        fresh = [a for a in linked if a not in peer.told and a != own and is_of_use_to(a.host, peer.host)]
        if not fresh:
            return []
        # Not the same ones to everybody, nor in the same order, or these would drown in links.
        fresh = self._rng.sample(fresh, min(len(fresh), PEERS_PER_MESSAGE))
        peer.tell_at = now + TELL_INTERVAL_S
        peer.told.update(dict.fromkeys(fresh))
        while len(peer.told) > MAX_TOLD:
            del peer.told[next(iter(peer.told))]
        return fresh

    def heard(self, link: int, addresses: Sequence[PeerAddress], now: float) -> list[PeerAddress]:
        """Return those of the addresses that a peer told us of which could be reached from here.

        Raises:
            RemoteProtocolError: It tells too often.
        """
        peer = self._links[link]
        peer.messages = max(0.0, peer.messages - (now - peer.heard_at) / FASTEST_S) + 1
        peer.heard_at = now
        if peer.messages > BURST:
            raise RemoteProtocolError("it tells of peers too often")
        return [address for address in dict.fromkeys(addresses) if is_of_use_to(address.host, peer.host)]
