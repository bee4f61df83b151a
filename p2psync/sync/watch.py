"""Watch: learn that something in a folder has changed; what, the scan finds out."""

import math
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from pathlib import Path

import trio

from p2psync.sync.inotify import inotify_notices, is_available
from p2psync.sync.library_notices import library_notices
from p2psync.sync.notices import QUIET_S, NoticeSource

RESCAN_INTERVAL_S = 60
"""Time between scans of everything, unless `SCAN_SHARE` makes it longer: notices can be lost, and
some file systems send none."""
POLL_INTERVAL_S = 5
"""Time between scans where the system sends no notices at all."""
MOST_DIRECTORIES = 1_000
"""Changed directories that are looked into one by one; where there are more the whole folder is scanned."""
OVERLAP_S = 5 * QUIET_S
"""What a source is told of it passes on within `QUIET_S`: it may do so for this long once another is live."""
SCAN_SHARE = 20
"""A whole scan may take one part in this many of the time: a folder of a million files is not always being scanned."""


class Watcher:
    """Tells when a folder is worth another scan, and where.

    Args:
        root: The folder.
        directories: Gives the paths of all directories in it. Each is watched by itself: a recursive watch would
            follow the folder's symlinks out of it.
        report: Told, in one sentence, when changes cannot be watched for.
        source: Where notices come from.
    """

    def __init__(
        self,
        root: Path,
        directories: Callable[[], Sequence[bytes]],
        report: Callable[[str], None],
        source: NoticeSource | None = None,
    ) -> None:
        self._root = root.absolute()
        self._source = source or (inotify_notices if is_available() else library_notices)
        self._directories = directories
        self._report = report
        self._interval_s: float = RESCAN_INTERVAL_S
        self._least_interval_s = 0.0
        self._last_whole_scan = math.inf
        self._changed = trio.Event()
        self._dirty: set[bytes] | None = set()
        self._watched: frozenset[bytes] = frozenset()
        self._unwatched: set[bytes] | None = None
        self._anew = trio.Event()

    async def run(self) -> None:
        """Take notices until cancelled; begins with the first `watch_anew`."""
        before = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            while True:
                await self._anew.wait()
                self._anew = trio.Event()
                scope = trio.CancelScope()
                # Those before go on until these are live, and have been told of all that came until then.
                await nursery.start(self._keep_watching, scope)
                await trio.sleep(OVERLAP_S)
                before.cancel()
                before = scope

    async def watch_anew(self) -> None:
        """Watch the directories that there are now."""
        found = frozenset([b"", *await trio.to_thread.run_sync(self._directories)])
        if found != self._watched:
            if self._unwatched is not None:
                self._unwatched |= found - self._watched
            self._watched = found
            self._anew.set()

    async def _keep_watching(self, scope: trio.CancelScope, task_status: trio.TaskStatus[None]) -> None:
        directories, told = self._watched, False

        def live() -> None:
            nonlocal told
            if not told:
                task_status.started()
            told = True

        with scope:
            while await self._watch(directories, live):
                live()
                await trio.sleep(QUIET_S)
            live()
            await trio.sleep_forever()

    async def _watch(self, directories: frozenset[bytes], live: Callable[[], None]) -> bool:
        """Take notices of some directories; return False when that turns out not to work."""
        unwatched, self._unwatched = self._unwatched, set()
        is_live, works = False, True
        try:
            async with aclosing(self._source(self._root, directories)) as source:
                async for notices in source:
                    if not is_live:  # now it is; look for what changed before
                        is_live = True
                        live()
                        self.poke(unwatched)
                    self._forget(notices.gone)
                    if notices.dirty != set():
                        self.poke(notices.dirty)
        except* FileNotFoundError:  # a directory went away since the scan: a change all the same
            self.poke()
            self._unwatched = None  # until the next watch is live nothing tells of changes
        except* OSError as group:  # too many watches, or a file system without notices
            self._interval_s = POLL_INTERVAL_S
            reason = getattr(group.exceptions[0], "strerror", None) or group.exceptions[0]
            self._report(f"changes cannot be watched for ({reason}): looking every {POLL_INTERVAL_S} s instead")
            works = False
        return works

    def _forget(self, gone: frozenset[bytes]) -> None:
        """Directories that have gone are watched no more, even if others of the same names are there by now."""
        if gone & self._watched:
            below = tuple(path + b"/" for path in gone)
            self._watched = frozenset(path for path in self._watched if path not in gone and not path.startswith(below))

    def poke(self, directories: Collection[bytes] | None = None) -> None:
        """Ask for a scan of some directories, or of everything."""
        if directories is None or self._dirty is None or len(self._dirty) + len(directories) > MOST_DIRECTORIES:
            self._dirty = None
        else:
            self._dirty.update(directories)
        self._changed.set()

    def scanned(self, seconds: float) -> None:
        """Learn that everything has just been scanned, and how long that took."""
        self._last_whole_scan = trio.current_time()
        self._least_interval_s = seconds * SCAN_SHARE

    async def wait_change(self, *, at_most_s: float | None = None) -> set[bytes] | None:
        """Return when a scan is due: something changed, or it is time for a look.

        Returns:
            The directories to look into, or None for everything.
        """
        whole_at = self._last_whole_scan + max(self._interval_s, self._least_interval_s)
        with trio.move_on_at(min(whole_at, trio.current_time() + (at_most_s or math.inf))):
            await self._changed.wait()
            await trio.sleep(QUIET_S)
        self._changed = trio.Event()
        dirty, self._dirty = self._dirty, set()
        return None if trio.current_time() >= whole_at else dirty


def clock_ns() -> int:
    """Return the time of day in nanoseconds since 1970, by the clock that stamps files."""
    return time.time_ns()
