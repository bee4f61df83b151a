"""A million small files: shared, got, shared again unchanged, and changed in one place."""

import time
from pathlib import Path

from benchmarks.data import count_files, empty_folder, forget_state, million_folder, small_folder
from benchmarks.p2psync_run import index_bytes, share_again_and_get, start_share, time_until_ready
from benchmarks.report import OURS, Figures, Goal, Report, Settings, take_turns

MEMORY_BYTES = 400e6
INDEX_BYTES = 300 + 64
"""A file, and its one block."""
RESCAN_S = 15.0
PUBLISH_S = 0.1
NOTICE_S = 0.3


def run(settings: Settings) -> Report:
    source, small = million_folder(settings), small_folder(settings)
    facts = count_files(source)

    def measure() -> Figures:
        forget_state(source)
        target = empty_folder(settings)
        figures = share_again_and_get(source, target)
        time_until_ready(small)
        start_up_s = time_until_ready(small)
        unchanged_s = time_until_ready(source)
        noticed_s = _change_while_shared(source)
        _change(source)
        changed_s = time_until_ready(source)
        return {
            **figures,
            "sender_index_a_file": index_bytes(source) / facts["files"],
            "receiver_index_a_file": index_bytes(target) / facts["files"],
            "rescan_s": unchanged_s - start_up_s,
            "publish_beyond_rescan_s": changed_s - unchanged_s,
            "notice_to_head_s": noticed_s,
        }

    runs = take_turns({OURS: measure}, settings.runs)
    empty_folder(settings)
    for folder in (source, small):
        forget_state(folder)
    goals = (
        Goal("sender_peak_bytes", MEMORY_BYTES),
        Goal("receiver_peak_bytes", MEMORY_BYTES),
        Goal("sender_index_a_file", INDEX_BYTES),
        Goal("receiver_index_a_file", INDEX_BYTES),
        Goal("rescan_s", RESCAN_S),
        Goal("publish_beyond_rescan_s", PUBLISH_S),
        Goal("notice_to_head_s", NOTICE_S),
    )
    return Report("million", "a million small files", runs, goals, facts)


def _change(source: Path) -> None:
    """Give one file other content of the same length."""
    path = source / "000" / "file-000123.txt"
    path.write_bytes(bytes(255 - octet for octet in path.read_bytes()))


def _change_while_shared(source: Path) -> float:
    """Return the seconds from a change to its head, in the median of a few."""
    seconds = []
    with start_share(source) as sharer:
        sharer.wait_event("ready")
        for number in range(5):
            # The watch is live when its first look around is over, and rests half a second after each head.
            time.sleep(30.0 if number == 0 else 3.0)
            changed_at = time.perf_counter() - sharer.started_at
            _change(source)
            at, _ = sharer.wait_event("published", number=number)
            seconds.append(at - changed_at)
    return sorted(seconds)[len(seconds) // 2]
