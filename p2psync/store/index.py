"""The index: what stands at each path of the local folder, and where each block can be found in it.

Losing it loses no data: a scan makes it again. store/FORMAT.md describes the tables.
"""

import itertools
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from p2psync.errors import PathError
from p2psync.ids import BLOCK_ID_BYTES, BlockId
from p2psync.manifest.entry import Entry, Kind, entry_key, path_of_key, split_key
from p2psync.manifest.version import VERSION_ITEM_BYTES
from p2psync.store.database import MOST_VARIABLES, Database
from p2psync.store.local_file import LocalFile

_PREFIX = struct.Struct(">q24x")
LENGTH_BYTES = 4
_AGAIN = b"?"
"""In front of a fingerprint: the content is to be read again."""
_FILE_COLUMNS = "id, key, kind, mtime_ns, mode, cut, ids, lengths, target, version, fingerprint, ours"


MOST_PLACES = 4
"""Of one block: a million files may have the same content."""
_PLACE = (
    "SELECT t.key, t.id, p.slot, p.offset, substr(t.lengths, p.slot * 4 + 1, 4), substr(t.ids, p.slot * 32 + 1, 32)"
)


FileRow = tuple[int | None, Entry, bytes, bool]
"""Number, or None for a new one; entry; fingerprint; whether it is ours."""


class Place(NamedTuple):
    """Where a block should be: `length` bytes at `offset` of a file, or of a staged file."""

    key: bytes
    number: int
    slot: int
    offset: int
    length: int
    staged: bool


