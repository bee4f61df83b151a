"""One SQLite database a folder: a connection that all threads share, one at a time."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from p2psync.errors import StoreError
from p2psync.store.files import store_error
from p2psync.store.schema import SCHEMA, SCHEMA_VERSION

MOST_VARIABLES = 500
"""Values in one `IN (...)`: well below SQLite's limit, and past the point where more would be faster."""

_ROWS_A_STATEMENT = (256, 16)
"""How many rows one statement inserts or changes, as long as there are so many; the rest comes one by one."""
_LITTLE_ROOM_BYTES = 1 << 20
_SUFFIXES = ("", "-wal", "-shm")
"""Of the files that SQLite keeps for one database."""
_LONGEST_PATH_BYTES = 504
"""SQLite keeps 512 for a path, with what it adds for a journal."""
_DAMAGE = (sqlite3.DatabaseError, sqlite3.IntegrityError, sqlite3.InternalError)
"""What SQLite says of a damaged file. A row that cannot be where its index says is one: ours break no constraint."""


class Database:
    """The folder's database; every method may be called from any thread."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it.

        Raises:
            DamagedError: It is damaged, or of another schema.
            StoreError: The disk is full, its path is too long, or it cannot be opened.
        """
        self._lock = threading.RLock()
        if (length := len(os.fsencode(os.path.realpath(path)))) > _LONGEST_PATH_BYTES:
            raise StoreError(
                f"the path of the folder's index has {length} bytes, and SQLite opens {_LONGEST_PATH_BYTES} at most: "
                "use a folder with a shorter path"
            )
        try:
            _keep_private(path)
        except OSError as error:
            raise store_error(error, f"cannot use {str(path)!r}") from None
        self._damage_mark = path.with_name(path.name + ".is-damaged")
        if self._damage_mark.exists():
            raise DamagedError("found to be damaged before")
        with self._disk_errors():
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._connection.executescript(SCHEMA)
        elif version != SCHEMA_VERSION:
            raise DamagedError(f"schema {version}")

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the changes inside one step: all of them or, after an error or a crash, none."""
        with self._lock:
            self.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have ended it already
                    self.execute("ROLLBACK")
                raise

    def note(self, name: str) -> bytes | None:
        """Return the bytes kept under a name, or None."""
        row = self.row("SELECT value FROM notes WHERE name = ?", (name,))
        return row[0] if row else None

    def set_note(self, name: str, value: bytes) -> None:
        """Keep bytes under a name."""
        self.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    def number(self, name: str) -> int:
        """Return the decimal number kept under a name; 0 if there is none."""
        digits = self.note(name) or b"0"
        if not digits.isdigit():
            raise self.damaged(f"{name} is no number")
        return int(digits)

    def drop_note(self, name: str) -> None:
        """Keep nothing under a name any more."""
        self.execute("DELETE FROM notes WHERE name = ?", (name,))

    def row(self, sql: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """Return the first row of a query, or None."""
        with self._lock, self._disk_errors():
            row: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
            return row

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self._lock, self._disk_errors():
            return self._connection.execute(sql, values).fetchall()

    def rows_of_each(self, sql: str, values: Iterable[Sequence[object]]) -> list[tuple[Any, ...]]:
        """Return all rows of a query for each of many values, one after the other."""
        with self._lock, self._disk_errors():
            execute = self._connection.execute
            return [row for one in values for row in execute(sql, one)]

    def execute(self, sql: str, values: Sequence[object] = ()) -> None:
        """Run one statement."""
        with self._lock, self._disk_errors():
            self._connection.execute(sql, values)

    def insert(self, into: str, rows: Sequence[Sequence[object]]) -> None:
        """Insert rows (`into` is "INSERT INTO table"), many with one statement: see `for_values`."""
        self.for_values(into + " {values}", rows)

    def for_values(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Run a statement whose `{values}` stands for a table of values, with as many of the rows at a time as pays.

        The interpreter is let go once for each statement. Where the event loop is busy, getting it back takes longer
        than inserting a hundred rows: for each row by itself, as `execute_many` does, that is most of the time.
        """
        at = 0
        with self._lock, self._disk_errors():
            for count in _ROWS_A_STATEMENT:
                while len(rows) - at >= count:
                    values = list(chain.from_iterable(rows[at : at + count]))
                    self._connection.execute(sql.format(values=_values(len(rows[at]), count)), values)
                    at += count
            if at < len(rows):
                self._connection.executemany(sql.format(values=_values(len(rows[at]), 1)), rows[at:])

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for each row of values."""
        with self._lock, self._disk_errors():
            self._connection.executemany(sql, rows)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            # Of Python, which got a text that is none, or of SQLite, which finds no such table: our own SQL is right.
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) == sqlite3.SQLITE_ERROR:
                raise self.damaged(str(error)) from None
            full = self._is_full(error)
            advice = (
                "make room and run the same command again" if full else "see whether the disk is writable and healthy"
            )
            raise StoreError(
                f"the folder's index cannot be written or read ({error}): {advice}", transient=full
            ) from None
        except sqlite3.DatabaseError as error:
            if type(error) not in _DAMAGE:
                raise  # a mistake of ours
            raise self.damaged(str(error)) from None
        except UnicodeDecodeError:  # an error of SQLite that quotes the damaged part of its schema
            raise self.damaged("its tables are not described") from None

    def damaged(self, reason: str) -> "DamagedError":
        """Return the error for what cannot be in a sound database; the next run begins a new one."""
        with contextlib.suppress(OSError):
            self._damage_mark.touch()
        return DamagedError(reason)

    def _is_full(self, error: sqlite3.OperationalError) -> bool:
        """Say whether there is no room; SQLite calls it an I/O error when that comes where it maps memory."""
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return True
        if not error.sqlite_errorname.startswith("SQLITE_IOERR"):
            return False
        try:
            room = os.statvfs(self._damage_mark.parent)
        except OSError:  # it has been removed under us
            return False
        return room.f_bavail * room.f_frsize < _LITTLE_ROOM_BYTES


@lru_cache(maxsize=64)
def _values(columns: int, rows: int) -> str:
    """Return SQL for a table of so many values that are to be given."""
    row = f"({','.join('?' * columns)})"
    return f"VALUES {','.join([row] * rows)}"


class DamagedError(StoreError):
    """The database is not readable as one; when it is opened next, another one is begun."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the folder's index is damaged ({reason}): run the same command again, it is then made anew",
            transient=True,
        )


def _keep_private(path: Path) -> None:
    """Let nobody else read a database, which names the user's files: its directory may be one that all may enter.

    SQLite makes the files beside it with the permissions that it has.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    for suffix in _SUFFIXES:
        # What is another user's, or on a disk without permissions, is used as it is.
        with contextlib.suppress(OSError):
            os.chmod(f"{path}{suffix}", 0o600)


def move_damaged_away(path: Path) -> None:
    """Make room for a new database; what is left of the damaged one is kept beside it."""
    for suffix in _SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{path}.damaged{suffix}")
    path.with_name(path.name + ".is-damaged").unlink(missing_ok=True)
