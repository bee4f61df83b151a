"""Large receive buffers that are used again.

A fresh buffer of a megabyte is zeroed by Python and mapped page by page by the kernel: for bulk that costs as much as
decrypting into it.
"""

from collections import deque

from p2psync.budget import DEFAULT_MEMORY

MIN_BYTES = 64 << 10
"""Smaller ones come from memory that is mapped already."""


class BufferPool:
    """Gives out buffers, and again those that nobody looks into any more.

    Nothing is ever handed back: Python itself refuses to resize a bytearray while a memoryview of it exists, and so
    tells which are free.

    Args:
        kept_bytes: What it holds on to: as much as may be received and not yet written.
    """

    def __init__(self, kept_bytes: int = DEFAULT_MEMORY.payload_bytes) -> None:
        self._most_bytes = kept_bytes
        self._kept: dict[int, deque[bytearray]] = {}
        self._kept_bytes = 0

    def take(self, size_bytes: int) -> memoryview:
        """Return a writable buffer of this size, with whatever bytes in it."""
        if size_bytes < MIN_BYTES:
            return memoryview(bytearray(size_bytes))
        rounded_bytes = 1 << (size_bytes - 1).bit_length()
        kept = self._kept.setdefault(rounded_bytes, deque())
        if kept and _is_free(kept[0]):
            kept.rotate(-1)
            return memoryview(kept[-1])[:size_bytes]
        fresh = bytearray(rounded_bytes)
        if self._kept_bytes + rounded_bytes <= self._most_bytes:
            self._kept_bytes += rounded_bytes
            kept.append(fresh)
        return memoryview(fresh)[:size_bytes]


def _is_free(buffer: bytearray) -> bool:
    try:
        buffer.append(buffer.pop())
    except BufferError:
        return False
    return True
