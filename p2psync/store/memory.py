"""Blocks in a dictionary: the reference that every other store is measured against."""

import threading
from collections.abc import Sequence
from itertools import accumulate

from p2psync.blocks.block import block_id
from p2psync.ids import BlockId
from p2psync.store.base import Payload
from p2psync.store.long_block import LongBlock


class MemoryStore:
    """A `BlockStore` that keeps every right block it is given, and counts what was written twice."""

    def __init__(self) -> None:
        self._blocks: dict[BlockId, Payload] = {}
        self._lock = threading.Lock()
        self.rewritten = 0
        """Right blocks that were written although they were held."""

    def read(self, ids: Sequence[BlockId]) -> list[Payload | None]:
        """Return each block's bytes, or None where it is not held or no longer what its id says."""
        with self._lock:
            found = [self._blocks.get(id_) for id_ in ids]
        return [
            data if data is not None and block_id(data) == id_ else None for id_, data in zip(ids, found, strict=True)
        ]

    def read_first(
        self, ids: Sequence[BlockId], enough_bytes: int, whole_bytes: int
    ) -> list[Payload | LongBlock | None]:
        """Return what `read` does for the first of the blocks, up to the one that makes it `enough_bytes`."""
        with self._lock:
            sizes = accumulate(len(self._blocks.get(id_, b"")) for id_ in ids)
            count = sum(1 for size in sizes if size < enough_bytes)
        found = zip(ids, self.read(ids[: count + 1]), strict=False)
        return [_long(id_, data) if data is not None and len(data) > whole_bytes else data for id_, data in found]

    def write(self, blocks: Sequence[tuple[BlockId, Payload]]) -> list[BlockId]:
        """Keep the blocks that match their ids; return the ids of the others."""
        wrong = [id_ for id_, data in blocks if block_id(data) != id_]
        with self._lock:
            for id_, data in blocks:
                if id_ not in wrong:
                    self.rewritten += id_ in self._blocks
                    self._blocks[id_] = data
        return wrong

    def ids(self) -> set[BlockId]:
        """Return the ids of all blocks."""
        return set(self._blocks)

    def __contains__(self, id_: BlockId) -> bool:
        return id_ in self._blocks

    def __len__(self) -> int:
        return len(self._blocks)


def _long(id_: BlockId, data: Payload) -> LongBlock:
    return LongBlock(id_, len(data), lambda offset, count: bytes(data[offset : offset + count]), lambda: None)
