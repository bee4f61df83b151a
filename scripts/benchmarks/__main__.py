"""`./scripts/bench NAME...`: run the benchmarks of those names, one after the other."""

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path

import benchmarks
from benchmarks.report import Settings, save_report, show_report

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    names = benchmark_names()
    parser = argparse.ArgumentParser(prog="scripts/bench", description=f"Benchmarks: {', '.join(sorted(names))}.")
    parser.add_argument("names", nargs="+", choices=sorted(names), metavar="NAME")
    parser.add_argument("--runs", type=int, default=3, help="runs of each program, taking turns (3)")
    parser.add_argument("--data", type=Path, default=Path("/dev/shm/p2psync-bench"), help="scratch folder, kept")
    parser.add_argument("--scale", type=float, default=1.0, help="a fraction of the full size, to try things out (1.0)")
    parser.add_argument("--mbit", type=float, default=0.0, help="swarm: rate of each host's line, Mbit/s (100)")
    parser.add_argument(
        "--case", default="", help="swarm: which case (eight); scripts/benchmarks/swarm.py has them all"
    )
    chosen = parser.parse_args()
    settings = Settings(chosen.data, chosen.runs, chosen.scale, chosen.mbit, chosen.case)
    settings.data.mkdir(parents=True, exist_ok=True)
    reports = []
    for name in chosen.names:
        report = importlib.import_module(f"benchmarks.{name}").run(settings)
        show_report(report)
        print("kept in", save_report(report, settings, ROOT), file=sys.stderr)
        reports.append(report)
    return 0 if all(report.is_within_goals for report in reports) else 1


def benchmark_names() -> list[str]:
    """Find the modules that say `def run(`; importing them all would need every rival's library."""
    folder = Path(benchmarks.__path__[0])
    return [
        module.name
        for module in pkgutil.iter_modules([str(folder)])
        if "\ndef run(settings: Settings)" in (folder / f"{module.name}.py").read_text()
    ]


if __name__ == "__main__":
    sys.exit(main())
