"""From a file's bytes to its block ids."""

import errno
import os
import struct
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import lru_cache, partial

from p2psync.blocks.block import block_id
from p2psync.chunking import iter_chunk_lengths, largest_chunk
from p2psync.ids import BlockId
from p2psync.manifest.entry import Entry
from p2psync.sync.known_cuts import KnownCuts

SEGMENT_BYTES = 8 << 20
"""Read at a time: two of the largest chunks, so that not much is carried over to the next segment."""
_ROOM_BYTES = 4 << 20
"""In front of each segment, for the beginning of its first chunk."""
_BUFFERS = 3
"""One is read into, one is cut, one is hashed."""
_LENGTH = struct.Struct(">I")
SMALL_BYTES = 1 << 20
"""Up to here a file is read, cut and hashed at once: handing it to another thread costs more than it saves."""


class FileHasher:
    """Cuts and hashes one file after the other, in buffers that serve for all: fresh memory is slow at first touch.

    Args:
        gear_seed: `FolderKeys.gear_seed`.
        pool: Two threads, that read and hash while this one cuts (all three release the GIL).
        checkpoint: Called between segments; may raise to give up.
        segment_bytes: What is read at a time; three times as much, and 12 MiB, are kept in memory.
    """

    def __init__(
        self, gear_seed: int, pool: Executor, checkpoint: Callable[[], None], segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._gear_seed = gear_seed
        self._pool = pool
        self._checkpoint = checkpoint
        self._segment_bytes = segment_bytes
        self._small = bytearray(1 << 16)
        self._buffers: list[bytearray] = []

    def hash(
        self, handle: int, size_bytes: int, cut: int, before: Entry | None = None, *, sparse: bool
    ) -> tuple[bytes, bytes]:
        """Return (packed ids, packed lengths) of what could be read of an open file.

        Args:
            handle: Its descriptor.
            size_bytes: The size it is thought to have.
            cut: `chunking.choose_cut`.
            before: What is known of the file as it was, in this folder.
            sparse: Whether it may have holes worth looking for.
        """
        if size_bytes < SMALL_BYTES and (small := self._hash_small(handle, size_bytes, cut)):
            return small
        known = None
        if before is not None and before.cut == cut and not sparse:
            known = KnownCuts(before, self._pool, self._checkpoint)
        return self._hash_segments(handle, cut, known, sparse=sparse)

    def close(self) -> None:
        """Let go of the buffers at once: whoever is asked to give up refers to us, so else only the collector would."""
        self._buffers.clear()
        self._small = bytearray()

    def _hash_small(self, handle: int, size_bytes: int, cut: int) -> tuple[bytes, bytes] | None:
        """Hash a file that fits the small buffer; None if it has outgrown it meanwhile."""
        if size_bytes >= len(self._small):
            self._small = bytearray(SMALL_BYTES)
        filled = os.preadv(handle, [self._small], 0)
        if filled != size_bytes:  # it may only be a part
            filled = _fill(handle, memoryview(self._small), 0)
            if filled == len(self._small):
                return None
        view = memoryview(self._small)[:filled]
        if filled <= 1 << (cut - 2):  # the smallest chunk: never cut
            return (block_id(view), _LENGTH.pack(filled)) if filled else (b"", b"")
        lengths = list(iter_chunk_lengths(view, cut, self._gear_seed))
        return b"".join(_hash_chunks(view, lengths)), struct.pack(f">{len(lengths)}I", *lengths)

    def _hash_segments(self, handle: int, cut: int, known: KnownCuts | None, *, sparse: bool) -> tuple[bytes, bytes]:
        if not self._buffers:
            self._buffers = [bytearray(_ROOM_BYTES + self._segment_bytes) for _ in range(_BUFFERS)]
        run = _Segments(handle, cut, self._gear_seed, self._pool, [memoryview(buffer) for buffer in self._buffers])
        try:
            while not run.at_end:
                self._checkpoint()
                if sparse:
                    run.skip_hole()
                if known is not None:
                    run.follow(known)
                run.advance()
        finally:
            run.settle()
        return run.packed()


class _Segments:
    """One large file on its way through the buffers."""

    def __init__(self, handle: int, cut: int, gear_seed: int, pool: Executor, buffers: list[memoryview]) -> None:
        self.at_end = False
        self._handle = handle
        self._cut = cut
        self._gear_seed = gear_seed
        self._pool = pool
        self._buffers = buffers
        self._turn = 0
        self._start = 0  # where the chunk begins that is to be cut next
        self._carried: memoryview = buffers[0][:0]  # what of it has been read
        self._lengths: list[int] = []
        self._ids: list[BlockId] = []
        self._followed = -1  # how many chunks there were when known ones ended
        self._reading: tuple[int, Future[int]] | None = None
        self._hashing: Future[list[BlockId]] | None = None

    def advance(self) -> None:
        """Read on, cut, and have the chunks hashed."""
        buffer = self._buffers[self._turn]
        filled = self._read(buffer)
        begin = _ROOM_BYTES - len(self._carried)
        buffer[begin:_ROOM_BYTES] = self._carried
        view = buffer[begin : _ROOM_BYTES + filled]
        self.at_end = filled < len(buffer) - _ROOM_BYTES
        if not self.at_end:
            self._read_ahead(self._start + len(view))
        cuts = list(iter_chunk_lengths(view, self._cut, self._gear_seed)) if view else []
        if not self.at_end:
            cuts.pop()  # where the last chunk ends, the next bytes decide
        done = sum(cuts)
        self._collect()
        self._hashing = self._pool.submit(_hash_chunks, view, cuts)
        self._lengths += cuts
        self._start += done
        self._carried = view[done:]
        self._turn = (self._turn + 1) % len(self._buffers)

    def skip_hole(self) -> None:
        """Count the chunks of zeros that a hole comes to, if the next chunk begins in one; nothing of it is read."""
        longest = largest_chunk(self._cut)
        room = _hole_end(self._handle, self._start) - self._start
        if room < longest:
            return
        length, zeros = _chunk_of_zeros(self._cut, self._gear_seed)
        count = (room - longest) // length + 1
        self._collect()
        self._ids += [zeros] * count
        self._lengths += [length] * count
        self._start += count * length
        self._carried = self._carried[:0]

    def follow(self, known: KnownCuts) -> None:
        """Go on over chunks that are what they were when the file was hashed last, where they are found again."""
        if self._known_next(known) is None:
            return
        self.settle()
        slot = self._known_next(known)
        if slot is None:
            return
        ids, lengths = known.held(slot, self._start, partial(_hash_span, self._handle, list(self._buffers)))
        self._ids += ids
        self._lengths += lengths
        self._start += sum(lengths)
        self._carried = self._carried[:0]
        self._followed = len(self._ids)

    def _known_next(self, known: KnownCuts) -> int | None:
        """Return the slot of what once followed on the last chunk that is hashed, unless that was tried already."""
        return None if len(self._ids) == self._followed else known.after(self._ids[-1] if self._ids else None)

    def settle(self) -> None:
        """Wait for the threads, so that the buffers are free again."""
        if self._reading is not None:
            self._reading[1].result()
            self._reading = None
        self._collect()

    def packed(self) -> tuple[bytes, bytes]:
        """Return (packed ids, packed lengths)."""
        return b"".join(self._ids), struct.pack(f">{len(self._lengths)}I", *self._lengths)

    def _read(self, buffer: memoryview) -> int:
        """Fill a buffer behind its room with what follows on what is carried; return how much there was."""
        at = self._start + len(self._carried)
        if self._reading is not None:
            ahead, reading = self._reading
            self._reading = None
            filled = reading.result()
            if ahead == at:
                return filled
        return _fill(self._handle, buffer[_ROOM_BYTES:], at)

    def _read_ahead(self, at: int) -> None:
        following = self._buffers[(self._turn + 1) % len(self._buffers)]
        self._reading = at, self._pool.submit(_fill, self._handle, following[_ROOM_BYTES:], at)

    def _collect(self) -> None:
        if self._hashing is not None:
            self._ids += self._hashing.result()
            self._hashing = None


@lru_cache(maxsize=16)
def _chunk_of_zeros(cut: int, gear_seed: int) -> tuple[int, BlockId]:
    """Return the length of a chunk that begins with zeros only, and its id."""
    zeros = bytes(largest_chunk(cut))
    length = next(iter_chunk_lengths(zeros, cut, gear_seed))
    return length, block_id(zeros[:length])


def _hole_end(handle: int, at: int) -> int:
    """Return where the data begins that follows on a place in a file; the place itself if there is data."""
    try:
        return os.lseek(handle, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:  # ENXIO: only a hole is left, or nothing
            return at
        return max(at, os.fstat(handle).st_size)


def _fill(handle: int, view: memoryview, at: int) -> int:
    filled = 0
    while filled < len(view) and (count := os.preadv(handle, [view[filled:]], at + filled)):
        filled += count
    return filled


def _hash_span(handle: int, free: list[memoryview], offset: int, lengths: list[int]) -> list[BlockId]:
    """Read and hash chunks in a buffer that is free; what is not there any more has other ids."""
    buffer = free.pop()
    try:
        view = buffer[: sum(lengths)]
        return _hash_chunks(view[: _fill(handle, view, offset)], lengths)
    finally:
        free.append(buffer)


def _hash_chunks(view: memoryview, lengths: list[int]) -> list[BlockId]:
    ids, at = [], 0
    for length in lengths:
        ids.append(block_id(view[at : at + length]))
        at += length
    return ids
