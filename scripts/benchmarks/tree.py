"""55,489 real files to an empty receiver, beside Syncthing and an rsync daemon."""

from benchmarks import rivals
from benchmarks.big import MEMORY_BYTES
from benchmarks.data import count_files, empty_folder, tree_folder
from benchmarks.p2psync_run import share_and_get
from benchmarks.report import OURS, Goal, Report, Settings, take_turns


def run(settings: Settings) -> Report:
    source = tree_folder(settings)
    programs = {
        OURS: lambda: share_and_get(source, empty_folder(settings)),
        "syncthing": lambda: rivals.syncthing(source, empty_folder(settings), settings.data),
        "rsync": lambda: rivals.rsync(source, empty_folder(settings), settings.data),
    }
    runs = take_turns(programs, settings.runs)
    empty_folder(settings)
    goals = (
        Goal("total_s", 0.1, "syncthing"),
        Goal("total_s", 2.0, "rsync", is_wish=True),
        Goal("sender_peak_bytes", MEMORY_BYTES),
        Goal("receiver_peak_bytes", MEMORY_BYTES),
    )
    return Report("tree", "many real files to an empty receiver over loopback", runs, goals, count_files(source))
