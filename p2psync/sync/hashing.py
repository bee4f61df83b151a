"""From a file's bytes to its block ids."""

import os
import struct
from collections.abc import Callable
from concurrent.futures import Executor, Future

from p2psync.blocks.block import block_id
from p2psync.chunking import iter_chunk_lengths
from p2psync.ids import BlockId

SEGMENT_BYTES = 16 << 20
"""Read at a time: several of the largest chunks, so that little is carried over to the next segment."""


def hash_file(
    handle: int, size_bytes: int, cut: int, gear_seed: int, pool: Executor, checkpoint: Callable[[], None]
) -> tuple[bytes, bytes]:
    """Cut and hash an open file; return (packed ids, packed lengths) of what could be read.

    Args:
        handle: Descriptor, at its beginning.
        size_bytes: The size it is thought to have.
        cut: `chunking.choose_cut`.
        gear_seed: `FolderKeys.gear_seed`.
        pool: Threads that hash while the next segment is read and cut (all three release the GIL).
        checkpoint: Called between segments; may raise to give up.
    """
    if size_bytes <= 1 << (cut - 2):  # the smallest chunk: never cut
        data = os.read(handle, size_bytes + 1)
        if len(data) <= 1 << (cut - 2):
            return (block_id(data), struct.pack(">I", len(data))) if data else (b"", b"")
        os.lseek(handle, 0, os.SEEK_SET)
    return _hash_segments(handle, min(size_bytes + 1, SEGMENT_BYTES), cut, gear_seed, pool, checkpoint)


def _hash_segments(
    handle: int, segment_bytes: int, cut: int, gear_seed: int, pool: Executor, checkpoint: Callable[[], None]
) -> tuple[bytes, bytes]:
    ids: list[bytes] = []
    lengths: list[int] = []
    pending: Future[list[BlockId]] | None = None
    carried = b""
    while True:
        checkpoint()
        buffer = bytearray(max(segment_bytes, 2 * len(carried)))
        buffer[: len(carried)] = carried
        filled = _fill(handle, memoryview(buffer)[len(carried) :]) + len(carried)
        view = memoryview(buffer)[:filled]
        cuts = list(iter_chunk_lengths(view, cut, gear_seed)) if filled else []
        at_end = filled < len(buffer)
        if not at_end:
            cuts.pop()  # where the last chunk ends, the next bytes decide
        carried = bytes(view[sum(cuts) :])
        if pending is not None:
            ids += pending.result()
        lengths += cuts
        if at_end:
            ids += _hash_chunks(view, cuts)
            return b"".join(ids), struct.pack(f">{len(lengths)}I", *lengths)
        pending = pool.submit(_hash_chunks, view, cuts)


def _fill(handle: int, view: memoryview) -> int:
    filled = 0
    while filled < len(view) and (count := os.readv(handle, [view[filled:]])):
        filled += count
    return filled


def _hash_chunks(view: memoryview, lengths: list[int]) -> list[BlockId]:
    ids, at = [], 0
    for length in lengths:
        ids.append(block_id(view[at : at + length]))
        at += length
    return ids
