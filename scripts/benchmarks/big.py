"""One file of 2 GiB to an empty receiver, beside libtorrent."""

from benchmarks import rivals
from benchmarks.data import big_folder, count_files, empty_folder
from benchmarks.p2psync_run import share_and_get
from benchmarks.report import OURS, Goal, Report, Settings, take_turns

MEMORY_BYTES = 250e6


def run(settings: Settings) -> Report:
    source = big_folder(settings)
    programs = {
        OURS: lambda: share_and_get(source, empty_folder(settings)),
        "libtorrent": lambda: rivals.libtorrent(source, empty_folder(settings), settings.data),
    }
    runs = take_turns(programs, settings.runs)
    empty_folder(settings)
    goals = (
        Goal("transfer_s", 0.75, "libtorrent"),
        Goal("total_s", 0.75, "libtorrent"),
        Goal("sender_peak_bytes", MEMORY_BYTES),
        Goal("receiver_peak_bytes", MEMORY_BYTES),
    )
    return Report("big", "one random file to an empty receiver over loopback", runs, goals, count_files(source))
