"""Five bytes put in front of a file of 2 GiB that the receiver has: what travels, and how long it takes."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks import rivals
from benchmarks.data import big_folder, count_files, empty_folder, forget_state
from benchmarks.p2psync_run import share_again_and_get
from benchmarks.report import OURS, Figures, Goal, Report, Settings, take_turns

FETCHED_BYTES = 8e6


def run(settings: Settings) -> Report:
    original = big_folder(settings)

    def update(first: Callable[[Path, Path], object], then: Callable[[Path, Path], Figures]) -> Figures:
        source, target = empty_folder(settings, "source"), empty_folder(settings)
        shutil.copytree(original, source, dirs_exist_ok=True)
        first(source, target)
        _insert_in_front(source / "big.bin")
        return then(source, target)

    def rsync(source: Path, target: Path) -> Figures:
        return rivals.rsync(source, target, settings.data)

    programs = {
        OURS: lambda: update(_leave_state, share_again_and_get),
        "rsync": lambda: update(rsync, rsync),
    }
    runs = take_turns(programs, settings.runs)
    for name in ("source", "target"):
        empty_folder(settings, name)
    goals = (Goal("fetched_bytes", FETCHED_BYTES),)
    return Report("update", "five bytes inserted in front of a file that is there", runs, goals, count_files(original))


def _leave_state(source: Path, target: Path) -> None:
    """Get for the first time, and let both sides keep what they learned."""
    forget_state(source)
    share_again_and_get(source, target)


def _insert_in_front(path: Path) -> None:
    changed = path.with_name("changed")
    with path.open("rb") as old, changed.open("wb") as new:
        new.write(b"five!")
        shutil.copyfileobj(old, new, 1 << 24)
    os.replace(changed, path)