class FileIndex:
    """The files of one folder; every method may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        highest = database.row(
            "SELECT max((SELECT coalesce(max(id), 0) FROM files), (SELECT coalesce(max(id), 0) FROM staged))"
        )
        self._numbers = itertools.count(1 + (highest[0] if highest else 0))

    def files_in(self, parent: bytes) -> dict[bytes, LocalFile]:
        """Return what stands directly in one directory, by name; tombstones included."""
        rows = self._database.rows(
            f"SELECT {_FILE_COLUMNS} FROM files WHERE key >= ? AND key < ?", (parent + b"\0", parent + b"\1")
        )
        return {file.entry.name: file for file in map(self._local_file, rows)}

    def marks_in(self, parent: bytes) -> dict[bytes, tuple[bytes, Kind]]:
        """Return (fingerprint, kind) of what stands directly in one directory, by name; tombstones included.

        A twentieth of the work of `files_in`: what a scan of an unchanged folder needs of each path.
        """
        at = len(parent) + 1
        rows = self._database.rows(
            "SELECT key, fingerprint, kind FROM files WHERE key >= ? AND key < ?", (parent + b"\0", parent + b"\1")
        )
        return {key[at:]: (mark, kind) for key, mark, kind in rows}

    def files_between(self, first: bytes, end: bytes | None) -> list[LocalFile]:
        """Return what stands at keys from `first` to before `end` (None: to the last), in key order."""
        if end is None:
            rows = self._database.rows(f"SELECT {_FILE_COLUMNS} FROM files WHERE key >= ? ORDER BY key", (first,))
        else:
            rows = self._database.rows(
                f"SELECT {_FILE_COLUMNS} FROM files WHERE key >= ? AND key < ? ORDER BY key", (first, end)
            )
        return list(map(self._local_file, rows))

    def file_at(self, key: bytes) -> LocalFile | None:
        """Return what stands at one key."""
        row = self._database.row(f"SELECT {_FILE_COLUMNS} FROM files WHERE key = ?", (key,))
        return self._local_file(row) if row else None

    def known_keys(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of the keys at which the index knows of something, if only that it was deleted."""
        found: set[bytes] = set()
        for at in range(0, len(keys), MOST_VARIABLES):
            some = keys[at : at + MOST_VARIABLES]
            marks = ",".join("?" * len(some))
            found.update(key for (key,) in self._database.rows(f"SELECT key FROM files WHERE key IN ({marks})", some))
        return found

    def iter_files(self, first: bytes = b"", *, batch: int = 2000) -> Iterator[LocalFile]:
        """Yield all files from a key on, in key order, a batch in memory at a time."""
        while True:
            rows = self._database.rows(
                f"SELECT {_FILE_COLUMNS} FROM files WHERE key >= ? ORDER BY key LIMIT {batch}", (first,)
            )
            if not rows:
                return
            yield from map(self._local_file, rows)
            first = rows[-1][1] + b"\0"

    def keys_below(self, directory: bytes) -> list[bytes]:
        """Return the keys of everything that stands inside a directory, at any depth; tombstones left out."""
        keys: list[bytes] = []
        for first, end in ((b"\0", b"\1"), (b"/", b"0")):  # directly inside; deeper
            keys += [
                row[0]
                for row in self._database.rows(
                    "SELECT key FROM files WHERE key >= ? AND key < ? AND kind != ?",
                    (directory + first, directory + end, Kind.TOMBSTONE),
                )
            ]
        return keys

    def tombstones(self, *, beyond: int) -> list[bytes]:
        """Return the keys of all tombstones but the newest so many, by the age of their rows."""
        sql = "SELECT key FROM files WHERE kind = ? ORDER BY id DESC LIMIT -1 OFFSET ?"
        return [key for (key,) in self._database.rows(sql, (Kind.TOMBSTONE, beyond))]

    def directories(self) -> list[bytes]:
        """Return the paths of all directories."""
        rows = self._database.rows("SELECT key FROM files WHERE kind = ?", (Kind.DIRECTORY,))
        return [path_of_key(key) for (key,) in rows]

    def totals(self) -> tuple[int, int]:
        """Return how many files there are, and their bytes."""
        row = self._database.row("SELECT count(*), coalesce(sum(size), 0) FROM files WHERE kind = ?", (Kind.FILE,))
        return (row[0], row[1]) if row else (0, 0)

    def put_files(self, files: Sequence[FileRow]) -> None:
        """Record what stands at each path, replacing what was known of it."""
        self.remove_files([entry.key for _, entry, _, _ in files])
        self.add_files(files)

    def add_files(self, files: Sequence[FileRow]) -> None:
        """Record what stands at paths of which nothing is known."""
        rows, places = [], []
        for known, entry, fingerprint, ours in files:
            number = known or self.allocate_number()
            parent, name, kind, mtime_ns, mode, cut, ids, packed, target, version = entry
            lengths = block_lengths(packed)
            rows.append((
                number, entry_key(parent, name), kind, sum(lengths), mtime_ns, mode, cut, ids, packed, target, version,
                fingerprint, ours,
            ))  # fmt: skip
            places += block_places(number, ids, lengths)
        self._database.insert("INSERT INTO files", rows)
        self._database.insert("INSERT OR IGNORE INTO places", places)

    def set_fingerprints(self, marks: Sequence[tuple[bytes, int]]) -> None:
        """Record (fingerprint, number) of files whose state is known already."""
        self._database.for_values(
            "UPDATE files SET fingerprint = mark.column1 FROM ({values}) mark WHERE files.id = mark.column2", marks
        )

    def doubt(self, number: int) -> None:
        """Have a file read again by the next scan, though it looks as it did: what it holds is not what it should."""
        row = self._database.row("SELECT fingerprint FROM files WHERE id = ?", (number,))
        if row is not None and row[0] and not row[0].startswith(_AGAIN):
            self.set_fingerprints([(_AGAIN + row[0], number)])

    def remove_files(self, keys: Sequence[bytes]) -> None:
        """Forget paths and the places of their blocks."""
        places, gone = [], []
        for at in range(0, len(keys), MOST_VARIABLES):
            some = keys[at : at + MOST_VARIABLES]
            marks = ",".join("?" * len(some))
            for number, ids, packed in self._database.rows(
                f"SELECT id, ids, lengths FROM files WHERE key IN ({marks})", some
            ):
                places += [place[:3] for place in block_places(number, ids, block_lengths(packed))]
                gone.append((number,))
        if gone:
            self._database.execute_many("DELETE FROM places WHERE prefix = ? AND file = ? AND slot = ?", places)
            self._database.execute_many("DELETE FROM files WHERE id = ?", gone)

    def rename(self, old: bytes, new: bytes) -> None:
        """Note under another name in the same directory what stands at a path, and all below it."""
        keys = [entry_key(*_split_path(old)), *self.keys_below(old)]
        renamed = [(entry_key(*_split_path(new)), keys[0])]
        renamed += [(new + key[len(old) :], key) for key in keys[1:]]
        self._database.execute_many("UPDATE files SET key = ? WHERE key = ?", renamed)

    def has_number(self, number: int) -> bool:
        """Say whether a file has this row id."""
        return self._database.row("SELECT 1 FROM files WHERE id = ?", (number,)) is not None

    def leave_number(self, number: int) -> None:
        """Give the file of this row id, if there is one, another; its places stay with the old one."""
        self._database.execute("UPDATE files SET id = ? WHERE id = ?", (self.allocate_number(), number))

    def _local_file(self, row: tuple[Any, ...]) -> LocalFile:
        try:
            return _local_file(row)
        except (TypeError, ValueError, PathError):
            raise self._database.damaged("what it says of a file cannot be") from None

    def allocate_number(self) -> int:
        """Return a row id that nothing has had in this database's life."""
        return next(self._numbers)

    def places(self, ids: Sequence[BlockId]) -> dict[BlockId, list[Place]]:
        """Return where blocks should be, files first, then staged files; ids found nowhere are left out.

        Of a block that many files have, some places are enough.
        """
        found: dict[BlockId, list[Place]] = {}
        for at in range(0, len(ids), MOST_VARIABLES):
            prefixes = [_PREFIX.unpack(block)[0] for block in ids[at : at + MOST_VARIABLES]]
            for table, staged in (("files", False), ("staged", True)):
                for key, number, slot, offset, length, block in self._places_in(table, prefixes):
                    place = Place(key, number, slot, offset, int.from_bytes(length, "big"), staged)
                    found.setdefault(BlockId(block), []).append(place)
        return found

    def _places_in(self, table: str, prefixes: Sequence[int]) -> list[tuple[Any, ...]]:
        marks, most = ",".join("?" * len(prefixes)), MOST_PLACES * len(prefixes)
        sql = f"{_PLACE} FROM places p JOIN {table} t ON t.id = p.file WHERE p.prefix IN ({marks}) LIMIT {most}"
        rows = self._database.rows(sql, prefixes)
        if len(rows) < most:
            return rows
        # Some are in very many files: one by one, which is slower, they are not all looked at.
        some = f"(SELECT * FROM places WHERE prefix = ? LIMIT {MOST_PLACES})"
        sql = f"{_PLACE} FROM {some} p JOIN {table} t ON t.id = p.file"
        return self._database.rows_of_each(sql, [(prefix,) for prefix in prefixes])


