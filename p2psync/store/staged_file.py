"""One file that is being put together, and which of its blocks it has."""

import struct
from collections.abc import Sequence
from itertools import accumulate

from p2psync.blocks.block import split_ids
from p2psync.ids import BlockId
from p2psync.manifest.entry import Entry


class StagedFile:
    """One file on its way in.

    Attributes:
        number: Its row id, in the index too once it is finished.
        entry: What it will be.
        missing: How many blocks are still to be written.
        has_looks: Whether its permissions and time are set.
        taken: How it looked last, if it was a file of the folder that somebody may still be writing to.
    """

    __slots__ = ("_have", "entry", "has_looks", "missing", "number", "offsets", "taken")

    def __init__(self, number: int, entry: Entry, have: bytes = b"") -> None:
        lengths = struct.unpack(f">{len(entry.lengths) // 4}I", entry.lengths)
        self.number = number
        self.entry = entry
        self.has_looks = False
        self.taken = b""
        self.offsets: list[int] = [0, *accumulate(lengths)]
        self._have = bytearray(have or (len(lengths) + 7) // 8)
        self.missing = len(lengths) - sum(byte.bit_count() for byte in have)

    @property
    def name(self) -> str:
        """Its name in the staging directory."""
        return str(self.number)

    @property
    def size_bytes(self) -> int:
        """The size that it will have."""
        return self.offsets[-1]

    @property
    def is_whole(self) -> bool:
        """Whether it comes in one write, and so is not noted in the database."""
        return len(self.offsets) <= 2

    def missing_slots(self) -> Sequence[int]:
        """Return the slots of the blocks that are still to be written."""
        slots = range(len(self.offsets) - 1)
        return slots if self.missing == len(slots) else [slot for slot in slots if not self.has(slot)]

    def missing_blocks(self) -> list[tuple[int, BlockId]]:
        """Return (slot, id) of the blocks that are still to be written."""
        blocks = split_ids(self.entry.ids)
        return [(slot, blocks[slot]) for slot in self.missing_slots()]

    def has(self, slot: int) -> bool:
        """Say whether a block has been written."""
        return bool(self._have[slot >> 3] & (0x80 >> (slot & 7)))

    def length(self, slot: int) -> int:
        """Return how many bytes a block has, as the manifest says."""
        return self.offsets[slot + 1] - self.offsets[slot]

    def mark(self, slot: int) -> None:
        """Note that a block has been written."""
        if not self.has(slot):
            self._have[slot >> 3] |= 0x80 >> (slot & 7)
            self.missing -= 1

    def have_bits(self) -> bytes:
        """Return one bit a block, the first in the highest bit."""
        return bytes(self._have)
