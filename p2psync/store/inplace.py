"""The folder itself as the block store: blocks are read from the user's own files, and written to staged ones."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from p2psync.blocks.block import block_id
from p2psync.errors import PathError
from p2psync.ids import BlockId
from p2psync.manifest.entry import split_key
from p2psync.store.base import Payload
from p2psync.store.database import Database
from p2psync.store.files import DirectoryHandles
from p2psync.store.index import FileIndex, Place
from p2psync.store.long_block import LongBlock
from p2psync.store.pages import PageStore
from p2psync.store.staged_file import StagedFile
from p2psync.store.staging import Staging

_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class InPlaceStore:
    """The `BlockStore` of a folder: its files, its staged files, its manifest blocks.

    Args:
        root: The folder.
        database: Its database.
        index: Its files.
        staging: Its staged files.

    Attributes:
        received_bytes: Bytes of file blocks that were written here and waited for, since this program began.
        on_stale: Called with the key of a file whose bytes are no longer what the index says; from any thread.
    """

    def __init__(self, root: Path, database: Database, index: FileIndex, staging: Staging) -> None:
        self._root = root
        self._database = database
        self._index = index
        self._staging = staging
        self._pages = PageStore(database)
        self.received_bytes = 0
        self.on_stale: Callable[[bytes], None] = lambda key: None
        self._awaited_pages: set[BlockId] = set()

    def await_pages(self, ids: Sequence[BlockId]) -> None:
        """Accept these manifest blocks when they come."""
        self._awaited_pages.update(ids)

    def read(self, ids: Sequence[BlockId]) -> list[Payload | None]:
        """See `BlockStore.read`."""
        found = self.read_first(ids, sys.maxsize, sys.maxsize)
        return [data for data in found if not isinstance(data, LongBlock)]  # none is as long as that

    def read_first(
        self, ids: Sequence[BlockId], enough_bytes: int, whole_bytes: int
    ) -> list[Payload | LongBlock | None]:
        """See `BlockStore.read_first`."""
        found: list[Payload | LongBlock | None] = []
        size_bytes = 0
        whole = {block: file for block in ids if (file := self._staging.whole_file_of(block)) is not None}
        places = self._index.places([block for block in ids if block not in whole])
        with _Reader(self._root, self._staging) as reader:
            for block in ids:
                data = None
                if block in whole:
                    data = self._read_place(block, _whole_place(whole[block]), reader, whole_bytes)
                if data is None:
                    known = self._index.places([block]) if block in whole else places
                    data = self._read_one(block, known.get(block, ()), reader, whole_bytes)
                found.append(data)
                size_bytes += len(data) if data is not None else 0
                if size_bytes >= enough_bytes:
                    break
        return found

    def write(self, blocks: Sequence[tuple[BlockId, Payload]]) -> list[BlockId]:
        """See `BlockStore.write`."""
        wrong, pages = [], []
        for block, data in blocks:
            if block_id(data) != block:
                wrong.append(block)
            elif block in self._awaited_pages:
                pages.append((block, bytes(data)))
            elif self._staging.write(block, data):
                self.received_bytes += len(data)
        if pages:
            with self._database.transaction():
                self._pages.put(pages)
            self._awaited_pages.difference_update(block for block, _ in pages)
        return wrong

    def _read_one(
        self, block: BlockId, places: Sequence[Place], reader: "_Reader", whole_bytes: int
    ) -> Payload | LongBlock | None:
        for place in places:
            if place.staged and not self._staging.has(place.number, place.slot):
                continue
            data = self._read_place(block, place, reader, whole_bytes)
            if data is not None:
                return data
            self._doubt(place)
        return self._pages.get([block]).get(block)

    def _read_place(
        self, block: BlockId, place: Place, reader: "_Reader", whole_bytes: int
    ) -> Payload | LongBlock | None:
        if place.length > whole_bytes:
            return self._long(block, place)
        data = reader.read(place)
        return data if data is not None and block_id(data) == block else None

    def _long(self, block: BlockId, place: Place) -> LongBlock:
        def read_at(offset: int, count: int) -> bytes | None:
            with _Reader(self._root, self._staging) as reader:
                return reader.read(place._replace(offset=place.offset + offset, length=count))

        return LongBlock(block, place.length, read_at, partial(self._doubt, place))

    def _doubt(self, place: Place) -> None:
        """What stands at a place is not what should."""
        if not place.staged:
            self._index.doubt(place.number)
            self.on_stale(place.key)


def _whole_place(file: StagedFile) -> Place:
    return Place(file.entry.key, file.number, 0, 0, file.size_bytes, staged=True)


class _Reader:
    """Reads places for one call of `read`; keeps the last file open, for runs of blocks of one file."""

    def __init__(self, root: Path, staging: Staging) -> None:
        self._directories = DirectoryHandles(root)
        self._staging = staging
        self._open: tuple[int, int] | None = None

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, *exception: object) -> None:
        self._directories.close()
        self._close_file()

    def read(self, place: Place) -> bytes | None:
        """Return what stands at a place now, or None."""
        try:
            return os.pread(self._file(place), place.length, place.offset)
        except (OSError, PathError):
            return None

    def _file(self, place: Place) -> int:
        if self._open is not None and self._open[0] == place.number:
            return self._open[1]
        self._close_file()
        handle = self._open_staged(place.number) if place.staged else None
        if handle is None:  # also when a staged file has just taken its place
            parent, name = split_key(place.key)
            handle = os.open(name, _READ_FLAGS, dir_fd=self._directories.open(parent))
        self._open = (place.number, handle)
        return handle

    def _open_staged(self, number: int) -> int | None:
        try:
            return self._staging.open(number)
        except FileNotFoundError:
            return None

    def _close_file(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None
