"""One swarm in memory: a table of peers for each address family, and the counts, in which each client counts once."""

import random

from p2psync.ids import PEER_ID_BYTES
from p2psync.wire.announce import SwarmCounts
from p2psync.wire.compact import ENTRY4_BYTES, ENTRY6_BYTES, find_entry
from tracker.peer_table import (
    DEADLINE_MASK,
    DETAIL_BYTES,
    DOUBLE,
    PARTIAL,
    Bucket,
    PeerTable,
    Place,
    Run,
    client_at,
    deadline_at,
    renew,
    set_deadline,
)
from tracker.swarms import COMPANY, Change, PeerUpdate, Role

_SOUGHT_IN_THE_OTHER, _SOUGHT_IN_ITS_FAMILY = 2048, 128
"""A client at two addresses counts once if there are fewer peers than that: of the other family, where most such
clients are, or of its own. To look for it among more would cost more than the number is worth."""
_DOWNLOADER, _SEED, _PARTIAL_SEED = Role  # names of their own are found faster
_COMPLETE = Change.COMPLETE
_new = tuple.__new__  # a constructor of a NamedTuple is Python, and costs twice as much


class Swarm:
    """Peers of one info hash. Times are whole seconds of the store's clock."""

    __slots__ = ("_doubles", "completed", "downloaders", "partial_seeds", "seeds", "table4", "table6")

    def __init__(self) -> None:
        self.table4: PeerTable | None = None
        self.table6: PeerTable | None = None
        self.completed = 0
        self.downloaders = 0
        self.seeds = 0
        self.partial_seeds = 0
        self._doubles = 0

    def __len__(self) -> int:
        """Return how many peers there are, by address."""
        return (len(self.table4) if self.table4 else 0) + (len(self.table6) if self.table6 else 0)

    def counts(self) -> SwarmCounts:
        """Return the numbers of clients."""
        incomplete = self.downloaders + self.partial_seeds
        return _new(SwarmCounts, (self.seeds, self.completed, incomplete, self.downloaders))

    def table(self, width: int) -> PeerTable:
        """Return the table of the family whose entries have `width` bytes."""
        if width == ENTRY4_BYTES:
            if self.table4 is None:
                self.table4 = PeerTable(ENTRY4_BYTES)
            return self.table4
        if self.table6 is None:
            self.table6 = PeerTable(ENTRY6_BYTES)
        return self.table6

    def put(self, update: PeerUpdate, place: Place | None, deadline: int) -> None:
        """Add the peer, or bring the record at `place` up to date."""
        role = update.role
        deadline |= PARTIAL if role is _PARTIAL_SEED else 0
        known_seed = False
        if place is not None:
            if renew(place, update.client, deadline, uploads=role is not _DOWNLOADER):
                return
            known_seed = _role(place, deadline_at(place)) is _SEED
            self.drop(self.table(len(update.peer)), place)
        if update.change is _COMPLETE and not known_seed and not self._holds_seed(update):
            self.completed += 1
        self._add(update, deadline)

    def drop(self, table: PeerTable, place: Place) -> None:
        """Remove a record; if its client is still here at another address, that one counts from now on."""
        stored, client = deadline_at(place), client_at(place)
        role = _role(place, stored)
        table.remove(place)
        if stored & DOUBLE:
            self._doubles -= 1
            return
        self._count(role, -1)
        if self._doubles:
            self._promote_double(client, table.width)

    def expire(self, table: PeerTable, bucket: Bucket, now: int) -> int:
        """Remove the records of one bucket whose deadline has passed; return how many there were."""
        late = [i for i, deadline in enumerate(bucket.deadlines()) if deadline & DEADLINE_MASK < now]
        for index in reversed(late):  # what fills a gap comes from behind it, where all is alive
            self.drop(table, (bucket, index))
        table.shrink()
        return len(late)

    def choose(self, update: PeerUpdate, rng: random.Random) -> tuple[bytes, bytes]:
        """Return entries and, if asked for, peer ids of up to `want` others, as the laws of a store say."""
        table = self.table(len(update.peer))
        want, downloaders = update.want + 1, table.downloaders  # the one who asks may be among them
        if update.role is not _DOWNLOADER:
            runs = table.choose(want, uploaders=False, rng=rng) if downloaders else []
            if downloaders < COMPANY and want > downloaders:
                runs += table.choose(min(want, COMPANY + 1) - downloaders, uploaders=True, rng=rng)
            return _cut(runs, update, table.width)
        uploaders = min(len(table) - downloaders, max(want // 2, want - downloaders))
        runs = table.choose(uploaders, uploaders=True, rng=rng) if uploaders else []
        if downloaders and want > uploaders:
            runs += table.choose(want - uploaders, uploaders=False, rng=rng)
        return _cut(runs, update, table.width)

    def _add(self, update: PeerUpdate, deadline: int) -> None:
        if self._find_client(update.client, len(update.peer)) is not None:
            deadline |= DOUBLE
            self._doubles += 1
        else:
            self._count(update.role, 1)
        table = self.table(len(update.peer))
        table.add(update.peer, update.client, deadline, uploads=update.role is not _DOWNLOADER)

    def _count(self, role: Role, change: int) -> None:
        if role is _DOWNLOADER:
            self.downloaders += change
        elif role is _SEED:
            self.seeds += change
        else:
            self.partial_seeds += change

    def _holds_seed(self, update: PeerUpdate) -> bool:
        """Say whether a client is known as a seed at another address, from which it said that it completed."""
        place = self._find_client(update.client, len(update.peer))
        return place is not None and _role(place, deadline_at(place)) is _SEED

    def _find_client(self, client: bytes, width: int) -> Place | None:
        """Return a record of a client, if the swarm is small enough to look for one; `width` is of its own entry."""
        for table in (self.table4, self.table6):
            if table and len(table) < (_SOUGHT_IN_ITS_FAMILY if table.width == width else _SOUGHT_IN_THE_OTHER):
                place = table.find_client(client)
                if place is not None:
                    return place
        return None

    def _promote_double(self, client: bytes, width: int) -> None:
        place = self._find_client(client, width)
        stored = deadline_at(place) if place is not None else 0
        if place is not None and stored & DOUBLE:
            set_deadline(place, stored & ~DOUBLE)
            self._doubles -= 1
            self._count(_role(place, stored), 1)


def _role(place: Place, stored: int) -> Role:
    bucket, index = place
    if index < bucket.downloaders:
        return _DOWNLOADER
    return _PARTIAL_SEED if stored & PARTIAL else _SEED


def _cut(runs: list[Run], update: PeerUpdate, width: int) -> tuple[bytes, bytes]:
    """Join runs of records, without the one who asked, no more than it wanted."""
    entries = b"".join([bucket.entries[start * width : end * width] for bucket, start, end in runs])
    own = find_entry(entries, update.peer)
    if own >= 0:
        entries = entries[:own] + entries[own + width :]
    if not update.with_ids:
        return entries[: update.want * width], b""
    ids = [
        bytes(bucket.details[i * DETAIL_BYTES : i * DETAIL_BYTES + PEER_ID_BYTES])
        for bucket, start, end in runs
        for i in range(start, end)
    ]
    if own >= 0:
        del ids[own // width]
    return entries[: update.want * width], b"".join(ids[: update.want])
