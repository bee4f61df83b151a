"""One file of 2 GiB to an empty receiver, beside libtorrent, Syncthing, an rsync daemon, and bare TLS."""

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
        "syncthing": lambda: rivals.syncthing(source, empty_folder(settings), settings.data),
        "rsync": lambda: rivals.rsync(source, empty_folder(settings), settings.data),
        "raw TLS": lambda: rivals.raw_tls(source),
    }
    runs = take_turns(programs, settings.runs)
    empty_folder(settings)
    goals = (
        Goal("transfer_s", 0.5, "libtorrent"),
        Goal("transfer_s", 0.5, "syncthing"),
        Goal("cpu_s", 0.6, "libtorrent"),
        Goal("transfer_s", 1.0, "rsync", is_wish=True),
        Goal("inner_transfer_s", 1 / 0.75, "raw TLS", is_wish=True),
        Goal("sender_peak_bytes", MEMORY_BYTES),
        Goal("receiver_peak_bytes", MEMORY_BYTES),
    )
    return Report("big", "one random file to an empty receiver over loopback", runs, goals, count_files(source))
