"""Moved: recognise a large file that has only been given another name, and so need not be read as a whole."""

import os

from p2psync.blocks.block import block_id, split_ids
from p2psync.chunking import LARGEST_CUT, SMALLEST_CUT, choose_cut, iter_chunk_lengths, largest_chunk
from p2psync.manifest.entry import Entry, Kind
from p2psync.store.index import FileIndex, block_lengths
from p2psync.sync.fingerprint import CLOCK_TICK_NS, fingerprint, is_same_object, is_settled, looks_like
from p2psync.sync.record import clamped_mtime_ns

LEAST_BYTES = 8 << 20
"""A smaller file is read sooner than it is looked for."""
_SAMPLES = 8


def moved_from(file: int, status: os.stat_result, directory: int, index: FileIndex, gear_seed: int) -> Entry | None:
    """Return the entry, under its old name, of an open file that the index knows; None where there is none.

    It is known by its first block, its inode, size and mtime, and some more blocks are read as a sample. Renaming
    changes ctime, and at the same time the mtime of the directory: with another time it may have been edited since,
    also where the directory got another name later. Should it be wrong all the same, the blocks that are not there are
    missed when they are asked for, and then the file is read.

    Args:
        file: Its descriptor.
        status: How it looks.
        directory: The descriptor of the directory that it is in.
        index: What is known.
        gear_seed: `FolderKeys.gear_seed`.
    """
    head = os.pread(file, largest_chunk(LARGEST_CUT), 0)
    if not head:  # it was cut off meanwhile, as whoever reads it will find
        return None
    likely = choose_cut(status.st_size)
    for cut in (likely, likely - 1, likely + 1):
        if not SMALLEST_CUT <= cut <= LARGEST_CUT:
            continue
        length = next(iter_chunk_lengths(head[: largest_chunk(cut)], cut, gear_seed))
        first = block_id(memoryview(head)[:length])
        for place in index.places([first]).get(first, ()):
            local = index.file_at(place.key) if not place.staged and not place.slot else None
            if local is None or not is_settled(local.fingerprint):
                continue
            now = fingerprint(status)
            same = is_same_object(local.fingerprint, now) and _has_looks(local.entry, status)
            rests = looks_like(local.fingerprint, now) or _rests_since_it_came(status, directory)
            if same and rests and _has_samples(file, local.entry):
                return local.entry
    return None


def _rests_since_it_came(status: os.stat_result, directory: int) -> bool:
    """Say whether the file was last touched when its directory last got or lost a name: by that, not by an edit."""
    return abs(status.st_ctime_ns - os.fstat(directory).st_mtime_ns) <= CLOCK_TICK_NS


def _has_looks(entry: Entry, status: os.stat_result) -> bool:
    return entry.kind is Kind.FILE and entry.mtime_ns == clamped_mtime_ns(status) and entry.size_bytes == status.st_size


def _has_samples(file: int, entry: Entry) -> bool:
    ids, lengths = split_ids(entry.ids), block_lengths(entry.lengths)
    wanted = {len(ids) * sample // _SAMPLES for sample in range(_SAMPLES)} | {len(ids) - 1}
    offset = 0
    for slot, length in enumerate(lengths):
        if slot in wanted and block_id(os.pread(file, length, offset)) != ids[slot]:
            return False
        offset += length
    return True
