"""One SQLite database a folder: a connection that all threads share, one at a time."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from p2psync.errors import StoreError
from p2psync.store.schema import SCHEMA, SCHEMA_VERSION

MOST_VARIABLES = 500
"""Values in one `IN (...)`: well below SQLite's limit, and past the point where more would be faster."""


class Database:
    """The folder's database; every method may be called from any thread."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it.

        Raises:
            sqlite3.DatabaseError: It is damaged, or of another schema.
        """
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._connection.executescript(SCHEMA)
        elif version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"schema {version}")

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the changes inside one step: all of them or, after an error or a crash, none."""
        with self._lock, _disk_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def note(self, name: str) -> bytes | None:
        """Return the bytes kept under a name, or None."""
        row = self.row("SELECT value FROM notes WHERE name = ?", (name,))
        return row[0] if row else None

    def set_note(self, name: str, value: bytes) -> None:
        """Keep bytes under a name."""
        self.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    def row(self, sql: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """Return the first row of a query, or None."""
        with self._lock, _disk_errors():
            row: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
            return row

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self._lock, _disk_errors():
            return self._connection.execute(sql, values).fetchall()

    def execute(self, sql: str, values: Sequence[object] = ()) -> None:
        """Run one statement."""
        with self._lock, _disk_errors():
            self._connection.execute(sql, values)

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for each row of values."""
        with self._lock, _disk_errors():
            self._connection.executemany(sql, rows)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        full = "full" in str(error)
        advice = "make room and run the same command again" if full else "see whether the disk is writable and healthy"
        raise StoreError(f"the folder's index cannot be written or read ({error}): {advice}", transient=full) from None
