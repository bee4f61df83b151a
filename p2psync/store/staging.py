"""Staging: files that are being put together from blocks, before they take their place in the folder.

A file of several blocks gets its full size at once and each block is written once, at its final offset. What has been
written is noted in the database only after the data is durable, so after a crash the notes can be believed. A file of
one block is written whole when the block comes; after a crash it is simply fetched again.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from p2psync.errors import PathError, StoreError
from p2psync.ids import BlockId
from p2psync.manifest.entry import Entry
from p2psync.store.base import Payload
from p2psync.store.database import Database
from p2psync.store.files import make_durable, set_mode, store_error
from p2psync.store.index import FileIndex
from p2psync.store.resume import holds_sample, written_slots
from p2psync.store.staged import StagedRow, StagedRows
from p2psync.store.staged_file import StagedFile

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Staging:
    """All files of one folder that are on their way in; every method may be called from any thread.

    Attributes:
        written_bytes: Bytes written so far.
        problems: By path, what cannot be put together; until `abandon`.
    """

    def __init__(self, directory: Path, database: Database, index: FileIndex) -> None:
        self._directory = directory
        self._handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._database = database
        self._rows = StagedRows(database)
        self._index = index
        self._lock = threading.Lock()
        self._waiting: dict[BlockId, list[tuple[StagedFile, int]]] = {}
        self._active: dict[int, StagedFile] = {}
        self._whole: dict[BlockId, StagedFile] = {}
        self._finished: list[StagedFile] = []
        self._unnoted: set[StagedFile] = set()
        self._resumable: dict[bytes, StagedRow] = {}
        self._resumable_have: dict[int, bytes] = {}
        self.written_bytes = 0
        self.problems: dict[bytes, PathError] = {}
        self._recover()

    def close(self) -> None:
        """Note what has been written, and let go of the directory."""
        try:
            self.checkpoint()
        finally:
            os.close(self._handle)

    def begin(self, entries: Sequence[Entry]) -> list[StagedFile]:
        """Start files, or take up those that were started before a crash with the same blocks.

        A file that is too large for the file system is left out, and noted in `problems`.

        Raises:
            StoreError: There is no room for them.
        """
        files = [self._resume(entry) or StagedFile(self._index.allocate_number(), entry) for entry in entries]
        noted = [file for file in files if not file.is_whole]
        if noted:
            with self._database.transaction():
                for file in noted:
                    entry = file.entry
                    self._rows.put(StagedRow(file.number, entry.key, entry.ids, entry.lengths, file.have_bits()))
        files = [file for file in files if (file.is_whole and file.missing) or self._can_create(file)]
        with self._lock:
            self._active.update((file.number, file) for file in files)
            self._finished += [file for file in files if not file.missing]
        return files

    def await_block(self, block: BlockId, file: StagedFile, slot: int) -> bool:
        """Note that a block is to be written to a slot of a file; return whether somebody waits for it already."""
        with self._lock:
            waiting = self._waiting.setdefault(block, [])
            waiting.append((file, slot))
            return len(waiting) > 1

    def fill_zeros(self, file: StagedFile, slot: int) -> None:
        """Count a block of zeros as written: the file has a hole there.

        Raises:
            StoreError: There is no room for the file.
        """
        if file.is_whole:
            self._create(file)
        self._written(file, slot, BlockId(file.entry.ids) if file.is_whole else None)

    def filled(self, file: StagedFile, taken: bytes) -> None:
        """Count all of a file as written: a file of the folder, which looked so, has been moved to its name."""
        file.taken = taken
        for slot in range(len(file.offsets) - 1):
            self._written(file, slot, None)

    def write(self, block: BlockId, data: Payload) -> bool:
        """Write a verified block wherever it is waited for; return whether it was anywhere.

        Raises:
            StoreError: The disk is full or failed; the block is still waited for.
        """
        awaited = False
        # Who begins to wait while it is written has found it nowhere yet, and nobody may bring it again.
        while waiting := self._take_waiting(block):
            awaited = True
            self._write_to(waiting, block, data)
        return awaited

    def take_finished(self, most: int) -> list[StagedFile]:
        """Return files that are complete, to be put in their places; `settle` must follow for each."""
        with self._lock:
            taken, self._finished = self._finished[:most], self._finished[most:]
            return taken

    def settle(self, files: Sequence[StagedFile]) -> None:
        """Forget files that have become files of the folder, inside the transaction that says so."""
        for file in files:
            if not file.is_whole:
                self._rows.drop(file.number, keep_places=True)
        with self._lock:
            for file in files:
                self._active.pop(file.number, None)
                self._unnoted.discard(file)
                if file.is_whole:
                    self._whole.pop(BlockId(file.entry.ids), None)

    def checkpoint(self) -> None:
        """Make written blocks durable, then note them."""
        with self._lock:
            unnoted, self._unnoted = self._unnoted, set()
            notes = [(file.have_bits(), file.number) for file in unnoted]
        if notes:
            make_durable(self._directory)
            with self._database.transaction():
                self._rows.set_have(notes)

    def abandon(self, keep: Callable[[bytes, bytes], bool]) -> None:
        """Stop waiting for blocks; give up staged files for which `keep(key, ids)` is False.

        What a newer version of the folder still wants can be taken up again with `begin`.
        """
        self.checkpoint()
        with self._lock:
            whole = [file.name for file in self._active.values() if file.is_whole]
            self.problems = {}
            self._waiting.clear()
            self._active.clear()
            self._whole.clear()
            self._finished.clear()
        for row in self._rows.all():
            if keep(row.key, row.ids):
                self._resumable[row.key] = row
                self._resumable_have[row.number] = row.have
            else:
                self._give_up(row)
        for name in whole:
            self._unlink(name)

    def has(self, number: int, slot: int) -> bool:
        """Say whether a block of a staged file can be read from it."""
        with self._lock:
            file = self._active.get(number)
            if file is not None:
                return file.has(slot)
        have = self._resumable_have.get(number)
        return have is not None and bool(have[slot >> 3] & (0x80 >> (slot & 7)))

    def awaited(self, blocks: Sequence[BlockId]) -> set[BlockId]:
        """Return those of some blocks that are waited for."""
        with self._lock:
            return {block for block in blocks if block in self._waiting}

    def unfinished(self) -> list[bytes]:
        """Return the paths of the files that were begun and lack blocks."""
        with self._lock:
            return [file.entry.path for file in self._active.values() if file.missing]

    def active_at(self, keys: Collection[bytes]) -> list[StagedFile]:
        """Return the files at some keys that are being put together."""
        with self._lock:
            return [file for file in self._active.values() if file.entry.key in keys]

    def whole_file_of(self, block: BlockId) -> StagedFile | None:
        """Return the file of one block that holds it and has not taken its place yet."""
        with self._lock:
            return self._whole.get(block)

    def open(self, number: int) -> int:
        """Open a staged file for reading."""
        return os.open(str(number), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self._handle)

    @property
    def handle(self) -> int:
        """The staging directory, to rename files out of it."""
        return self._handle

    @property
    def directory(self) -> Path:
        """The staging directory's path."""
        return self._directory

    def _recover(self) -> None:
        """Make rows and files agree after a crash: only a row whose file is still here can be taken up again."""
        with os.scandir(self._handle) as listing:
            is_directory = {item.name: item.is_dir(follow_symlinks=False) for item in listing}
        for name in (name for name in is_directory if is_directory[name]):
            raise StoreError(f"{str(self._directory / name)!r} is nothing of p2psync's: move that directory elsewhere")
        names = set(is_directory)
        with self._database.transaction():
            for row in self._rows.all():
                name = str(row.number)
                if name in names and row.key not in self._resumable:
                    names.discard(name)
                    self._index.leave_number(row.number)  # noted before the rename that did not come
                    self._resumable[row.key] = row
                    self._resumable_have[row.number] = row.have
                else:
                    self._rows.drop(row.number, keep_places=self._index.has_number(row.number))
        for name in filter(str.isdigit, names):  # what is called otherwise is not ours
            os.unlink(name, dir_fd=self._handle)

    def _resume(self, entry: Entry) -> StagedFile | None:
        row = self._resumable.get(entry.key) if self._resumable else None
        if row is None or (row.ids, row.lengths) != (entry.ids, entry.lengths):
            return None
        del self._resumable[row.key]
        try:
            set_mode(b"%d" % row.number, 0o600, self._handle)  # else what it was given to take its place may bar us
            handle = self.open(row.number)
        except FileNotFoundError:
            return StagedFile(row.number, entry)
        try:
            file = StagedFile(row.number, entry, row.have)
            noted = [file.has(slot) for slot in range(len(file.offsets) - 1)]
            if not holds_sample(handle, entry.ids, file.offsets, noted):  # the disk has lied: all of it is read
                file, noted = StagedFile(row.number, entry), [False] * len(noted)
            for slot in written_slots(handle, entry.ids, file.offsets, noted):
                file.mark(slot)
        finally:
            os.close(handle)
        return file

    def _can_create(self, file: StagedFile) -> bool:
        try:
            self._create(file)
        except PathError as problem:
            self._refuse(problem)
            return False
        return True

    def _refuse(self, problem: PathError) -> None:
        with self._lock:
            self.problems.setdefault(problem.path, problem)

    def _create(self, file: StagedFile) -> None:
        try:
            handle = os.open(file.name, _CREATE, 0o600, dir_fd=self._handle)
            try:
                os.ftruncate(handle, file.size_bytes)
            finally:
                os.close(handle)
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise PathError(file.entry.path, "is larger than a file can be here") from None
            raise store_error(error, f"cannot begin {os.fsdecode(file.entry.path)!r}") from None

    def _take_waiting(self, block: BlockId) -> list[tuple[StagedFile, int]]:
        with self._lock:
            return self._waiting.pop(block, [])

    def _write_to(self, waiting: list[tuple[StagedFile, int]], block: BlockId, data: Payload) -> None:
        while waiting:
            file, slot = waiting[-1]
            if len(data) != file.length(slot):
                self._refuse(PathError(file.entry.path, "its blocks are not as long as the folder says"))
                waiting.pop()
                continue
            try:
                self._write_at(file, slot, data)
            except OSError as error:
                with self._lock:
                    self._waiting.setdefault(block, []).extend(waiting)
                raise store_error(error, f"cannot write {os.fsdecode(file.entry.path)!r}") from None
            self._written(file, slot, block)
            waiting.pop()

    def _write_at(self, file: StagedFile, slot: int, data: Payload) -> None:
        view, offset = memoryview(data), file.offsets[slot]
        handle = os.open(file.name, _CREATE, 0o600, dir_fd=self._handle)
        try:
            while view:
                written = os.pwrite(handle, view, offset)
                view, offset = view[written:], offset + written
            if file.is_whole:
                file.has_looks = _set_looks(handle, file.entry)
        finally:
            os.close(handle)

    def _written(self, file: StagedFile, slot: int, block: BlockId | None) -> None:
        with self._lock:
            if file.has(slot) or self._active.get(file.number) is not file:
                return  # or it was abandoned while it was being written to
            file.mark(slot)
            self.written_bytes += file.length(slot)
            if not file.is_whole:
                self._unnoted.add(file)
            elif block is not None:
                self._whole[block] = file
            if not file.missing:
                self._finished.append(file)

    def _give_up(self, row: StagedRow) -> None:
        with self._database.transaction():
            self._rows.drop(row.number, keep_places=False)
        self._resumable.pop(row.key, None)
        self._resumable_have.pop(row.number, None)
        self._unlink(str(row.number))

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._handle)


def _set_looks(handle: int, entry: Entry) -> bool:
    """Set an open file's permissions and time; return whether that could be done."""
    try:
        os.fchmod(handle, entry.mode)
        os.utime(handle, ns=(entry.mtime_ns, entry.mtime_ns))
    except OSError:  # whoever puts it in its place tries again, and says what is wrong
        return False
    return True
