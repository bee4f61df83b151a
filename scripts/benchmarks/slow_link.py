"""Text, and as many random bytes, over a line of 100 Mbit/s, beside an rsync daemon that compresses nothing.

Needs root and iproute2. `matched_s` counts from the getter's start to its match, without what Python takes to begin.
"""

import random
import shutil
from pathlib import Path

from benchmarks.data import count_files, empty_folder, forget_state, text_folder
from benchmarks.lab import LabHost, room
from benchmarks.p2psync_run import PROGRAM
from benchmarks.report import OURS, Figures, Goal, Report, Settings, take_turns
from benchmarks.rivals import serve_rsync
from benchmarks.watched import Watched

MBIT_PER_S = 100.0


def run(settings: Settings) -> Report:
    text = text_folder(settings)
    noise = _random_folder(settings, int(count_files(text)["source_bytes"]))

    def ours() -> Figures:
        return {"text_s": _share_and_get(text, settings), "random_s": _share_and_get(noise, settings)}

    def rsync() -> Figures:
        return {"text_s": _rsync(text, settings), "random_s": _rsync(noise, settings)}

    runs = take_turns({OURS: ours, "rsync": rsync}, settings.runs)
    for folder in (noise, empty_folder(settings)):
        shutil.rmtree(folder)
    goals = (Goal("text_s", 1 / 1.8, "rsync"), Goal("random_s", 1.03, "rsync"))
    facts = {**count_files(text), "mbit_per_s": MBIT_PER_S}
    return Report("slow_link", "text and random bytes over a slow line", runs, goals, facts)


def _share_and_get(source: Path, settings: Settings) -> float:
    forget_state(source)
    target = empty_folder(settings)
    with room([MBIT_PER_S] * 2) as (one, other), _p2psync(one, "share", source) as sharer:
        _, ready = sharer.wait_event("ready")
        with _p2psync(other, "get", ready["link"], target) as getter:
            getter.wait()
            _, matched = getter.wait_event("matched")
    forget_state(source)
    return float(matched["seconds"])


def _p2psync(host: LabHost, *command: str | Path) -> Watched:
    return Watched(*host.prefix, *PROGRAM, *command, "--json", "--no-lan", "--listen", f"{host.address}:0")


def _rsync(source: Path, settings: Settings) -> float:
    target = empty_folder(settings)
    with (
        room([MBIT_PER_S] * 2) as (one, other),
        serve_rsync(source, settings.data, one.address, one.prefix) as (url, _),
        Watched(*other.prefix, "rsync", "--archive", url, f"{target}/") as client,
    ):
        return client.wait()


def _random_folder(settings: Settings, size_bytes: int) -> Path:
    folder = empty_folder(settings, "random")
    (folder / "random.bin").write_bytes(random.Random(1).randbytes(size_bytes))
    return folder
