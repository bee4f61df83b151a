"""Packed peers of one swarm and one address family: 34 bytes for an IPv4 peer, found, told and removed in microseconds.

A table is a list of buckets, a bucket two byte arrays: `entries`, compact addresses ready to be sent as one slice, and
`details`, in the same order the peer id, key and deadline. Downloaders come first, uploaders (seeds and partial seeds)
after them, so that either can be told alone. A table grows by linear hashing: one bucket is split at a time, so
no announce ever waits for a large swarm to be rehashed.
"""

import random
import struct
from itertools import compress

from p2psync.wire.compact import find_entry
from tracker.addresses import OWNER6_BYTES, is_private
from tracker.swarms import CLIENT_BYTES

DETAIL_BYTES = CLIENT_BYTES + 4
DEADLINE_MASK = (1 << 30) - 1
PARTIAL = 1 << 30
"""Flag of a deadline: holds all it wants, not all there is."""
DOUBLE = 1 << 31
"""Flag of a deadline: the same client is counted at another address already."""

_BUCKET_PEERS = 256  # a search reads half of a bucket on average: under a microsecond
_BUCKETS_ASKED = 8  # as many as a choice of peers looks into, so that its cost does not grow with the swarm
_DETAIL = struct.Struct("=24sI")
_DEADLINE = struct.Struct("=I")


class Bucket:
    """Records side by side; the first `downloaders` of them download."""

    __slots__ = ("details", "downloaders", "entries")

    def __init__(self) -> None:
        self.entries = bytearray()
        self.details = bytearray()
        self.downloaders = 0

    def __len__(self) -> int:
        return len(self.details) // DETAIL_BYTES

    def deadlines(self) -> list[int]:
        """Return the deadline of every record, flags included."""
        with memoryview(self.details) as octets, octets.cast("I") as words, words[6::7] as deadlines:
            return deadlines.tolist()


Place = tuple[Bucket, int]
"""Where a record is: its index in a bucket, until the table is changed."""
Run = tuple[Bucket, int, int]
"""Records of a bucket from the first index up to, not including, the second."""


