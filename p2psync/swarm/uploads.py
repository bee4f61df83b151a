"""What one peer asked of us and has not got yet, and how blocks are put into frames. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from p2psync.errors import RemoteProtocolError
from p2psync.ids import BlockId
from p2psync.store.base import Payload
from p2psync.wire import limits
from p2psync.wire.messages import Blocks, Message, Missing, Packed, Part, payload_bytes

MIN_FRAME_BYTES = 64 << 10
FRAME_S = 0.25
"""A frame should leave within this, so that on a slow uplink our own wants are not stuck behind a megabyte."""


class WantQueue:
    """Ids in the order in which they were wanted."""

    def __init__(self) -> None:
        self._ids: dict[BlockId, None] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def want(self, ids: Iterable[BlockId]) -> None:
        """Append ids.

        Raises:
            RemoteProtocolError: The peer wants more at once than one peer may.
        """
        self._ids.update(dict.fromkeys(ids))
        if len(self._ids) > limits.MAX_OUTSTANDING_IDS:
            raise RemoteProtocolError(f"more than {limits.MAX_OUTSTANDING_IDS} blocks wanted at once")

    def drop(self, ids: Iterable[BlockId]) -> None:
        """Forget ids that were answered or cancelled."""
        for id_ in ids:
            self._ids.pop(id_, None)

    def first(self, count: int) -> list[BlockId]:
        """Return the ids to answer next."""
        return list(islice(self._ids, count))


class FrameSize:
    """How much payload a frame should carry, by how long frames take to leave."""

    def __init__(self) -> None:
        self.limit_bytes = limits.FRAME_PAYLOAD_BYTES

    def sent(self, took_s: float) -> None:
        """One frame of payload left in `took_s`."""
        if took_s > FRAME_S:
            self.limit_bytes = max(MIN_FRAME_BYTES, self.limit_bytes // 2)
        elif took_s < FRAME_S / 4:
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
