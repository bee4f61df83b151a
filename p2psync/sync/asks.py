"""What is asked for to come first while a folder is being fetched: how much of each is there, and where to read it."""

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path

import trio

from p2psync.errors import ConfigError, PathError
from p2psync.manifest.entry import Entry, Kind
from p2psync.store.folder_state import FolderState
from p2psync.sync.asked import AskedPath, overlaps, readable_end
from p2psync.sync.page_groups import PageGroups
from p2psync.sync.plan import Planner
from p2psync.words import counted, shown_path

MOST_ASKS = 64
"""Each costs a look at its files five times a second."""
_GROUPS_A_LOOK = 16
"""Pages that one look goes through: a directory that is here already is found to be so in some looks."""


class Ask:
    """One path that somebody asked for.

    Attributes:
        what: What it is.
        urgency: The higher, the later it was asked for, and the sooner it comes.
        kind: What stands there, None while the manifest is not known.
        size_bytes: A file's size.
        end: Up to where a file can be read without a gap from the place that was asked for.
        read_at: Where what is there of it can be read.
        is_there: All that was asked for can be read.
        problem: Why it never will.
        is_awaited: Somebody waits for it, or is about to.
        over: Set when it is there, or never will be.
    """

    def __init__(self, what: AskedPath, urgency: int, *, is_awaited: bool) -> None:
        self.what = what
        self.urgency = urgency
        self.kind: Kind | None = None
        self.size_bytes = 0
        self.end = what.offset
        self.read_at: Path | None = None
        self.is_there = False
        self.problem: PathError | ConfigError | None = None
        self.is_awaited = is_awaited
        self.over = trio.Event()
        self._looked_to = b""

    async def wait(self) -> None:
        """Wait until it is there.

        Raises:
            PathError: It cannot be made here.
            ConfigError: The folder has no such path (any more).
        """
        try:
            await self.over.wait()
        finally:
            self.is_awaited = False
        if self.problem is not None:
            raise self.problem

    def resolve(self, entry: Entry | None, *, more_to_come: bool) -> None:
        """Take note of what the manifest says of the path."""
        self._looked_to = b""
        if entry is None or entry.kind is Kind.TOMBSTONE:
            self.kind = None
            if not more_to_come:
                self.problem = ConfigError(
                    f"the folder has no {shown_path(self.what.path)}: see how it is written there"
                )
            return
        self.size_bytes = entry.size_bytes
        if entry.kind is not Kind.FILE and self.what.is_part:
            kind = entry.kind.name.lower()
            self.problem = ConfigError(
                f"{shown_path(self.what.path)} is a {kind}, no file: leave --from and --bytes away"
            )
        elif self.what.offset > self.size_bytes:
            self.problem = ConfigError(
                f"{shown_path(self.what.path)} has {counted(self.size_bytes, 'byte')}: ask for a place in it"
            )
        self.kind = entry.kind  # last: from now on a look may be taken, in another thread

    def look(self, planner: Planner, folder: FolderState) -> None:
        """Find out how much is there; blocking."""
        offset = self.what.offset
        if self.kind is Kind.FILE:
            for file in folder.staging.active_at({self.what.key}):
                self.end = readable_end(file.offsets, file.has, offset)
                self.read_at = None if file.is_whole else folder.staging.directory / file.name
                # A complete one takes its place at any moment, and would not be found where we say.
                self.is_there = bool(file.missing) and self.end >= self.what.end(self.size_bytes)
                return
        if self.kind is not None and self._is_placed(planner, self.kind):
            self.found_in(folder.root)

    def found_in(self, root: Path) -> None:
        """It stands in the folder itself, unless the user has removed it."""
        place = root / os.fsdecode(self.what.path)
        if not os.path.lexists(place):
            self.problem = ConfigError(
                f"{shown_path(self.what.path)} was removed here: stop and start again to have it back"
            )
            return
        self.is_there, self.end, self.read_at = True, self.size_bytes, place

    def _is_placed(self, planner: Planner, kind: Kind) -> bool:
        """Go on, from where the last look ended, as far as all is in its place."""
        spans = overlaps(self.what.spans(kind), self._looked_to, None)
        for looks, group in enumerate(planner.groups_of(spans)):
            lacking = planner.lacks(group, spans)
            if lacking is not None or looks == _GROUPS_A_LOOK:
                self._looked_to = group.first if lacking is None else lacking.key
                return False
        return True


class Asks:
    """All that is asked for at present, of one folder.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: FolderState) -> None:
        self._folder = folder
        self._open: list[Ask] = []
        self._urgencies = count(1)
        self._planner: Planner | None = None
        self._hurry: Callable[[Ask, Kind], None] | None = None

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, what: AskedPath, *, waits: bool) -> Ask:
        """Take note of a path; what was asked for of it before and nobody waits for is forgotten.

        Raises:
            ConfigError: Too many are asked for already.
        """
        kept = [ask for ask in self._open if ask.is_awaited or ask.what.path != what.path]
        if len(kept) >= MOST_ASKS:
            raise ConfigError(f"{MOST_ASKS} paths are asked for already: wait until one of them is here")
        ask = Ask(what, next(self._urgencies), is_awaited=waits)
        self._open = [*kept, ask]
        return ask

    def known(self, ask: Ask) -> None:
        """The manifest says what the path is: it is fetched from now on, if anything is at present."""
        if ask.problem is None and ask.kind is not None and self._hurry is not None:
            self._hurry(ask, ask.kind)

    async def resolve(self, groups: PageGroups, asks: Sequence[Ask] | None = None, *, more_to_come: bool) -> None:
        """Look the paths up in a manifest."""
        for ask in self._open if asks is None else asks:
            entry = await trio.to_thread.run_sync(groups.find, ask.what.key)
            ask.resolve(entry, more_to_come=more_to_come)
        self.close_settled()

    def begin(self, planner: Planner, hurry: Callable[[Ask, Kind], None]) -> None:
        """Files are being fetched: `hurry` is called for all that is asked for, and will be until `end`."""
        self._planner, self._hurry = planner, hurry
        for ask in self._open:
            self.known(ask)

    def end(self) -> None:
        """All that is not here is being fetched."""
        self._hurry = None

    def look(self) -> None:
        """Find out how much is there of each; blocking, `close_settled` is to follow."""
        if self._planner is not None:
            for ask in self._open:
                ask.look(self._planner, self._folder)

    def settle(self, problems: Iterable[PathError]) -> None:
        """The folder has been brought to a manifest, but for some paths."""
        self._planner = None
        told = list(problems)
        for ask in self._open:
            ask.problem = ask.problem or next((each for each in told if ask.what.covers(each.path)), None)
            if ask.problem is None:
                ask.found_in(self._folder.root)
        self.close_settled()

    def close_settled(self) -> None:
        """Tell those who wait for what is there, or never will be."""
        for ask in self._open:
            if ask.is_there or ask.problem is not None:
                ask.over.set()
        self._open = [ask for ask in self._open if not ask.over.is_set()]
