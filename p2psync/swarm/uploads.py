"""What one peer asked of us and has not got yet, and how blocks are put into frames. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from p2psync.errors import RemoteProtocolError
from p2psync.ids import BlockId
from p2psync.store.base import Payload
from p2psync.wire import limits
from p2psync.wire.messages import Blocks, Message, Missing, Packed, Part, payload_bytes

MIN_FRAME_BYTES = 64 << 10
START_FRAME_BYTES = 128 << 10
FRAME_S = 0.05
"""A frame should leave within this, so that on a slow uplink our own wants are not stuck behind a megabyte, and others
can pass a block on soon."""
DEALT_BLOCKS = 65_536
"""So many blocks that were sent are remembered, some 8 MB: what peers wish for is much less at any time."""
LOOK_AT = 64
"""Wishes that were sent to others, among which the one sent least is looked for."""


class Dealt:
    """How often blocks were sent, of the latest; all links of a folder share it."""

    def __init__(self) -> None:
        self._times: dict[BlockId, int] = {}

    def times(self, id_: BlockId) -> int:
        """Return how often a block was sent."""
        return self._times.get(id_, 0)

    def note(self, ids: Iterable[BlockId]) -> None:
        """Blocks are being sent."""
        for id_ in ids:
            self._times[id_] = self._times.pop(id_, 0) + 1
        while len(self._times) > DEALT_BLOCKS:
            del self._times[next(iter(self._times))]


class WantQueue:
    """Ids in the order in which they were wanted, and those that may be sent in whatever order is best.

    Of the latter come first those that were sent to nobody: so peers that wish for the same get different blocks, to
    give to each other.
    """

    def __init__(self, dealt: Dealt | None = None) -> None:
        self._ids: dict[BlockId, None] = {}
        self._wishes: dict[BlockId, None] = {}
        self._stale: dict[BlockId, None] = {}
        self._dealt = dealt or Dealt()
        self._mean_bytes = float(START_FRAME_BYTES)

    def __len__(self) -> int:
        return len(self._ids) + len(self._wishes) + len(self._stale)

    def __bool__(self) -> bool:
        return bool(self._ids or self._wishes or self._stale)

    def want(self, ids: Iterable[BlockId]) -> None:
        """Append ids.

        Raises:
            RemoteProtocolError: The peer wants more at once than one peer may.
        """
        self._ids.update(dict.fromkeys(ids))
        self._check()

    def wish(self, ids: Iterable[BlockId]) -> None:
        """Add ids in no order.

        Raises:
            RemoteProtocolError: The peer wants more at once than one peer may.
        """
        self._wishes.update(dict.fromkeys(ids))
        self._check()

    def drop(self, ids: Iterable[BlockId]) -> None:
        """Forget ids that were answered or cancelled."""
        for queue in (self._ids, self._wishes, self._stale):
            if queue:
                for id_ in ids:
                    queue.pop(id_, None)

    def clear(self) -> None:
        """Forget all that was asked for."""
        for queue in (self._ids, self._wishes, self._stale):
            queue.clear()

    @property
    def has_wants(self) -> bool:
        """Something is wanted in order."""
        return bool(self._ids)

    def first(self, most: int, size_bytes: int) -> list[BlockId]:
        """Return the ids to answer next: at most so many, for about so many bytes; wanted ones, else wishes."""
        count = max(1, min(most, int(size_bytes / self._mean_bytes)))
        if self._ids:
            return list(islice(self._ids, count))
        chosen = self._choose(count)
        self._dealt.note(chosen)
        return chosen

    def answered(self, payloads: Sequence[Payload | None]) -> None:
        """Learn how long blocks are."""
        lengths = [len(data) for data in payloads if data is not None]
        if lengths:
            self._mean_bytes += (sum(lengths) / len(lengths) - self._mean_bytes) / 4

    def _choose(self, count: int) -> list[BlockId]:
        chosen: list[BlockId] = []
        passed: list[BlockId] = []
        for id_ in self._wishes:
            if len(chosen) == count:
                break
            (passed if self._dealt.times(id_) else chosen).append(id_)
        for id_ in passed:
            del self._wishes[id_]
            self._stale[id_] = None
        if not chosen:
            chosen = sorted(islice(self._stale, LOOK_AT), key=self._dealt.times)[:count]
        return chosen

    def _check(self) -> None:
        if len(self) > limits.MAX_OUTSTANDING_IDS:
            raise RemoteProtocolError(f"more than {limits.MAX_OUTSTANDING_IDS} blocks wanted at once")


class FrameSize:
    """How much payload a frame should carry, by how long frames take to leave."""

    def __init__(self) -> None:
        self.limit_bytes = START_FRAME_BYTES

    def sent(self, payload_bytes: int, took_s: float) -> None:
        """One frame with so much payload left in `took_s`."""
        if took_s > FRAME_S:
            self.limit_bytes = max(MIN_FRAME_BYTES, self.limit_bytes // 2)
        elif took_s < FRAME_S / 4 and 2 * payload_bytes > self.limit_bytes:
            self.limit_bytes = min(limits.FRAME_PAYLOAD_BYTES, self.limit_bytes * 2)


def frames(
    ids: Sequence[BlockId], payloads: Sequence[Payload | None], limit_bytes: int
) -> Iterator[Blocks | Part | Missing]:
    """Put blocks, or the news that they are missing, into messages of about `limit_bytes`, in order."""
    missing = [id_ for id_, data in zip(ids, payloads, strict=True) if data is None]
    if missing:
        yield Missing(missing)
    batch: list[tuple[BlockId, Payload]] = []
    batch_bytes = 0
    for id_, data in zip(ids, payloads, strict=True):
        if data is None:
            continue
        if batch and (batch_bytes + len(data) > limit_bytes or len(batch) == limits.BLOCKS_PER_FRAME):
            yield Blocks(batch)
            batch, batch_bytes = [], 0
        if len(data) > limit_bytes:
            yield from _parts(id_, memoryview(data), limit_bytes)
        else:
            batch.append((id_, data))
            batch_bytes += len(data)
    if batch:
        yield Blocks(batch)


def carried_bytes(message: Message) -> int:
    """Return how many bytes of payload, compressed or not, a message takes on the wire."""
    return len(message.data) if isinstance(message, Packed) else payload_bytes(message)


def _parts(id_: BlockId, data: memoryview, limit_bytes: int) -> Iterator[Part]:
    for offset in range(0, len(data), limit_bytes):
        yield Part(id_, len(data), offset, data[offset : offset + limit_bytes])
