"""p2psync under measurement, driven by its command-line contract alone."""

import sys
from pathlib import Path

from benchmarks.data import forget_state
from benchmarks.report import Figures, with_totals
from benchmarks.watched import Watched

PROGRAM = (sys.executable, Path(sys.executable).with_name("p2psync"))
ON_LOOPBACK = ("--json", "--listen", "127.0.0.1:0", "--no-lan")


def start_share(source: Path) -> Watched:
    return Watched(*PROGRAM, "share", source, *ON_LOOPBACK)


def start_get(link: str, target: Path) -> Watched:
    return Watched(*PROGRAM, "get", link, target, *ON_LOOPBACK)


def start_sync(link: str, target: Path) -> Watched:
    return Watched(*PROGRAM, "sync", link, target, *ON_LOOPBACK)


def index_bytes(folder: Path) -> int:
    """Return what the index of a folder takes on disk."""
    return sum(path.stat().st_size for path in (folder / ".p2psync").glob("index.sqlite*"))


def share_and_get(source: Path, target: Path) -> Figures:
    """Share a folder that was never shared and get it; `transfer_s` is the getter's whole life, start-up included."""
    forget_state(source)
    figures = share_again_and_get(source, target)
    forget_state(source)
    return figures


def share_again_and_get(source: Path, target: Path) -> Figures:
    """The same with whatever state there is on either side."""
    with start_share(source) as sharer:
        scan_s, ready = sharer.wait_event("ready")
        with start_get(ready["link"], target) as getter:
            transfer_s = getter.wait()
            _, matched = getter.wait_event("matched")
            receiver = getter.figures("receiver")
        sender = sharer.figures("sender")
    return with_totals(
        {
            "scan_s": scan_s,
            "transfer_s": transfer_s,
            "inner_transfer_s": matched["seconds"],
            "fetched_bytes": matched["fetched_bytes"],
            **sender,
            **receiver,
        }
    )


def time_until_ready(source: Path) -> float:
    """Return the seconds from the start of `share` to its `ready`."""
    with start_share(source) as sharer:
        return sharer.wait_event("ready")[0]
