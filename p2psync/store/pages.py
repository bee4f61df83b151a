"""Manifest blocks at rest: roots and pages, in the database."""

from collections.abc import Iterable, Sequence

from p2psync.blocks.block import block_id
from p2psync.ids import BlockId
from p2psync.store.database import MOST_VARIABLES, Database


class PageStore:
    """The roots and pages of the manifests in use; every method may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, pages: Iterable[tuple[BlockId, bytes]]) -> None:
        """Keep manifest blocks."""
        self._database.execute_many("INSERT OR IGNORE INTO pages VALUES (?, ?)", pages)

    def get(self, ids: Sequence[BlockId]) -> dict[BlockId, bytes]:
        """Return those of the manifest blocks that are kept.

        Raises:
            DamagedError: One of them is not what its id says.
        """
        found: dict[BlockId, bytes] = {}
        for at in range(0, len(ids), MOST_VARIABLES):
            some = ids[at : at + MOST_VARIABLES]
            marks = ",".join("?" * len(some))
            found |= self._database.rows(f"SELECT id, data FROM pages WHERE id IN ({marks})", some)
        if any(not isinstance(data, bytes) or block_id(data) != id_ for id_, data in found.items()):
            raise self._database.damaged("a page of a manifest is not what it was")
        return found

    def one(self, id_: BlockId) -> bytes:
        """Return a manifest block that was kept.

        Raises:
            DamagedError: It is lost.
        """
        data = self.get([id_]).get(id_)
        if data is None:
            raise self._database.damaged("a page of a manifest is lost")
        return data

    def held(self, ids: Sequence[BlockId]) -> set[BlockId]:
        """Return which of the manifest blocks are kept."""
        found: set[BlockId] = set()
        for at in range(0, len(ids), MOST_VARIABLES):
            some = ids[at : at + MOST_VARIABLES]
            marks = ",".join("?" * len(some))
            found |= {
                BlockId(row[0]) for row in self._database.rows(f"SELECT id FROM pages WHERE id IN ({marks})", some)
            }
        return found

    def sweep(self, keep: Iterable[BlockId]) -> None:
        """Remove the manifest blocks that no manifest in use needs."""
        self._database.execute("CREATE TEMP TABLE IF NOT EXISTS kept (id BLOB PRIMARY KEY)", ())
        self._database.execute("DELETE FROM kept", ())
        self._database.execute_many("INSERT OR IGNORE INTO kept VALUES (?)", ((block,) for block in keep))
        self._database.execute("DELETE FROM pages WHERE id NOT IN (SELECT id FROM kept)", ())
