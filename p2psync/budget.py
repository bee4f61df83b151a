"""How much memory is given to the bytes that are on their way. Pure."""

from dataclasses import dataclass

_BASE_BYTES = 64 << 20
"""The program itself, with some links and the index's cache."""
LEAST_BYTES = 112 << 20
"""Below this there would be no room for two of the largest blocks."""
DEFAULT_BYTES = 256 << 20
_MOST_SEGMENT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """What the whole program may take, and what follows for its parts.

    Attributes:
        total_bytes: At least `LEAST_BYTES`. What grows with the number of paths comes on top; DESIGN.md says how much.
    """

    total_bytes: int = DEFAULT_BYTES

    @property
    def payload_bytes(self) -> int:
        """What may be received and not yet written."""
        return self._spare_bytes // 6

    @property
    def sending_bytes(self) -> int:
        """What may be read and not yet sent, but for the shortest frames where links are many."""
        return self._spare_bytes // 6

    @property
    def buffer_bytes(self) -> int:
        """What is kept of buffers: for that and a block beyond it, for what is being received, and for recent ones."""
        return self.payload_bytes * 5 // 4 + self.recent_bytes

    @property
    def recent_bytes(self) -> int:
        """What is kept at hand of blocks that were just written, while other peers want them."""
        return self.payload_bytes // 2

    @property
    def segment_bytes(self) -> int:
        """What is read of a file at a time; three such are in memory while it is cut and hashed."""
        return min(self._spare_bytes // 24, _MOST_SEGMENT_BYTES)

    @property
    def copy_bytes(self) -> int:
        """What each of two threads copies at a time inside the folder."""
        return self._spare_bytes // 48

    @property
    def _spare_bytes(self) -> int:
        return max(self.total_bytes, LEAST_BYTES) - _BASE_BYTES


DEFAULT_MEMORY = MemoryBudget()
