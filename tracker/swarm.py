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
    set_deadline,
)
from tracker.swarms import Change, PeerUpdate, Role

_DOUBLES_SOUGHT_BELOW = 2048
"""In larger swarms a client at two addresses counts twice: looking for it would cost more than the number is worth."""


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
        return SwarmCounts(self.seeds, self.completed, self.downloaders + self.partial_seeds, self.downloaders)

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
        known_seed = False
        if place is not None:
            stored = deadline_at(place)
            role = _role(place, stored)
            known_seed = role is Role.SEED
            if role is update.role and client_at(place) == update.client:
                set_deadline(place, (stored & ~DEADLINE_MASK) | deadline)
                return
            self.drop(self.table(len(update.peer)), place)
        if update.change is Change.COMPLETE and not known_seed and not self._holds_seed(update.client):
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
            self._promote_double(client)

    def expire(self, table: PeerTable, bucket: Bucket, now: int) -> int:
        """Remove the records of one bucket whose deadline has passed; return how many there were."""
        late = [i for i, deadline in enumerate(bucket.deadlines()) if deadline & DEADLINE_MASK < now]
        for index in reversed(late):  # what fills a gap comes from behind it, where all is alive
            self.drop(table, Place(bucket, index))
        table.shrink()
        return len(late)

    def choose(self, update: PeerUpdate, rng: random.Random) -> tuple[bytes, bytes]:
        """Return entries and, if asked for, peer ids of up to `want` others: uploaders and downloaders in halves."""
        table = self.table(len(update.peer))
        want = update.want + 1  # the one who asks may be among them
        uploaders = 0
        if update.role is Role.DOWNLOADER:
            uploaders = min(len(table) - table.downloaders, max(want // 2, want - table.downloaders))
        runs = table.choose(uploaders, uploaders=True, rng=rng) if uploaders else []
        if want > uploaders:
            runs += table.choose(want - uploaders, uploaders=False, rng=rng)
        return _cut(runs, update, table.width)

    def _add(self, update: PeerUpdate, deadline: int) -> None:
        flags = 0 if update.role is not Role.PARTIAL_SEED else PARTIAL
        if len(self) < _DOUBLES_SOUGHT_BELOW and self._find_client(update.client) is not None:
            flags |= DOUBLE
            self._doubles += 1
        else:
            self._count(update.role, 1)
        table = self.table(len(update.peer))
        table.add(update.peer, update.client, deadline | flags, uploads=update.role is not Role.DOWNLOADER)

    def _count(self, role: Role, change: int) -> None:
        if role is Role.DOWNLOADER:
            self.downloaders += change
        elif role is Role.SEED:
            self.seeds += change
        else:
            self.partial_seeds += change

    def _holds_seed(self, client: bytes) -> bool:
        """Say whether a client is known as a seed at another address, from which it said that it completed."""
        place = self._find_client(client) if len(self) < _DOUBLES_SOUGHT_BELOW else None
        return place is not None and _role(place, deadline_at(place)) is Role.SEED

    def _find_client(self, client: bytes) -> Place | None:
        for table in (self.table4, self.table6):
            place = table.find_client(client) if table else None
            if place is not None:
                return place
        return None

    def _promote_double(self, client: bytes) -> None:
        place = self._find_client(client)
        stored = deadline_at(place) if place is not None else 0
        if place is not None and stored & DOUBLE:
            set_deadline(place, stored & ~DOUBLE)
            self._doubles -= 1
            self._count(_role(place, stored), 1)


def _role(place: Place, stored: int) -> Role:
    if place.at < place.bucket.downloaders:
        return Role.DOWNLOADER
    return Role.PARTIAL_SEED if stored & PARTIAL else Role.SEED


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
