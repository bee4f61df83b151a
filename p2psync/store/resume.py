"""Resume: recognise what an interrupted run had written to a staged file beyond what it had noted."""

import errno
import os
from collections.abc import Iterator, Sequence

from p2psync.blocks.block import block_id, split_ids

_SAMPLES = 8


def holds_sample(handle: int, ids: bytes, offsets: Sequence[int], noted: Sequence[bool]) -> bool:
    """Read a few of the noted blocks of an open staged file, spread over it; return whether all are right.

    The rest is believed: to hash all that an interrupted run had fetched could take longer than to fetch it.
    """
    slots = [slot for slot, is_noted in enumerate(noted) if is_noted]
    sample = {slots[len(slots) * number // _SAMPLES] for number in range(_SAMPLES)} | {slots[-1]} if slots else set()
    blocks = split_ids(ids)
    return all(
        block_id(os.pread(handle, offsets[slot + 1] - offsets[slot], offsets[slot])) == blocks[slot] for slot in sample
    )


def written_slots(handle: int, ids: bytes, offsets: Sequence[int], noted: Sequence[bool]) -> Iterator[int]:
    """Yield the slots of an open staged file that hold their block, though that was not noted.

    Only what is neither noted nor a hole is read, so this costs what the interrupted run had not come to note.

    Args:
        handle: Descriptor of the file.
        ids: Packed ids of its blocks.
        offsets: Where each block begins, and where the last one ends.
        noted: Whether each block is known to be there.
    """
    blocks = split_ids(ids)
    for slot in _slots_with_data(handle, offsets):
        if not noted[slot]:
            data = os.pread(handle, offsets[slot + 1] - offsets[slot], offsets[slot])
            if block_id(data) == blocks[slot]:
                yield slot


def _slots_with_data(handle: int, offsets: Sequence[int]) -> Iterator[int]:
    slot = 0
    for begin, end in _extents(handle):
        while slot < len(offsets) - 1 and offsets[slot + 1] <= begin:
            slot += 1
        while slot < len(offsets) - 1 and offsets[slot] < end:
            yield slot
            slot += 1


def _extents(handle: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of the parts of a file that are no holes."""
    at = 0
    while True:
        try:
            at = os.lseek(handle, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        end = os.lseek(handle, at, os.SEEK_HOLE)
        yield at, end
        at = end
