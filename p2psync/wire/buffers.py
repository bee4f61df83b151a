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
    tells which are free. Of each length the one that was given out first is looked at, which is free if any is likely
    to be: so taking one costs the same however many are kept.

    Args:
        kept_bytes: What it holds on to.
    """

    def __init__(self, kept_bytes: int = DEFAULT_MEMORY.buffer_bytes) -> None:
        self._most_bytes = kept_bytes
        self._kept: dict[int, deque[bytearray]] = {}  # by length, shortest first
        self._kept_bytes = 0

    def take(self, size_bytes: int) -> memoryview:
        """Return a writable buffer of this size, with whatever bytes in it."""
        if size_bytes < MIN_BYTES:
            return memoryview(bytearray(size_bytes))
        for length, buffers in self._kept.items():
            if length >= size_bytes and buffers and _is_free(buffers[0]):
                buffers.rotate(-1)
                return memoryview(buffers[-1])[:size_bytes]
        fresh = bytearray(_rounded(size_bytes))
        if self._make_room(len(fresh)):
            self._keep(fresh)
        return memoryview(fresh)[:size_bytes]

    def _keep(self, buffer: bytearray) -> None:
        if len(buffer) not in self._kept:
            self._kept[len(buffer)] = deque()
            self._kept = dict(sorted(self._kept.items()))
        self._kept[len(buffer)].append(buffer)
        self._kept_bytes += len(buffer)

    def _make_room(self, size_bytes: int) -> bool:
        """Let go of shorter ones that are free; return whether so much may be kept."""
        for length, buffers in self._kept.items():
            while length < size_bytes and buffers and self._kept_bytes + size_bytes > self._most_bytes:
                if not _is_free(buffers[0]):
                    break
                self._kept_bytes -= len(buffers.popleft())
        return self._kept_bytes + size_bytes <= self._most_bytes


def _rounded(size_bytes: int) -> int:
    """Return the next of the lengths that are kept: four from each power of two to the next."""
    step = 1 << max(0, (size_bytes - 1).bit_length() - 3)
    return -(-size_bytes // step) * step


def _is_free(buffer: bytearray) -> bool:
    try:
        buffer.append(buffer.pop())
    except BufferError:
        return False
    return True
