"""The rows of files that are being put together: what a getter resumes from."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from p2psync.ids import BLOCK_ID_BYTES
from p2psync.store.database import Database
from p2psync.store.index import LENGTH_BYTES, block_places


class StagedRow(NamedTuple):
    """A file that is being put together."""

    number: int
    key: bytes
    ids: bytes
    lengths: bytes
    have: bytes


class StagedRows:
    """All staged files of one folder; every method may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[StagedRow]:
        """Return all files that are being put together.

        Raises:
            DamagedError: What is noted of one cannot be.
        """
        rows = [StagedRow(*row) for row in self._database.rows("SELECT id, key, ids, lengths, have FROM staged", ())]
        if not all(map(_is_sound, rows)):
            raise self._database.damaged("what it says of a staged file cannot be")
        return rows

    def put(self, row: StagedRow) -> None:
        """Record a staged file and the places that its blocks will have."""
        lengths = struct.unpack(f">{len(row.lengths) // 4}I", row.lengths)
        self._database.execute("INSERT OR REPLACE INTO staged VALUES (?,?,?,?,?)", row)
        self._database.execute_many(
            "INSERT OR IGNORE INTO places VALUES (?,?,?,?)", block_places(row.number, row.ids, lengths)
        )

    def set_have(self, have: Sequence[tuple[bytes, int]]) -> None:
        """Record (bit set of written blocks, number) for staged files, after their data is durable."""
        self._database.execute_many("UPDATE staged SET have = ? WHERE id = ?", have)

    def drop(self, number: int, *, keep_places: bool) -> None:
        """Forget a staged file: it has become a file of the same number (keep its places), or is given up."""
        row = self._database.row("SELECT ids, lengths FROM staged WHERE id = ?", (number,))
        if row is not None and not keep_places:
            lengths = struct.unpack(f">{len(row[1]) // 4}I", row[1])
            places = [place[:3] for place in block_places(number, row[0], lengths)]
            self._database.execute_many("DELETE FROM places WHERE prefix = ? AND file = ? AND slot = ?", places)
        self._database.execute("DELETE FROM staged WHERE id = ?", (number,))


def _is_sound(row: StagedRow) -> bool:
    if not all(isinstance(value, bytes) for value in row[1:]):
        return False
    count, rest = divmod(len(row.ids), BLOCK_ID_BYTES)
    return not rest and len(row.lengths) == count * LENGTH_BYTES and len(row.have) == (count + 7) // 8
