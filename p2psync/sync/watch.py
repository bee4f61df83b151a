"""Watch: learn that something in a folder has changed; what, the scan finds out."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from p2psync.store.folder_state import STATE_NAME

RESCAN_INTERVAL_S = 60
"""Longest time between scans: notices can be lost, and some file systems send none."""
POLL_INTERVAL_S = 5
"""Time between scans where the system sends no notices at all."""
LIVE_WITHIN_MS = 300
"""How often the watching library comes back to us with nothing to tell; the first time says that it is watching."""
QUIET_S = 0.1
"""Changes come in bursts: one scan for what happens within this time."""


class Watcher:
    """Tells when a folder is worth another scan.

    Args:
        root: The folder.
        directories: Gives the paths of all directories in it. Each is watched by itself: a recursive watch would
            follow the folder's symlinks out of it.
        report: Told, in one sentence, when changes cannot be watched for.
    """

    def __init__(self, root: Path, directories: Callable[[], Sequence[bytes]], report: Callable[[str], None]) -> None:
        self._root = root
        self._directories = directories
        self._report = report
        self._interval_s: float = RESCAN_INTERVAL_S
        self._changed = trio.Event()
        self._watching = trio.CancelScope()
        self._watched: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Take notices until cancelled; begins with the first `watch_anew`."""
        while True:
            with trio.CancelScope() as self._watching:
                if not self._watched:
                    await trio.sleep_forever()
                if not await self._watch(self._watched):
                    await trio.sleep_forever()
                await trio.sleep(QUIET_S)

    async def watch_anew(self) -> None:
        """Watch the directories that there are now."""
        found = await trio.to_thread.run_sync(self._directories)
        paths = frozenset([str(self._root), *(text for path in found if (text := self._text(path)) is not None)])
        if paths != self._watched:
            self._watched = paths
            self._watching.cancel()

    async def _watch(self, paths: frozenset[str]) -> bool:
        """Take notices of some directories; return False when that turns out not to work."""
        from watchfiles import awatch  # noqa: PLC0415 - only a folder that is watched pays for it
        from watchfiles._rust_notify import WatchfilesRustInternalError  # noqa: PLC0415

        own = str(self._root / STATE_NAME)
        works = True
        try:
            is_live = False
            async for changes in awatch(
                *paths,
                watch_filter=lambda _change, path: path != own and not path.startswith(f"{own}/"),
                debounce=int(QUIET_S * 1000),
                step=int(QUIET_S * 500),
                rust_timeout=LIVE_WITHIN_MS,
                yield_on_timeout=True,
                recursive=False,
                ignore_permission_denied=True,
            ):
                if changes or not is_live:  # once it is live, look for what changed before it was
                    self.poke()
                is_live = True
        except* (FileNotFoundError, WatchfilesRustInternalError):
            # A directory went away since the scan, or a change under a name that is not text: a change all the same.
            self.poke()
        except* OSError as group:  # too many watches, or a file system without notices
            self._interval_s = POLL_INTERVAL_S
            reason = group.exceptions[0]
            self._report(f"changes cannot be watched for ({reason}): looking every {POLL_INTERVAL_S} s instead")
            works = False
        return works

    def _text(self, path: bytes) -> str | None:
        """Return a path as the watching library takes it; it cannot take what is not UTF-8."""
        try:
            return f"{self._root}/{path.decode()}"
        except UnicodeDecodeError:
            return None

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
