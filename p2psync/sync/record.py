"""Record: what a scan found, on its way into the index in batches."""

import os
from collections.abc import Callable, Collection

from p2psync.manifest.entry import Entry, Kind
from p2psync.store.database import Database
from p2psync.store.index import FileIndex, FileRow
from p2psync.store.local_file import LocalFile
from p2psync.sync.fingerprint import UNSETTLED, looks_like

BATCH = 1000
"""Changed paths a transaction: enough to make its cost vanish, few enough to hold in memory."""
MOST_GONE = 50_000
"""Gone paths that are kept for the end of the scan: what they were is still known when it turns up elsewhere."""
MOST_TOMBSTONES = 10_000
"""Deleted paths that are remembered: without an end, a folder in which temporary files come and go only grows."""


class IndexRecorder:
    """Collects what differs from the index.

    Args:
        database: The folder's.
        index: The same as files.
        version_of: Gives the version vector of a changed path from the one it had (empty for a new path).
        keeps_tombstones: Whether a path that is gone is remembered as deleted or forgotten.
        on_changes: Told the keys of entries that are about to change, inside the transaction that changes them.
    """

    def __init__(
        self,
        database: Database,
        index: FileIndex,
        version_of: Callable[[bytes], bytes],
        on_changes: Callable[[Collection[bytes]], None],
        *,
        keeps_tombstones: bool,
    ) -> None:
        self._database = database
        self._index = index
        self._version_of = version_of
        self._on_changes = on_changes
        self._keeps_tombstones = keeps_tombstones
        self._version_of_new = version_of(b"")
        self._rows: list[FileRow] = []
        self._new_rows: list[FileRow] = []
        self._gone: dict[bytes, None] = {}
        self._keys: list[bytes] = []
        self._replaced: dict[bytes, None] = {}

    def note(self, entry: Entry, mark: bytes, local: LocalFile | None) -> None:
        """Record what stands at a path, with its fingerprint, if the index says anything else."""
        if local is None:
            self._keys.append(entry.key)
            self._new_rows.append((None, entry._replace(version=self._version_of_new), mark, False))
        elif local.entry._replace(version=b"") != entry:
            self._keys.append(entry.key)
            ours = local.ours and _is_untouched(local, entry, mark)
            entry = entry._replace(version=self._version_of(local.entry.version))
            self._rows.append((local.number, entry, mark, ours))
        elif mark != local.fingerprint:
            self._rows.append((local.number, local.entry, mark, local.ours))
        if self._gone:
            self._gone.pop(entry.key, None)
        self._flush_full()

    def note_gone(self, key: bytes) -> None:
        """Record that nothing stands at a key any more, nor at any path below it."""
        local = self._index.file_at(key)
        if local is None or local.entry.kind is Kind.TOMBSTONE:
            return
        self._gone[key] = None
        if local.entry.kind is Kind.DIRECTORY:
            self._gone.update(dict.fromkeys(self._index.keys_below(local.entry.path)))
        self._flush_full()

    def note_replaced(self, directory: bytes) -> None:
        """Record that a directory has become something else, which is to be noted next: all that was in it has gone."""
        self._replaced.update(dict.fromkeys(self._index.keys_below(directory)))

    def flush(self) -> None:
        """Put what has been collected into the index, but for what has gone."""
        if self._rows or self._new_rows or self._replaced:
            with self._database.transaction():
                self._on_changes([*self._keys, *self._replaced])
                self._record_gone(list(self._replaced))
                self._index.put_files(self._rows)
                self._index.add_files(self._new_rows)
            self._rows, self._new_rows, self._keys, self._replaced = [], [], [], {}

    def flush_gone(self) -> None:
        """Take what has gone out of the index."""
        if self._gone:
            with self._database.transaction():
                self._on_changes(self._gone)
                self._record_gone(list(self._gone))
            self._gone = {}

    def forget_tombstones(self) -> None:
        """Forget deleted paths where they are too many, those first that the index got first."""
        keys = self._index.tombstones(beyond=MOST_TOMBSTONES) if self._keeps_tombstones else []
        for at in range(0, len(keys), BATCH):
            some = keys[at : at + BATCH]
            with self._database.transaction():
                self._on_changes(some)
                self._index.remove_files(some)

    def _flush_full(self) -> None:
        if len(self._rows) + len(self._new_rows) >= BATCH:
            self.flush()
        if len(self._gone) >= MOST_GONE:
            self.flush_gone()

    def _record_gone(self, keys: list[bytes]) -> None:
        tombstones: list[FileRow] = []
        if self._keeps_tombstones:
            for key in keys:
                local = self._index.file_at(key)
                if local is not None and local.entry.kind is not Kind.TOMBSTONE:
                    version = self._version_of(local.entry.version)
                    entry = Entry(local.entry.parent, local.entry.name, Kind.TOMBSTONE, version=version)
                    tombstones.append((local.number, entry, UNSETTLED, False))
        self._index.remove_files(keys)
        self._index.put_files(tombstones)


def clamped_mtime_ns(status: os.stat_result) -> int:
    """Return the time as the manifest can say it: some file systems know years after 2262 (2^63 ns)."""
    return max(-(1 << 63), min(status.st_mtime_ns, (1 << 63) - 1))


def _is_untouched(local: LocalFile, entry: Entry, mark: bytes) -> bool:
    """Say whether what stands there is what was noted: by content, or, after a crash before the rename, looks."""
    noted = local.entry
    same_content = (noted.kind, noted.ids, noted.target) == (entry.kind, entry.ids, entry.target)
    return same_content or looks_like(local.fingerprint, mark)
