"""Changes of a folder that is shared and followed at the same time: what travels, and how long until it matches."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import rivals
from benchmarks.data import big_folder, count_files, empty_folder, forget_state
from benchmarks.p2psync_run import start_share, start_sync
from benchmarks.report import OURS, Figures, Goal, Report, Settings, take_turns
from benchmarks.watched import Watched

REST_S = 2.0
"""What a change waits for the watch to be at rest after the one before."""
APPENDED_BYTES = 1 << 30
INNER_BYTES = 4096
FEW_BLOCKS_BYTES = 3 * (2 << 20)


def run(settings: Settings) -> Report:
    original = big_folder(settings)
    appended = int(APPENDED_BYTES * settings.scale)

    def measure() -> Figures:
        source, target = empty_folder(settings, "source"), empty_folder(settings)
        (source / "folder").mkdir()
        shutil.copyfile(original / "big.bin", source / "folder" / "big.bin")
        figures: dict[str, float] = {}
        with start_share(source) as sharer, start_sync(sharer.wait_event("ready")[1]["link"], target) as follower:
            follower.wait_event("matched")
            for name, change in _changes(source, appended).items():
                figures |= _measured(name, change, follower)
            figures |= sharer.figures("sender") | follower.figures("receiver")
        return figures

    def rsync() -> Figures:
        """Send the insertion alone, as rsync does when it is called after the change."""
        source, target = empty_folder(settings, "source"), empty_folder(settings)
        for folder in (source, target):
            shutil.copyfile(original / "big.bin", folder / "big.bin")
        _insert_in_front(source / "big.bin")
        return {"inserted_s": rivals.rsync(source, target, settings.data)["transfer_s"]}

    runs = take_turns({OURS: measure, "rsync": rsync}, settings.runs)
    for name in ("source", "target"):
        empty_folder(settings, name)
    forget_state(original)
    goals = (
        Goal("inserted_s", 0.4, "rsync"),
        Goal("inserted_fetched_bytes", FEW_BLOCKS_BYTES),
        Goal("inner_fetched_bytes", FEW_BLOCKS_BYTES),
        Goal("renamed_fetched_bytes", 0),
        Goal("directory_renamed_fetched_bytes", 0),
        Goal("appended_fetched_bytes", appended + FEW_BLOCKS_BYTES),
    )
    return Report("changes", "changes of a shared and followed file of 2 GiB", runs, goals, count_files(original))


def _changes(source: Path, appended: int) -> dict[str, Callable[[], None]]:
    """Return the changes in the order in which they are made."""
    path = source / "folder" / "big.bin"

    def inner() -> None:
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            file.write(os.urandom(INNER_BYTES))

    def append() -> None:
        with path.open("ab") as file:
            for _ in range(0, appended, 1 << 24):
                file.write(os.urandom(min(appended, 1 << 24)))

    return {
        "renamed": lambda: path.rename(source / "folder" / "other.bin"),
        "renamed_back": lambda: (source / "folder" / "other.bin").rename(path),
        "directory_renamed": lambda: (source / "folder").rename(source / "other"),
        "directory_renamed_back": lambda: (source / "other").rename(source / "folder"),
        "inner": inner,
        "inserted": lambda: _insert_in_front(path),
        "appended": append,
    }


def _insert_in_front(path: Path) -> None:
    beside = path.parents[2] / "inserted"  # outside of the folder, for half a file is no change to be seen
    with path.open("rb") as old, beside.open("wb") as new:
        new.write(b"five!")
        shutil.copyfileobj(old, new, 1 << 24)
    os.replace(beside, path)


def _measured(name: str, change: Callable[[], None], follower: Watched) -> Figures:
    """Make a change; return what was fetched for it, and the seconds from its end to the match."""
    time.sleep(REST_S)
    before = follower.count("matched")
    fetched = follower.wait_event("matched", number=before - 1)[1]["fetched_bytes"]
    change()
    changed_at = time.perf_counter() - follower.started_at
    at, matched = follower.wait_event("matched", number=before)
    return {f"{name}_s": at - changed_at, f"{name}_fetched_bytes": matched["fetched_bytes"] - fetched}
