"""Time against the number of getters, as a picture."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks.report import Figures


def draw(runs: Mapping[str, list[Figures]], counts: tuple[int, ...], bound_s: float, path: Path) -> None:
    """Write an SVG: a line for each program, and one for the time that a copy takes on one line.

    Args:
        runs: Figures named `1_s`, `2_s`… by program.
        counts: Numbers of getters.
        bound_s: The size by the rate.
        path: Where to.
    """
    import matplotlib  # noqa: PLC0415 - a large library, for this alone

    matplotlib.use("svg")
    from matplotlib import pyplot  # noqa: PLC0415

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for program, figures in runs.items():
        times = [median(run[f"{count}_s"] for run in figures) for count in counts]
        axes.plot(counts, times, marker="o", label=program)
    axes.axhline(bound_s, linestyle="--", color="gray", label="one copy over one line")
    axes.set(xlabel="getters", ylabel="seconds until the last has everything", xticks=counts, ylim=(0, None))
    axes.legend()
    axes.grid(visible=True, alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight")
