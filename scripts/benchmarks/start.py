"""How long until the program answers: its version, a small folder shared, a small folder got."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.data import empty_folder, forget_state, small_folder
from benchmarks.p2psync_run import PROGRAM, share_and_get, time_until_ready
from benchmarks.report import OURS, Figures, Goal, Report, Settings, take_turns

LAUNCHER = Path(__file__).parents[1] / "p2psync"
TIMES = 5


def run(settings: Settings) -> Report:
    source = small_folder(settings)

    def measure() -> Figures:
        got = share_and_get(source, empty_folder(settings))
        time_until_ready(source)
        again_s = time_until_ready(source)
        forget_state(source)
        return {
            "python_s": _least_s(sys.executable, "-c", "pass"),
            "version_s": _least_s(*PROGRAM, "--version"),
            "launcher_version_s": _least_s(LAUNCHER, "--version"),
            "first_ready_s": got["scan_s"],
            "ready_again_s": again_s,
            "get_s": got["transfer_s"],
        }

    goals = (Goal("version_s", 0.25), Goal("ready_again_s", 0.6))
    runs = take_turns({OURS: measure}, settings.runs)
    return Report("start", "from the start of the program to its answer", runs, goals)


def _least_s(*command: str | Path) -> float:
    """Return the seconds of the quickest of a few runs: the rest is noise of the machine."""
    seconds = []
    for _ in range(TIMES):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return min(seconds)
