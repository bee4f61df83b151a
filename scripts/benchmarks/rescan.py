"""The 55,489 files shared again, unchanged: from the start of `share` to `ready`, less the same for ten files."""

from benchmarks.data import count_files, forget_state, small_folder, tree_folder
from benchmarks.p2psync_run import time_until_ready
from benchmarks.report import OURS, Figures, Goal, Report, Settings, take_turns


def run(settings: Settings) -> Report:
    tree, small = tree_folder(settings), small_folder(settings)
    first_s = time_until_ready(tree)
    time_until_ready(small)

    def rescan() -> Figures:
        ready_s, start_up_s = time_until_ready(tree), time_until_ready(small)
        return {"ready_s": ready_s, "start_up_s": start_up_s, "rescan_s": ready_s - start_up_s}

    runs = take_turns({OURS: rescan}, settings.runs)
    facts = {"first_ready_s": first_s, **count_files(tree)}
    for folder in (tree, small):
        forget_state(folder)
    return Report("rescan", "an unchanged folder shared again", runs, (Goal("rescan_s", 1.0),), facts)
