"""Peak memory of either side on the one big file and on the many small ones."""

from benchmarks.big import MEMORY_BYTES
from benchmarks.data import big_folder, empty_folder, tree_folder
from benchmarks.p2psync_run import share_and_get
from benchmarks.report import OURS, Figures, Goal, Report, Settings, take_turns


def run(settings: Settings) -> Report:
    sources = {"big": big_folder(settings), "tree": tree_folder(settings)}

    def measure() -> Figures:
        figures = {}
        for name, source in sources.items():
            found = share_and_get(source, empty_folder(settings))
            figures |= {f"{name}_{side}": found[side] for side in ("sender_peak_bytes", "receiver_peak_bytes")}
        return figures

    runs = take_turns({OURS: measure}, settings.runs)
    empty_folder(settings)
    goals = tuple(Goal(figure, MEMORY_BYTES) for figure in runs[OURS][0])
    return Report("memory", "peak resident memory of either side (VmHWM)", runs, goals)