def block_lengths(packed: bytes) -> tuple[int, ...]:
    """Return the lengths of an entry's blocks."""
    return struct.unpack(f">{len(packed) // 4}I", packed)


def block_places(number: int, ids: bytes, lengths: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Return the rows (prefix, file, slot, offset) that say where a file's blocks are; of equal ones the first."""
    if len(ids) == BLOCK_ID_BYTES:  # most files: one block
        return [(_PREFIX.unpack(ids)[0], number, 0, 0)]
    places: dict[int, tuple[int, int, int, int]] = {}
    offset = 0
    for slot, ((prefix,), length) in enumerate(zip(_PREFIX.iter_unpack(ids), lengths, strict=True)):
        places.setdefault(prefix, (prefix, number, slot, offset))
        offset += length
    return list(places.values())


def _split_path(path: bytes) -> tuple[bytes, bytes]:
    parent, _, name = path.rpartition(b"/")
    return parent, name


def _local_file(row: tuple[Any, ...]) -> LocalFile:
    number, key, kind, mtime_ns, mode, cut, ids, lengths, target, version, fingerprint, ours = row
    parent, name = split_key(key)
    entry = Entry(parent, name, Kind(kind), mtime_ns, mode, cut, ids, lengths, target, version)
    if len(ids) * LENGTH_BYTES != len(lengths) * BLOCK_ID_BYTES or len(version) % VERSION_ITEM_BYTES:
        raise ValueError
    return LocalFile(number, entry, fingerprint, bool(ours))
