"""Watch: learn that something in a folder has changed; what, the scan finds out."""

import time
from collections.abc import Callable
from pathlib import Path

import trio

from p2psync.sync.paths import STATE_DIRECTORY

RESCAN_INTERVAL_S = 60
"""Longest time between scans: notices can be lost, and some file systems send none."""
POLL_INTERVAL_S = 5
"""Time between scans where the system sends no notices at all."""
QUIET_S = 0.1
"""Changes come in bursts: one scan for what happens within this time."""


class Watcher:
    """Tells when a folder is worth another scan.

    Args:
        root: The folder.
        report: Told, in one sentence, when changes cannot be watched for.
    """

    def __init__(self, root: Path, report: Callable[[str], None]) -> None:
        self._root = root
        self._report = report
        self._interval_s: float = RESCAN_INTERVAL_S
        self._changed = trio.Event()

    async def run(self) -> None:
        """Take notices until cancelled."""
        from watchfiles import awatch  # noqa: PLC0415 - only a folder that is watched pays for it

        own = f"/{STATE_DIRECTORY.decode()}"
        inside = str(self._root) + own
        try:
            async for _ in awatch(
                self._root,
                watch_filter=lambda _change, path: not path.startswith(inside),
                debounce=int(QUIET_S * 1000),
                step=int(QUIET_S * 500),
                rust_timeout=500,
                yield_on_timeout=False,
                ignore_permission_denied=True,
            ):
                self.poke()
        except (OSError, RuntimeError, ValueError) as error:
            # Too many watches, a file system without notices, a name that is not text.
            self._interval_s = POLL_INTERVAL_S
            self._report(f"changes cannot be watched for ({error}): looking every {POLL_INTERVAL_S} s instead")

    def poke(self) -> None:
        """Ask for a scan."""
        self._changed.set()

    async def wait_change(self, *, at_most_s: float | None = None) -> None:
        """Return when a scan is due: something changed, or it is time for a look."""
        with trio.move_on_after(min(self._interval_s, at_most_s or self._interval_s)):
            await self._changed.wait()
            await trio.sleep(QUIET_S)
        self._changed = trio.Event()


def clock_ns() -> int:
    """Return the time of day in nanoseconds since 1970, by the clock that stamps files."""
    return time.time_ns()
