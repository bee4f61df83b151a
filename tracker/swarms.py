"""What a tracker keeps: peers by info hash. The interface of every store, and the values it takes and gives.

A peer is known by its address and port, never by its peer id: an address was verified, an id is public to the swarm
and anyone may claim it. `client` (peer id and key) only tells who may leave, and which peers are one client.
"""

import enum
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from p2psync.ids import InfoHash
from p2psync.wire.announce import SwarmCounts

CLIENT_BYTES = 24
COMPANY = 10
"""An uploader is told of other uploaders until it knows of so many peers or one more: where all have everything and
one gets a new address, nothing else may make them meet, and in some swarms what is complete today grows tomorrow. More
would be wasted on clients that hang up on each other once both have all."""


class Role(enum.IntEnum):
    """What a peer does in a swarm: download, hold all, or hold all that it wants (BEP 21)."""

    DOWNLOADER = 0
    SEED = 1
    PARTIAL_SEED = 2


class Change(enum.IntEnum):
    """What an announce does to its swarm."""

    STAY = 0
    COMPLETE = 1
    LEAVE = 2


class Kept(enum.IntEnum):
    """What became of the announcing peer; all but the first two are limits that were reached."""

    YES = 0
    LEFT = 1
    SWARMS_FULL = 2
    PEERS_FULL = 3
    ADDRESS_FULL = 4


class PeerUpdate(NamedTuple):
    """One announce, as a store sees it.

    Attributes:
        peer: Compact entry, 6 or 18 bytes; only peers of the same family are told.
        client: Peer id and key, 24 bytes.
        want: How many peers to tell, at most.
        lifetime_s: After how many seconds of silence the peer is forgotten.
        with_ids: Whether the peer ids of those told are wanted.
    """

    info_hash: InfoHash
    peer: bytes
    client: bytes
    role: Role
    change: Change
    want: int
    lifetime_s: int
    with_ids: bool = False


class SwarmView(NamedTuple):
    """What a store answers to a `PeerUpdate`.

    Attributes:
        counts: Of the swarm, the announcing peer included; `downloaders` is told by scrapes alone.
        peers: Compact entries; never the announcing peer.
        peer_ids: Their ids, 20 bytes each, if they were asked for and this store keeps them.
    """

    counts: SwarmCounts
    peers: bytes
    kept: Kept = Kept.YES
    peer_ids: bytes = b""


class Totals(NamedTuple):
    """Of all swarms: how many there are, and how many peers, by family and role."""

    swarms: int = 0
    peers4: int = 0
    peers6: int = 0
    seeds: int = 0

    @property
    def peers(self) -> int:
        """All peers."""
        return self.peers4 + self.peers6


class StoreUnavailableError(Exception):
    """The store cannot be reached now; the swarms rebuild themselves from the announces that follow its return."""


class SwarmStore(Protocol):
    """Peers of all swarms.

    Laws: who announced and did not leave is told to others for at least five eighths of its lifetime, within which it
    announces again, and for at most a quarter longer than all of it; who left is told to nobody; peers of one family
    are never told to the other; a downloader is told of both kinds, in halves if there are enough, an uploader of
    downloaders, and of other uploaders only if those are fewer than `COMPANY`; `announce` of a batch is the same as of
    its items one by one.
    """

    async def announce(self, updates: Sequence[PeerUpdate], now: float) -> list[SwarmView]:
        """Apply a batch in order and return a view for each.

        Raises:
            StoreUnavailableError: Some or none were applied.
        """
        ...

    async def scrape(self, hashes: Sequence[InfoHash], now: float) -> list[SwarmCounts]:
        """Return the counts of each swarm, zeroes for one that is not known.

        Raises:
            StoreUnavailableError: As it says.
        """
        ...

    async def tend(self, now: float) -> None:
        """Do a small part of the housekeeping; called often, it never takes longer than announces may wait.

        Raises:
            StoreUnavailableError: As it says.
        """
        ...

    def totals(self) -> Totals:
        """Return the sums over all swarms, possibly some seconds old."""
        ...

    async def busiest(self, limit: int, now: float) -> list[tuple[InfoHash, SwarmCounts]]:
        """Return the largest swarms, largest first, as far as this store can tell."""
        ...
