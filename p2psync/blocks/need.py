"""What `sync` tells `swarm` about pages: which of their blocks are wanted, and which are already held."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from p2psync.ids import BlockId


@dataclass(frozen=True, slots=True)
class Run:
    """Wanted blocks that lie close together in one page, asked from a peer in one go (about 1 MiB, or one block).

    Attributes:
        page: The page whose entries name the blocks.
        positions: Their positions in the page's list of blocks, ascending.
        ids: Their ids, in the same order.
        lengths: Their lengths in bytes, in the same order.
    """

    page: BlockId
    positions: Sequence[int]
    ids: Sequence[BlockId]
    lengths: Sequence[int]

    @property
    def size_bytes(self) -> int:
        """Payload bytes of the whole run."""
        return sum(self.lengths)

    def only(self, kept: set[BlockId]) -> Self:
        """Return the run without the blocks that are not among some."""
        if kept.issuperset(self.ids):
            return self
        rows = [row for row in zip(self.positions, self.ids, self.lengths, strict=True) if row[1] in kept]
        return replace(
            self, positions=[row[0] for row in rows], ids=[row[1] for row in rows], lengths=[row[2] for row in rows]
        )


@dataclass(frozen=True, slots=True)
class PageHolding:
    """Which of a page's blocks we hold.

    Attributes:
        blocks: How many blocks the page names.
        bits: One bit a block, position 0 in the highest bit of the first byte, unused bits zero.
    """

    blocks: int
    bits: bytes
