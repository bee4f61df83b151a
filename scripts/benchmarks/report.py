"""What a benchmark found: figures of every run, shown as a table of medians and kept as JSON."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

OURS = "p2psync"
WIDTH = 240
"""Of a table that goes to a file: four rivals fit beside us."""
Figures = Mapping[str, float]
"""One run: figure → value; the end of its name is its unit (_s, _bytes)."""


def with_totals(figures: Figures) -> Figures:
    """Add what both phases and both sides come to."""
    return {
        **figures,
        "total_s": figures["scan_s"] + figures["transfer_s"],
        "cpu_s": figures["sender_cpu_s"] + figures["receiver_cpu_s"],
    }


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure.

    Attributes:
        data: Scratch folder.
        runs: Runs of each program.
        scale: A fraction of the full size.
        mbit_per_s: Rate of each host's line where hosts have lines; 0: the benchmark's own.
        case: Which of its cases a benchmark runs; empty: its main one.
    """

    data: Path
    runs: int
    scale: float
    mbit_per_s: float = 0.0
    case: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """`figure` of ours must be at most `limit`, times the rival's median where there is a rival.

    Attributes:
        is_floor: It must be at least that.
        is_wish: Told, but no failure if it is missed.
    """

    figure: str
    limit: float
    rival: str = ""
    is_floor: bool = False
    is_wish: bool = False

    def is_met_by(self, reached: float) -> bool:
        return reached >= self.limit if self.is_floor else reached <= self.limit


@dataclass(frozen=True, slots=True)
class Report:
    """All runs of one benchmark: program → its runs in the order they were made."""

    name: str
    what: str
    runs: Mapping[str, list[Figures]]
    goals: tuple[Goal, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)

    def median_of(self, program: str, figure: str) -> float:
        return median(run[figure] for run in self.runs[program])

    def reached(self, goal: Goal) -> float:
        """Return what counts against the goal's limit: the figure, or its ratio to the rival's."""
        base = self.median_of(goal.rival, goal.figure) if goal.rival else 1.0
        return self.median_of(OURS, goal.figure) / base

    @property
    def is_within_goals(self) -> bool:
        return all(goal.is_wish or goal.is_met_by(self.reached(goal)) for goal in self.goals)


def take_turns(programs: Mapping[str, Callable[[], Figures]], runs: int) -> dict[str, list[Figures]]:
    """Run every program `runs` times, one after the other, so that what disturbs the machine disturbs all alike."""
    found: dict[str, list[Figures]] = {name: [] for name in programs}
    for number in range(runs):
        for name, run in programs.items():
            figures = run()
            found[name].append(figures)
            told = ", ".join(f"{figure} {_shown(figure, value)}" for figure, value in figures.items())
            print(f"run {number + 1} of {runs}, {name}: {told}", file=sys.stderr)
    return found


def show_report(report: Report) -> None:
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    table = Table(title=f"{report.name}: {report.what}", title_justify="left")
    table.add_column("median (least–most)")
    for program in report.runs:
        table.add_column(program, justify="right")
        if program != OURS:
            table.add_column("ours / its", justify="right")
    figures = dict.fromkeys(figure for runs in report.runs.values() for run in runs for figure in run)
    for figure in figures:
        table.add_row(figure, *_cells(report, figure))
    console.print(table)
    for goal in report.goals:
        reached = report.reached(goal)
        against = f"{goal.limit:g} × {goal.rival}" if goal.rival else _shown(goal.figure, goal.limit)
        shown = f"{reached:.2f}" if goal.rival else _shown(goal.figure, reached)
        verdict = "within" if goal.is_met_by(reached) else "missed" if goal.is_wish else "MISSED"
        kind = f"{'wish' if goal.is_wish else 'goal'} {'at least' if goal.is_floor else 'at most'}"
        console.print(f"{verdict}: {goal.figure} {shown}, {kind} {against}")


def save_report(report: Report, settings: Settings, root: Path) -> Path:
    """Write everything to bench-results/NAME-DATE.json, and return its path."""
    now = datetime.now(UTC)
    record = {
        "name": report.name,
        "what": report.what,
        "date": now.isoformat(timespec="seconds"),
        "runs": report.runs,
        "medians": {
            name: {figure: median(run[figure] for run in runs if figure in run) for figure in runs[0]}
            for name, runs in report.runs.items()
        },
        "goals": [
            {**asdict(goal), "reached": report.reached(goal), "is_met": goal.is_met_by(report.reached(goal))}
            for goal in report.goals
        ],
        "facts": {**report.facts, "scale": settings.scale, "data": str(settings.data)},
        "machine": _machine(),
        "versions": _versions(),
        "commit": _git(root, "rev-parse", "HEAD"),
        "has_local_changes": bool(_git(root, "status", "--porcelain")),
    }
    path = root / "bench-results" / f"{report.name}-{now:%Y%m%d-%H%M%S}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path


def _cells(report: Report, figure: str) -> list[str]:
    cells = []
    for program, runs in report.runs.items():
        values = sorted(run[figure] for run in runs if figure in run)
        if values:
            spread = f"({_shown(figure, values[0])}–{_shown(figure, values[-1])})" if len(values) > 1 else ""
            cells.append(f"{_shown(figure, median(values))} {spread}".strip())
        else:
            cells.append("")
        if program != OURS:
            both = values and figure in report.runs[OURS][0] and median(values)
            cells.append(f"{report.median_of(OURS, figure) / median(values):.2f}" if both else "")
    return cells


def _shown(figure: str, value: float) -> str:
    if figure.endswith("_bytes"):
        return f"{value / 1e6:,.1f} MB"
    if figure.endswith("_per_s"):
        return f"{value:,.0f}/s"
    if figure.endswith("_s"):
        digits = "" if value >= 1 else ".0f" if value >= 0.1 else ".2g"
        return f"{value * 1000:{digits}} ms" if digits else f"{value:.2f} s"
    return f"{value:g}"


def _machine() -> dict[str, object]:
    processor = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    memory = next(line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_bytes": int(memory) * 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _versions() -> dict[str, str]:
    return {distribution.name: distribution.version for distribution in metadata.distributions()}


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=False).stdout.strip()
