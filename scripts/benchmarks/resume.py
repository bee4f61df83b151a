"""A getter of 2 GiB that is killed half-way and started again: what is fetched twice, and what resuming costs."""

import os
import signal
import time
from pathlib import Path

from benchmarks.data import big_folder, count_files, empty_folder, forget_state
from benchmarks.p2psync_run import start_get, start_share
from benchmarks.report import OURS, Figures, Goal, Report, Settings, take_turns
from benchmarks.watched import Watched

FETCHED_TWICE_BYTES = 150e6
"""Blocks that were half written, and those on their way: far less than what comes in a second."""
RESUME_S = 2.0


def run(settings: Settings) -> Report:
    source = big_folder(settings)
    facts = count_files(source)

    def measure() -> Figures:
        target = empty_folder(settings)
        forget_state(source)
        with start_share(source) as sharer:
            link = sharer.wait_event("ready")[1]["link"]
            held_bytes = _kill_half_way(link, target, facts["source_bytes"])
            with start_get(link, target) as getter:
                resumed_s = _first_fetch(getter)
                getter.wait()
                _, matched = getter.wait_event("matched")
                figures = getter.figures("receiver")
        return {
            "held_bytes": held_bytes,
            "resumed_s": resumed_s,
            "total_s": matched["seconds"],
            "fetched_bytes": matched["fetched_bytes"],
            "fetched_twice_bytes": matched["fetched_bytes"] + held_bytes - facts["source_bytes"],
            **figures,
        }

    runs = take_turns({OURS: measure}, settings.runs)
    empty_folder(settings)
    forget_state(source)
    goals = (Goal("fetched_twice_bytes", FETCHED_TWICE_BYTES), Goal("resumed_s", RESUME_S))
    return Report("resume", "a killed getter started again", runs, goals, facts)


def _kill_half_way(link: str, target: Path, size_bytes: float) -> int:
    """Return what was on the disk of the file when its getter was killed."""
    with start_get(link, target) as getter:
        staging = target / ".p2psync" / "staging"
        while sum(path.stat().st_blocks * 512 for path in staging.glob("*")) < size_bytes / 2:
            time.sleep(0.005)
        os.kill(getter.process.pid, signal.SIGKILL)
        getter.process.wait()
    return sum(path.stat().st_blocks * 512 for path in staging.glob("*"))


def _first_fetch(getter: Watched) -> float:
    """Return the seconds from the start of a getter to its first news of bytes fetched."""
    number = 0
    while True:
        at, progress = getter.wait_event("progress", number=number)
        if progress["fetched_bytes"]:
            return at
        number += 1
