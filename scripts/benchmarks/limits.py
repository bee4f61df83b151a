"""How exactly `--limit-up` and `--limit-down` are met over real TLS connections, at 10 and at 500 MB/s.

A rate is what was fetched between the getter's first and last news of a transfer under way, so that neither starting up
nor placing the file counts. Frames and TLS count towards a limit, a percent of the payload at most.
"""

from pathlib import Path
from typing import Any

from benchmarks.data import big_folder, count_files, empty_folder, forget_state
from benchmarks.p2psync_run import ON_LOOPBACK, PROGRAM
from benchmarks.report import OURS, Figures, Goal, Report, Settings, take_turns
from benchmarks.watched import Watched

SLOW, FAST = 10e6, 500e6
SLOW_BYTES = 120 << 20
TOLERANCE = 0.02


def run(settings: Settings) -> Report:
    big = big_folder(settings)
    small = empty_folder(settings, "source")
    with (big / "big.bin").open("rb") as file:
        (small / "small.bin").write_bytes(file.read(int(SLOW_BYTES * settings.scale)))

    def measure() -> Figures:
        return {
            f"{name}_{side}_bytes_per_s": _rate(source, empty_folder(settings), f"--limit-{side}", rate)
            for name, source, rate in (("slow", small, SLOW), ("fast", big, FAST))
            for side in ("up", "down")
        }

    runs = take_turns({OURS: measure}, settings.runs)
    for name in ("source", "target"):
        empty_folder(settings, name)
    goals = [
        Goal(f"{name}_{side}_bytes_per_s", rate * factor, is_floor=factor < 1)
        for name, rate in (("slow", SLOW), ("fast", FAST))
        for side in ("up", "down")
        for factor in (1 - TOLERANCE, 1 + TOLERANCE)
    ]
    return Report("limits", "rates under a limit", runs, tuple(goals), count_files(big))


def _rate(source: Path, target: Path, option: str, rate: float) -> float:
    forget_state(source)
    limit = (option, f"{rate / 1e6:g}M")
    sender, receiver = (limit, ()) if option == "--limit-up" else ((), limit)
    with Watched(*PROGRAM, "share", source, *ON_LOOPBACK, *sender) as sharer:
        _, ready = sharer.wait_event("ready")
        with Watched(*PROGRAM, "get", ready["link"], target, *ON_LOOPBACK, *receiver) as getter:
            getter.wait()
    forget_state(source)
    news = [getter.wait_event("progress", _is_under_way, number=number) for number in _numbers(getter)]
    (began, first), (ended, last) = news[0], news[-1]
    return float(last["fetched_bytes"] - first["fetched_bytes"]) / (ended - began)


def _is_under_way(progress: dict[str, Any]) -> bool:
    return 0 < progress["fetched_bytes"] < 0.98 * progress["total_bytes"]


def _numbers(getter: Watched) -> range:
    return range(getter.count("progress", _is_under_way))
