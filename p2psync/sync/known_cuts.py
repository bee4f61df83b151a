"""Known cuts: a file that was hashed before is hashed by the cuts it had, and cut anew only where its ids differ.

What a chunk is depends on its own bytes and on no others (`chunking`), so where a known chunk's bytes stand behind the
end of another chunk, cutting would give just that one. Hashing tells whether they do: it is faster than cutting, and
several threads can do it at once.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future
from contextlib import closing

from p2psync.blocks.block import split_ids
from p2psync.chunking import MOST_CHUNKS
from p2psync.ids import BlockId
from p2psync.manifest.entry import Entry
from p2psync.store.index import block_lengths

SPAN_BYTES = 2 << 20
"""Hashed at a time, unless a single chunk is longer: enough for a thread's errand, and processors' caches hold it."""
_SPANS = 3
"""Two are read and hashed, and the result of one is looked at."""
_MOST_LOST_BYTES = 64 << 20
_LOST_SHARE = 4
"""What may be hashed for nothing: so much, and one part in so many of what was not. Beyond that, changes lie so close
to each other that cutting is the shorter way."""

HashSpan = Callable[[int, list[int]], list[BlockId]]
"""Hashes chunks that stand one after the other in a file, from an offset on, given their lengths; run by threads."""


class KnownCuts:
    """The chunks of a file as it was, all but the last: that one ended where the file did.

    Args:
        entry: The file's.
        pool: Hashes.
        checkpoint: Called between spans; may raise to give up.
    """

    def __init__(self, entry: Entry, pool: Executor, checkpoint: Callable[[], None]) -> None:
        self._ids = split_ids(entry.ids)[:-1]
        self._lengths = list(block_lengths(entry.lengths))[:-1]
        self._pool = pool
        self._checkpoint = checkpoint
        self._reached = 0
        self._held_bytes = self._lost_bytes = 0

    def after(self, chunk: BlockId | None) -> int | None:
        """Return the slot of what followed on a chunk, or began the file; None if nothing did or it is no use.

        Only behind the last known chunk that held, as far as most files reach: a longer search would cost more than
        it finds.
        """
        if self._lost_bytes > _MOST_LOST_BYTES + self._held_bytes // _LOST_SHARE:
            return None
        if chunk is None:
            return 0 if self._ids else None
        try:
            slot = self._ids.index(chunk, self._reached, self._reached + MOST_CHUNKS) + 1
        except ValueError:
            return None
        return slot if slot < len(self._ids) else None

    def held(self, slot: int, offset: int, hash_span: HashSpan) -> tuple[list[BlockId], list[int]]:
        """Return ids and lengths of the chunks from a slot on that are what they were, if it begins at an offset."""
        end = slot
        with closing(self._hash_ahead(slot, offset, hash_span)) as spans:
            for first, ids in spans:
                agreeing = _agreeing(ids, self._ids[first : first + len(ids)])
                end = first + agreeing
                if agreeing < len(ids):
                    self._lost_bytes += _SPANS * SPAN_BYTES
                    break
        self._reached = end
        lengths = self._lengths[slot:end]
        self._held_bytes += sum(lengths)
        return self._ids[slot:end], lengths

    def _hash_ahead(self, slot: int, offset: int, hash_span: HashSpan) -> Generator[tuple[int, list[BlockId]]]:
        """Yield spans in their order, with their first slot, while the next ones are being hashed."""
        pending: deque[tuple[int, Future[list[BlockId]]]] = deque()
        try:
            for first, lengths in self._spans(slot):
                self._checkpoint()
                pending.append((first, self._pool.submit(hash_span, offset, lengths)))
                offset += sum(lengths)
                if len(pending) == _SPANS:
                    yield pending[0][0], pending.popleft()[1].result()
            while pending:
                yield pending[0][0], pending.popleft()[1].result()
        finally:
            for _, hashing in pending:
                hashing.result()  # until then the file must stay open

    def _spans(self, slot: int) -> Iterator[tuple[int, list[int]]]:
        """Yield the first slot and the lengths of what is hashed at a time."""
        while slot < len(self._lengths):
            end, size = slot + 1, self._lengths[slot]
            while end < len(self._lengths) and size + self._lengths[end] <= SPAN_BYTES:
                size += self._lengths[end]
                end += 1
            yield slot, self._lengths[slot:end]
            slot = end


def _agreeing(found: list[BlockId], known: list[BlockId]) -> int:
    return next((at for at, pair in enumerate(zip(found, known, strict=True)) if pair[0] != pair[1]), len(found))