class PeerTable:
    """Records of one entry length; `downloaders` of them download."""

    __slots__ = ("_buckets", "_low_mask", "_size", "downloaders", "width")

    def __init__(self, width: int) -> None:
        """Take the length of an entry in bytes, 6 or 18."""
        self.width = width
        self._buckets = [Bucket()]
        self._low_mask = 0  # buckets before the one to split next are addressed with one bit more
        self._size = 0
        self.downloaders = 0

    def __len__(self) -> int:
        return self._size

    @property
    def buckets(self) -> list[Bucket]:
        """For reading."""
        return self._buckets

    def find(self, entry: bytes) -> Place | None:
        """Return where a peer is."""
        bucket = self._bucket_of(entry)
        at = find_entry(bucket.entries, entry)
        return (bucket, at // self.width) if at >= 0 else None

    def find_client(self, client: bytes) -> Place | None:
        """Return the first peer with this id and key; reads the whole table."""
        for bucket in self._buckets:
            at = bucket.details.find(client)
            while at > 0 and at % DETAIL_BYTES:
                at = bucket.details.find(client, at + 1)
            if at >= 0:
                return bucket, at // DETAIL_BYTES
        return None

    def count_owner(self, entry: bytes) -> int:
        """Return how many peers share the address of `entry` (IPv6: its /64); exact, or a little more.

        Addresses that are not private are hashed by owner, so all of an owner are in one bucket.
        """
        width = self.width
        prefix = entry[:4] if width == 6 else entry[:OWNER6_BYTES]
        return self._bucket_of(entry).entries.count(prefix)

    def add(self, entry: bytes, client: bytes, deadline: int, *, uploads: bool) -> None:
        """Add a peer that is not there."""
        _append(self._bucket_of(entry), entry, _DETAIL.pack(client, deadline), uploads=uploads)
        self._size += 1
        self.downloaders += not uploads
        if self._size > len(self._buckets) * _BUCKET_PEERS:
            self._split()

    def remove(self, place: Place) -> None:
        """Remove a peer; places before it in its bucket stay valid, all others are void."""
        bucket, index = place
        self.downloaders -= index < bucket.downloaders
        _take(bucket, index, self.width)
        self._size -= 1

    def shrink(self) -> None:
        """Give up one bucket if there are too many; all places are void."""
        if len(self._buckets) > 1 and self._size < len(self._buckets) * _BUCKET_PEERS // 4:
            self._merge()

    def choose(self, want: int, *, uploaders: bool, rng: random.Random) -> list[Run]:
        """Return up to `want` peers as runs of records, from a random place on.

        Args:
            want: How many, at least one.
            uploaders: Whether to choose among the uploaders or among the downloaders.
            rng: Chooses the place.
        """
        runs = []
        for bucket in self._buckets if len(self._buckets) == 1 else self._some_buckets(rng):
            border = bucket.downloaders
            low, high = (border, len(bucket.details) // DETAIL_BYTES) if uploaders else (0, border)
            size = high - low
            if size > want:
                start = low + int(rng.random() * size)
                runs.append((bucket, start, min(start + want, high)))
                if start + want > high:
                    runs.append((bucket, low, start + want - size))
                return runs
            if size:
                runs.append((bucket, low, high))
                want -= size
                if not want:
                    return runs
        return runs

    def _some_buckets(self, rng: random.Random) -> list[Bucket]:
        buckets = self._buckets
        first = int(rng.random() * len(buckets))
        chosen = buckets[first : first + _BUCKETS_ASKED]
        return chosen + buckets[: min(first, _BUCKETS_ASKED - len(chosen))]

    def _bucket_of(self, entry: bytes) -> Bucket:
        buckets = self._buckets
        return buckets[0] if len(buckets) == 1 else buckets[self._index_of(entry)]

    def _index_of(self, entry: bytes) -> int:
        number = _hash(entry)
        index = number & (self._low_mask * 2 + 1)
        return index if index < len(self._buckets) else number & self._low_mask

    def _split(self) -> None:
        """Add one bucket, and move to it what now belongs there."""
        last = len(self._buckets)
        if last == self._low_mask * 2 + 2:
            self._low_mask = self._low_mask * 2 + 1
        source, added = self._buckets[last - self._low_mask - 1], Bucket()
        self._buckets.append(added)
        entries = _pieces(source.entries, self.width)
        goes = [self._index_of(entry) == last for entry in entries]
        stays = [not going for going in goes]
        details, downloaders = _pieces(source.details, DETAIL_BYTES), source.downloaders
        for bucket, chosen in ((added, goes), (source, stays)):
            bucket.entries = bytearray(b"".join(compress(entries, chosen)))
            bucket.details = bytearray(b"".join(compress(details, chosen)))
            bucket.downloaders = sum(chosen[:downloaders])

    def _merge(self) -> None:
        """Remove the last bucket, and move what it holds to where it was split from."""
        last = self._buckets.pop()
        if len(self._buckets) == self._low_mask + 1 and self._low_mask:
            self._low_mask //= 2
        for index, entry in enumerate(_pieces(last.entries, self.width)):
            detail = bytes(last.details[index * DETAIL_BYTES : (index + 1) * DETAIL_BYTES])
            _append(self._bucket_of(entry), entry, detail, uploads=index >= last.downloaders)
        last.entries, last.details, last.downloaders = bytearray(), bytearray(), 0


def _pieces(octets: bytearray, length: int) -> list[bytes]:
    whole = bytes(octets)
    return [whole[at : at + length] for at in range(0, len(whole), length)]


def client_at(place: Place) -> bytes:
    """Return the peer id and key of a record."""
    bucket, index = place
    return bytes(bucket.details[index * DETAIL_BYTES : index * DETAIL_BYTES + CLIENT_BYTES])


def deadline_at(place: Place) -> int:
    """Return the deadline of a record, flags included."""
    bucket, index = place
    deadline: int = _DEADLINE.unpack_from(bucket.details, index * DETAIL_BYTES + CLIENT_BYTES)[0]
    return deadline


def set_deadline(place: Place, deadline: int) -> None:
    """Replace the deadline of a record, flags included."""
    bucket, index = place
    _DEADLINE.pack_into(bucket.details, index * DETAIL_BYTES + CLIENT_BYTES, deadline)


def renew(place: Place, client: bytes, deadline: int, *, uploads: bool) -> bool:
    """Set the deadline of a record if that is all that is new: same client, same side, same flag `PARTIAL`.

    Args:
        place: Of the record.
        client: Peer id and key.
        deadline: With the flag `PARTIAL` if it is one.
        uploads: Whether it is to be among the uploaders.

    Returns:
        Whether it was.
    """
    bucket, index = place
    details, start = bucket.details, index * DETAIL_BYTES
    if (index >= bucket.downloaders) is not uploads or not details.startswith(client, start):
        return False
    (stored,) = _DEADLINE.unpack_from(details, start + CLIENT_BYTES)
    if (stored ^ deadline) & PARTIAL:
        return False
    _DEADLINE.pack_into(details, start + CLIENT_BYTES, stored & DOUBLE | deadline)
    return True


def _hash(entry: bytes) -> int:
    """Return a number that strangers cannot steer: Python's hash of bytes is keyed anew in every process."""
    if is_private(entry):
        return hash(entry)  # one gateway may stand for a whole network, with as many ports
    return hash(entry[:4] if len(entry) == 6 else entry[:OWNER6_BYTES])


def _append(bucket: Bucket, entry: bytes, detail: bytes, *, uploads: bool) -> None:
    entries, details = bucket.entries, bucket.details
    if uploads:
        entries += entry
        details += detail
        return
    width, border = len(entry), bucket.downloaders
    bucket.downloaders += 1
    at, detail_at = border * width, border * DETAIL_BYTES
    # The first uploader makes room by moving to the end.
    entries += entries[at : at + width] or entry
    details += details[detail_at : detail_at + DETAIL_BYTES] or detail
    entries[at : at + width] = entry
    details[detail_at : detail_at + DETAIL_BYTES] = detail


def _take(bucket: Bucket, index: int, width: int) -> None:
    """Fill the gap from the end of its part, and the gap that this leaves from the end of the bucket."""
    if index < bucket.downloaders:
        bucket.downloaders -= 1
        _copy(bucket, bucket.downloaders, index, width)
        index = bucket.downloaders
    _copy(bucket, len(bucket) - 1, index, width)
    del bucket.entries[-width:], bucket.details[-DETAIL_BYTES:]


def _copy(bucket: Bucket, source: int, target: int, width: int) -> None:
    if source != target:
        bucket.entries[target * width : (target + 1) * width] = bucket.entries[source * width : (source + 1) * width]
        bucket.details[target * DETAIL_BYTES : (target + 1) * DETAIL_BYTES] = bucket.details[
            source * DETAIL_BYTES : (source + 1) * DETAIL_BYTES
        ]
