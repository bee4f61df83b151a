"""FastCDC: where a file's bytes are cut into chunks.

Cut points follow the content (Xia et al., "FastCDC", USENIX ATC 2016; the 2020 variant with two-byte rolling, as in
pyfastcdc), so bytes inserted into a file move the cut points behind them along and leave those chunks as they were.
The gear table is seeded per folder. Changing anything here changes every block of every user: golden cuts are in
tests/unit/test_chunking.py.
"""

from collections.abc import Iterator
from functools import lru_cache

from pyfastcdc import FastCDC

from p2psync.blocks.block import MAX_BLOCK_BYTES

ALGORITHM = b"fastcdc-2020"
SMALLEST_CUT = 16
"""64 KiB: below, an id and its bookkeeping would cost more than the deduplication saves."""
LARGEST_CUT = 21
"""2 MiB: with a target of 4 MiB, the largest block, nearly every cut would be forced and insertions would not heal."""
IDEAL_CHUNKS = 1000
MOST_CHUNKS = 2000
FEWEST_CHUNKS = 250


def choose_cut(size_bytes: int, current: int | None = None) -> int:
    """Return the target chunk size for a file, as an exponent of two.

    Args:
        size_bytes: The file's size.
        current: The exponent that the file was cut with before, kept while it gives 250 to 2,000 chunks: a file
            that grows is cut anew only when it has doubled, not at every change.
    """
    if current is not None and SMALLEST_CUT <= current <= LARGEST_CUT:
        chunks = size_bytes >> current
        too_many = chunks > MOST_CHUNKS and current < LARGEST_CUT
        too_few = chunks < FEWEST_CHUNKS and current > SMALLEST_CUT
        if not too_many and not too_few:
            return current
    exponent = SMALLEST_CUT
    while exponent < LARGEST_CUT and size_bytes >> exponent > IDEAL_CHUNKS:
        exponent += 1
    return exponent


def largest_chunk(cut: int) -> int:
    """Return the most bytes that a chunk with this target can have."""
    return min(4 << cut, MAX_BLOCK_BYTES)


def iter_chunk_lengths(data: bytes | bytearray | memoryview, cut: int, gear_seed: int) -> Iterator[int]:
    """Yield the lengths of the chunks of `data`, which they fill exactly.

    All but the last are the same whatever bytes follow `data`, so a file can be cut buffer by buffer: carry the last
    chunk's bytes over to the front of the next buffer.
    """
    for chunk in _cutter(cut, gear_seed).cut_buf(data):
        yield chunk.length


@lru_cache(maxsize=64)
def _cutter(cut: int, gear_seed: int) -> FastCDC:
    return FastCDC(
        avg_size=1 << cut, min_size=1 << (cut - 2), max_size=largest_chunk(cut), normalized_chunking=1, seed=gear_seed
    )
