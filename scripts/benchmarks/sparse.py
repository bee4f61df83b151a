"""A sparse file of 1 TiB with some MiB of data: scanned, got, and what it takes in memory and index."""

import os
from pathlib import Path

from benchmarks.data import empty_folder
from benchmarks.p2psync_run import index_bytes, share_again_and_get
from benchmarks.report import OURS, Figures, Goal, Report, Settings, take_turns

SPARSE_BYTES = 1 << 40
DATA_BYTES = 1 << 20
PLACES = 4
MEMORY_BYTES = 400e6
INDEX_A_BLOCK_BYTES = 128
"""Twice what a block takes: the sum of the index and of a write-ahead log that holds all of it."""
LARGEST_BLOCK_BYTES = 4 << 20


def run(settings: Settings) -> Report:
    size_bytes = int(SPARSE_BYTES * settings.scale)

    def measure() -> Figures:
        source, target = empty_folder(settings, "source"), empty_folder(settings)
        _make(source / "disk.img", size_bytes)
        figures = share_again_and_get(source, target)
        got = (target / "disk.img").stat()
        if got.st_size != size_bytes:
            raise SystemExit("what was got has another size")
        return {
            **figures,
            "target_on_disk_bytes": got.st_blocks * 512,
            "sender_index_bytes": index_bytes(source),
            "receiver_index_bytes": index_bytes(target),
        }

    runs = take_turns({OURS: measure}, settings.runs)
    for name in ("source", "target"):
        empty_folder(settings, name)
    most_index = size_bytes / LARGEST_BLOCK_BYTES * INDEX_A_BLOCK_BYTES
    goals = (
        Goal("total_s", 10.0),
        Goal("target_on_disk_bytes", 20 * PLACES * DATA_BYTES),
        Goal("sender_peak_bytes", MEMORY_BYTES),
        Goal("receiver_peak_bytes", MEMORY_BYTES),
        Goal("sender_index_bytes", most_index),
        Goal("receiver_index_bytes", most_index),
    )
    return Report("sparse", "a sparse file to an empty receiver", runs, goals, {"source_bytes": size_bytes})


def _make(path: Path, size_bytes: int) -> None:
    with path.open("wb") as file:
        file.truncate(size_bytes)
        for number in range(PLACES):
            file.seek(size_bytes * number // PLACES + 12_345)
            file.write(os.urandom(DATA_BYTES))
