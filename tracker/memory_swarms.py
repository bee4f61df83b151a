"""Swarms in the memory of this process."""

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from p2psync.ids import InfoHash
from p2psync.wire.announce import SwarmCounts
from p2psync.wire.compact import ENTRY4_BYTES, ENTRY6_BYTES
from tracker.addresses import is_private
from tracker.peer_table import Bucket, PeerTable, client_at
from tracker.swarm import Swarm
from tracker.swarms import Change, Kept, PeerUpdate, SwarmView, Totals

_SHARDS = 256  # a dictionary that grows copies itself: each shard does so alone, in its time
_RECORDS_A_STEP = 20_000  # looked at in one or two milliseconds
_RECORDS_A_BUCKET = 16  # what looking into a bucket costs besides its records
_SWEEP_EVERY_S = 10
_BUSIEST = 100
_NOBODY = SwarmCounts()
_LEAVE, _YES = Change.LEAVE, Kept.YES  # names of their own are found faster
_new = tuple.__new__  # a constructor of a NamedTuple is Python, and costs twice as much


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What the store holds at most.

    Attributes:
        swarms: An announce for one more is refused.
        peers: Of all swarms together; one more gets its answer but is not told to others.
        peers_per_address: In one swarm, with the same public IPv4 address; likewise.
        peers_per_prefix6: In one swarm, from the same public IPv6 /64, which may be a whole company; likewise.
    """

    swarms: int = 1_000_000
    peers: int = 10_000_000
    peers_per_address: int = 32
    peers_per_prefix6: int = 256


class MemorySwarms:
    """A `SwarmStore` without locks, files or waiting: every method returns at once."""

    def __init__(self, rng: random.Random, limits: StoreLimits | None = None) -> None:
        self._rng = rng
        self._limits = limits or StoreLimits()
        self._shards: list[dict[InfoHash, Swarm]] = [{} for _ in range(_SHARDS)]
        self._swarms = 0
        self._peers = {ENTRY4_BYTES: 0, ENTRY6_BYTES: 0}
        self._seeds = 0
        self._sweep: Iterator[int] = iter(())
        self._sweep_due = 0
        self._now = 0
        self._largest: list[tuple[int, InfoHash]] = []

    async def announce(self, updates: Sequence[PeerUpdate], now: float) -> list[SwarmView]:
        """Apply a batch in order."""
        second = int(now)
        return [self._announce(update, second) for update in updates]

    async def scrape(self, hashes: Sequence[InfoHash], now: float) -> list[SwarmCounts]:
        """Return the counts of each swarm, zeroes for one that is not known."""
        found = [self._shard(info_hash).get(info_hash) for info_hash in hashes]
        return [swarm.counts() if swarm else _NOBODY for swarm in found]

    async def tend(self, now: float) -> None:
        """Forget expired peers in the next few buckets, over and over."""
        self._now = int(now)
        work = 0
        while work < _RECORDS_A_STEP:
            cost = next(self._sweep, 0)
            if not cost and self._now < self._sweep_due:
                return
            if not cost:
                self._sweep, self._sweep_due = self._swept(), self._now + _SWEEP_EVERY_S
            work += cost

    def totals(self) -> Totals:
        """Return the sums over all swarms."""
        return Totals(self._swarms, self._peers[ENTRY4_BYTES], self._peers[ENTRY6_BYTES], self._seeds)

    async def busiest(self, limit: int, now: float) -> list[tuple[InfoHash, SwarmCounts]]:
        """Return the swarms that had most peers at the last sweep, at most a hundred."""
        hashes = [info_hash for _, info_hash in sorted(self._largest, reverse=True)[:limit]]
        return list(zip(hashes, await self.scrape(hashes, now), strict=True))

    def swarms(self) -> Iterator[tuple[InfoHash, Swarm]]:
        """Yield all swarms, for reading; no announce may come in between."""
        for shard in self._shards:
            yield from shard.items()

    def set_completed(self, info_hash: InfoHash, completed: int) -> None:
        """Set how many downloads of a known swarm were ever completed."""
        swarm = self._shard(info_hash).get(info_hash)
        if swarm is not None:
            swarm.completed = completed

    def _shard(self, info_hash: InfoHash) -> dict[InfoHash, Swarm]:
        return self._shards[hash(info_hash) % _SHARDS]

    def _announce(self, update: PeerUpdate, now: int) -> SwarmView:
        info_hash, leaves = update.info_hash, update.change is _LEAVE
        shard = self._shards[hash(info_hash) % _SHARDS]
        swarm = shard.get(info_hash)
        if swarm is None:
            if leaves:
                return SwarmView(_NOBODY, b"", Kept.LEFT)
            if self._swarms >= self._limits.swarms:
                return SwarmView(_NOBODY, b"", Kept.SWARMS_FULL)
            swarm = shard[info_hash] = Swarm()
            self._swarms += 1
        seeds = swarm.seeds
        kept = self._leave(swarm, update) if leaves else self._stay(swarm, update, now)
        self._seeds += swarm.seeds - seeds
        if leaves or update.want <= 0:
            return SwarmView(swarm.counts(), b"", kept)
        entries, ids = swarm.choose(update, self._rng)
        return _new(SwarmView, (swarm.counts(), entries, kept, ids))

    def _leave(self, swarm: Swarm, update: PeerUpdate) -> Kept:
        table = swarm.table(len(update.peer))
        place = table.find(update.peer)
        # Only the client itself may leave: others behind the same gateway can send from its address.
        if place is not None and client_at(place) == update.client:
            swarm.drop(table, place)
            self._peers[table.width] -= 1
        return Kept.LEFT

    def _stay(self, swarm: Swarm, update: PeerUpdate, now: int) -> Kept:
        table = swarm.table(len(update.peer))
        place = table.find(update.peer)
        if place is None:
            reached = self._reached_limit(table, update.peer)
            if reached is not None:
                return reached
            self._peers[table.width] += 1
        swarm.put(update, place, now + update.lifetime_s)
        return _YES

    def _reached_limit(self, table: PeerTable, peer: bytes) -> Kept | None:
        if self._peers[ENTRY4_BYTES] + self._peers[ENTRY6_BYTES] >= self._limits.peers:
            return Kept.PEERS_FULL
        allowed = self._limits.peers_per_address if len(peer) == ENTRY4_BYTES else self._limits.peers_per_prefix6
        if len(table) >= allowed and not is_private(peer) and table.count_owner(peer) >= allowed:
            return Kept.ADDRESS_FULL
        return None

    def _swept(self) -> Iterator[int]:
        """Expire bucket after bucket, yielding what each cost in records."""
        largest: list[tuple[int, InfoHash]] = []
        for shard in self._shards:
            for info_hash, swarm in list(shard.items()):
                for table in filter(None, (swarm.table4, swarm.table6)):
                    # The last first: a table that shrinks moves the records of its last bucket to one before it.
                    for bucket in reversed(list(table.buckets)):
                        yield self._expire(swarm, table, bucket)
                if not len(swarm):
                    del shard[info_hash]
                    self._swarms -= 1
                elif len(largest) < _BUSIEST:
                    heapq.heappush(largest, (len(swarm), info_hash))
                else:
                    heapq.heappushpop(largest, (len(swarm), info_hash))
        self._largest = largest

    def _expire(self, swarm: Swarm, table: PeerTable, bucket: Bucket) -> int:
        cost, seeds = _RECORDS_A_BUCKET + len(bucket), swarm.seeds
        self._peers[table.width] -= swarm.expire(table, bucket, self._now)
        self._seeds += swarm.seeds - seeds
        return cost
