"""Large receive buffers that are used again.

A fresh buffer of a megabyte is zeroed by Python and mapped page by page by the kernel: for bulk that costs as much as
decrypting into it.
"""

from bisect import bisect_left, insort

from p2psync.budget import DEFAULT_MEMORY

MIN_BYTES = 64 << 10
"""Smaller ones come from memory that is mapped already. Lengths are rounded up to a multiple of it."""


class BufferPool:
    """Gives out buffers, and again those that nobody looks into any more.

    Nothing is ever handed back: Python itself refuses to resize a bytearray while a memoryview of it exists, and so
    tells which are free.

    Args:
        kept_bytes: What it holds on to.
    """

    def __init__(self, kept_bytes: int = DEFAULT_MEMORY.buffer_bytes) -> None:
        self._most_bytes = kept_bytes
        self._kept: list[bytearray] = []  # shortest first
        self._kept_bytes = 0

    def take(self, size_bytes: int) -> memoryview:
        """Return a writable buffer of this size, with whatever bytes in it."""
        if size_bytes < MIN_BYTES:
            return memoryview(bytearray(size_bytes))
        for at in range(bisect_left(self._kept, size_bytes, key=len), len(self._kept)):
            if _is_free(self._kept[at]):
                return memoryview(self._kept[at])[:size_bytes]
        fresh = bytearray(-(-size_bytes // MIN_BYTES) * MIN_BYTES)
        if self._make_room(len(fresh)):
            insort(self._kept, fresh, key=len)
            self._kept_bytes += len(fresh)
        return memoryview(fresh)[:size_bytes]

    def _make_room(self, size_bytes: int) -> bool:
        """Let go of shorter ones that are free; return whether so much may be kept."""
        at = 0
        while self._kept_bytes + size_bytes > self._most_bytes:
            if at == len(self._kept) or len(self._kept[at]) >= size_bytes:
                return False
            if _is_free(self._kept[at]):
                self._kept_bytes -= len(self._kept.pop(at))
            else:
                at += 1
        return True


def _is_free(buffer: bytearray) -> bool:
    try:
        buffer.append(buffer.pop())
    except BufferError:
        return False
    return True
