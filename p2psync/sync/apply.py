"""Apply: make, replace and remove things in the folder, so that a crash or the user's own edit never costs a file.

Every path is reached through directory handles (no link is followed). What stands at a path is replaced only if
p2psync put it there and it has not changed since; anything else is first moved to the versions directory. New content
is complete and durable under another name before it is renamed into place.
"""

import contextlib
import errno
import functools
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from p2psync.errors import P2PSyncError, PathError
from p2psync.manifest.entry import Entry, Kind, entry_key
from p2psync.store.files import DirectoryHandles, make_durable, rename_into_gap, set_mode
from p2psync.store.folder_state import FolderState
from p2psync.store.index import FileRow
from p2psync.store.local_file import LocalFile
from p2psync.store.staged_file import StagedFile
from p2psync.sync.fingerprint import UNSETTLED, fingerprint, is_settled, is_unwritten, looks_like, unsettled
from p2psync.sync.problems import PathProblems
from p2psync.sync.versions import VersionsDirectory

VERSIONS = "versions"
_FREED_BESIDE_BYTES = 64 << 20
_HOLD_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_Result = TypeVar("_Result")


class FolderWriter:
    """All changes to one folder; for one thread at a time.

    Args:
        folder: The folder.
        versions_name: Name of the directory below `versions` that takes what is displaced now.

    Attributes:
        problems: What could not be done.
        in_doubt: Something was noted that could not be done then: only a scan tells what stands there.
        displaced: How many of the user's things were moved to the versions directory.
    """

    def __init__(self, folder: FolderState, versions_name: str) -> None:
        self._database = folder.database
        self._index = folder.index
        self._staging = folder.staging
        self._versions = VersionsDirectory(folder.directory / VERSIONS, versions_name)
        self._touched: set[bytes] = set()
        self._handles = DirectoryHandles(folder.root, self._touched.add)
        self._rows: list[FileRow] = []
        self._blocked_files: list[StagedFile] = []
        self._blocked_links: list[Entry] = []
        self.problems = PathProblems()
        self.in_doubt = False
        self.displaced = 0

    def close(self) -> None:
        """Let go of the folder's directories."""
        self._handles.close()

    def adopt(self, entry: Entry, local: LocalFile) -> None:
        """Record that what stands there is what the manifest says; whose it is does not change."""
        self._rows.append((local.number, entry, local.fingerprint, local.ours))

    def touch(self, entry: Entry, local: LocalFile) -> None:
        """Set permissions and time."""
        if entry.kind is Kind.DIRECTORY:
            self._rows.append((local.number, entry, UNSETTLED, local.ours))
            self._touched.add(entry.path)
            return
        with self.problems.at(entry.path):
            handle = self._handles.open(entry.parent)
            if not looks_like(local.fingerprint, _look(entry.name, handle)):
                raise PathError(entry.path, "changed while it was being looked at: run the same command again")
            if entry.mode != local.entry.mode and entry.kind is not Kind.SYMLINK:
                set_mode(entry.name, entry.mode, handle)
            _set_time(entry.name, entry, handle)
            mark = _look(entry.name, handle)
            self._rows.append((
                local.number, entry, mark if is_settled(local.fingerprint) else unsettled(mark), local.ours
            ))  # fmt: skip

    def make(self, entries: Sequence[Entry]) -> None:
        """Make directories and links, which come in key order; directories get their state in `finish_directories`."""
        found = [(entry, self._try_clear(entry)) for entry in entries]
        clear = [(entry, mark) for entry, mark in found if mark is not None]
        self._put_rows([(None, entry, mark, True) for entry, mark in clear])
        known_problems = len(self.problems)
        for entry, mark in clear:
            with self.problems.at(entry.path):
                if entry.kind is Kind.DIRECTORY:
                    self._make_directory(entry)
                else:
                    self._make_link(entry, mark)
        if len(self.problems) > known_problems:
            with self._database.transaction():
                self._take_back(clear, self.problems[known_problems:])
        self.flush()

    def place(self, files: Sequence[StagedFile]) -> None:
        """Put complete files in their places: one step to make all durable, then a rename each.

        What is about to appear is noted before, with the looks of what stands there still, and what `stat` says of it
        after: a crash between the two leaves files that the next scan, once it has read them, knows to be ours.
        """
        if not files:
            return
        known = self._index.known_keys([file.entry.key for file in files])
        found = [(file, self._try_finish(file, is_known=file.entry.key in known)) for file in files]
        clear = [(file, mark) for file, mark in found if mark is not None]
        make_durable(self._staging.directory)
        self._put_rows([(file.number, file.entry, mark, True) for file, mark in clear])
        known_problems = len(self.problems)
        placed: list[StagedFile] = []
        marks: list[tuple[bytes, int]] = []
        for file, mark in clear:
            with self.problems.at(file.entry.path):
                marks.append((self._rename_in(file.name, file.entry, mark), file.number))
                placed.append(file)
                if file.taken and not is_unwritten(file.taken, marks[-1][0]):
                    reason = "was written to while it was renamed: run the same command again"
                    self.problems.append(PathError(file.entry.path, reason))
        with self._database.transaction():
            self._index.set_fingerprints(marks)
            self._staging.settle(placed)
            numbers = {number for _, number in marks}
            notes = [(file.entry, UNSETTLED if file.number in numbers else mark) for file, mark in clear]
            self._take_back(notes, self.problems[known_problems:])
        self._handles.close()  # what the user moves away meanwhile must not be written into

    def place_blocked(self) -> None:
        """Place what a directory of ours stood in the way of, now that it has been emptied of what was ours."""
        files, self._blocked_files = self._blocked_files, []
        links, self._blocked_links = self._blocked_links, []
        for entry in [file.entry for file in files] + links:
            with self.problems.at(entry.path):
                self._handles.forget(entry.path)
                try:
                    self._inside(entry.parent, functools.partial(_remove_directory, entry.name))
                    self._index.remove_files([entry.key])
                except OSError:
                    self.set_aside(entry)  # the user has put something of their own into it
        self.place(files)
        self.make(links)

    def remove(self, local: LocalFile) -> bool:
        """Remove what p2psync put there; return False, and leave it, if the user has changed it since."""
        entry = local.entry
        try:
            handle = self._handles.open(entry.parent)
            status = os.stat(entry.name, dir_fd=handle, follow_symlinks=False)
            if entry.kind is Kind.DIRECTORY:
                self._handles.forget(entry.path)
                self._inside(entry.parent, lambda handle: os.rmdir(entry.name, dir_fd=handle))
            elif not looks_like(local.fingerprint, fingerprint(status)):
                return False
            else:
                self._inside(entry.parent, lambda handle: os.unlink(entry.name, dir_fd=handle))
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                self.problems.note(entry.path, error)
            return False
        except PathError:
            pass  # its directory has become a link or a file, so the path is gone
        self._touched.discard(entry.path)
        self._index.remove_files([entry.key])
        return True

    def take(self, local: LocalFile, staged_name: str) -> bool:
        """Move what p2psync put there to a staged file, if it still looks as it was left; else return False."""
        entry = local.entry
        if not local.ours or not is_settled(local.fingerprint):
            return False
        with contextlib.suppress(OSError, PathError):
            if looks_like(local.fingerprint, _look(entry.name, self._handles.open(entry.parent))):
                staging = self._staging.handle
                self._inside(
                    entry.parent,
                    lambda handle: os.rename(entry.name, staged_name, src_dir_fd=handle, dst_dir_fd=staging),
                )
                self._index.remove_files([entry.key])
                return True
        return False

    def set_aside(self, entry: Entry) -> None:
        """Move whatever stands at a path to the versions directory.

        Raises:
            OSError: It could not be moved; it stays where it is.
        """
        self._move_away(entry)
        self._index.remove_files([entry.key, *self._index.keys_below(entry.path)])

    def clear_addition(self, local: LocalFile) -> None:
        """Move something of the user's to the versions directory, unless that went there with its directory."""
        entry = local.entry
        with self.problems.at(entry.path), contextlib.suppress(FileNotFoundError):
            if self._index.file_at(entry.key) is not None:
                self.set_aside(entry)

    def flush(self) -> None:
        """Record what has been made so far, and let go of the directories it is in."""
        rows, self._rows = self._rows, []
        self._put_rows(rows)
        self._handles.close()

    def finish_directories(self) -> None:
        """Give every directory that was made, or written into, its permissions and time, after all below it."""
        self.flush()
        marks: list[tuple[bytes, int]] = []
        for path in sorted(self._touched, reverse=True):  # neighbours one after the other: their handles are at hand
            parent, _, name = path.rpartition(b"/")
            local = self._index.file_at(entry_key(parent, name)) if path else None
            if local is None or local.entry.kind is not Kind.DIRECTORY:
                continue
            with self.problems.at(local.entry.path):
                handle = self._handles.open(path)
                os.fchmod(handle, local.entry.mode)
                os.utime(handle, ns=(local.entry.mtime_ns, local.entry.mtime_ns))
                marks.append((fingerprint(os.fstat(handle)), local.number))
        self._touched.clear()
        with self._database.transaction():
            self._index.set_fingerprints(marks)
        self._handles.close()

    def _make_directory(self, entry: Entry) -> None:
        self._touched.add(entry.path)
        try:
            self._inside(entry.parent, lambda handle: os.mkdir(entry.name, entry.mode & 0o777 | 0o700, dir_fd=handle))
        except FileExistsError:  # the user's own: it gets the state, but is not ours to remove
            self._rows.append((None, entry, UNSETTLED, False))

    def _make_link(self, entry: Entry, mark: bytes) -> None:
        name = str(self._index.allocate_number())
        os.symlink(entry.target, name, dir_fd=self._staging.handle)
        try:
            _set_time(name, entry, self._staging.handle)
            self._rows.append((None, entry, self._rename_in(name, entry, mark), True))
        except (OSError, P2PSyncError):
            os.unlink(name, dir_fd=self._staging.handle)
            raise

    def _take_back(self, notes: Sequence[tuple[Entry, bytes]], problems: Sequence[PathError]) -> None:
        """Have the index forget what it was told of paths that failed, unless something stood there before."""
        failed = {problem.path for problem in problems}
        if failed:
            self.in_doubt = True
            self._index.remove_files([entry.key for entry, mark in notes if not mark and entry.path in failed])

    def _put_rows(self, rows: Sequence[FileRow]) -> None:
        if rows:
            with self._database.transaction():
                self._index.put_files(rows)

    def _try_finish(self, file: StagedFile, *, is_known: bool) -> bytes | None:
        """Give a staged file its state and make room for it where something is known to stand; like `_try_clear`."""
        if file.has_looks and not is_known:
            return UNSETTLED
        with self.problems.at(file.entry.path):
            staging = self._staging.handle
            if not file.has_looks and (not file.taken or is_unwritten(file.taken, _look(file.name, staging))):
                os.chmod(file.name, file.entry.mode, dir_fd=staging)
                _set_time(file.name, file.entry, staging)
                file.taken = file.taken and _look(file.name, staging)
            return self._try_clear(file.entry, file) if is_known else UNSETTLED
        return None

    def _try_clear(self, entry: Entry, file: StagedFile | None = None) -> bytes | None:
        """Make room at a path; return how it looks now, or, where that fails for now or for good, say so and None."""
        with self.problems.at(entry.path):
            mark = self._clear_way(entry, keep_directory=entry.kind is Kind.DIRECTORY)
            if mark is not None:
                return mark
            if file is not None:
                self._blocked_files.append(file)
            else:
                self._blocked_links.append(entry)
        return None

    def _clear_way(self, entry: Entry, *, keep_directory: bool) -> bytes | None:
        """Make room at a path: leave what a rename may replace, move away what is the user's.

        Returns:
            How what a rename may replace looks, UNSETTLED where nothing stands, None where a directory of ours must
            first be emptied.
        """
        try:
            status = os.stat(entry.name, dir_fd=self._handles.open(entry.parent), follow_symlinks=False)
        except FileNotFoundError:
            return UNSETTLED
        is_directory = stat.S_ISDIR(status.st_mode)
        if is_directory and keep_directory:
            return UNSETTLED
        local = self._index.file_at(entry.key)
        if is_directory and local is not None and local.ours:
            return None
        changed = local is None or not local.ours or not looks_like(local.fingerprint, fingerprint(status))
        if is_directory or local is None or changed or _may_be_damage(entry, local.entry):
            self.set_aside(entry)
        elif entry.kind is Kind.DIRECTORY:
            self._inside(entry.parent, lambda handle: os.unlink(entry.name, dir_fd=handle))
        else:
            return unsettled(local.fingerprint)
        return UNSETTLED

    def _move_away(self, entry: Entry) -> None:
        self._handles.forget(entry.path)
        above = self._handles.open(entry.parent)
        status = os.stat(entry.name, dir_fd=above, follow_symlinks=False)
        mode = stat.S_IMODE(status.st_mode)
        locked = stat.S_ISDIR(status.st_mode) and not mode & stat.S_IWUSR  # moving a directory changes its `..`
        with self._versions.room_for(entry) as target:
            if locked:
                set_mode(entry.name, mode | stat.S_IRWXU, above)
            self._inside(
                entry.parent,
                lambda handle: os.rename(entry.name, entry.name, src_dir_fd=handle, dst_dir_fd=target),
            )
            if locked:
                set_mode(entry.name, mode, target)
        self.displaced += 1

    def _rename_in(self, staged_name: str, entry: Entry, mark: bytes) -> bytes:
        def rename(handle: int) -> bytes:
            if not mark and rename_into_gap(staged_name.encode(), entry.name, self._staging.handle, handle):
                return _look(entry.name, handle)
            now = _look(entry.name, handle)
            if now and not looks_like(mark, now):  # the user has been quicker
                self._move_away(entry)
            with _freed_beside(entry.name, handle):
                os.rename(staged_name, entry.name, src_dir_fd=self._staging.handle, dst_dir_fd=handle)
            return _look(entry.name, handle)

        return self._inside(entry.parent, rename)

    def _inside(self, directory: bytes, act: Callable[[int], _Result]) -> _Result:
        """Change a directory's content, also if it is read-only; its permissions and time are set again at the end."""
        handle = self._handles.open(directory)
        self._touched.add(directory)
        try:
            return act(handle)
        except PermissionError:
            mode = stat.S_IMODE(os.fstat(handle).st_mode)
            if mode & stat.S_IRWXU == stat.S_IRWXU or not directory:
                raise
            os.fchmod(handle, mode | stat.S_IRWXU)
            return act(handle)


def _may_be_damage(entry: Entry, before: Entry) -> bool:
    """Say whether other content comes with the time and size of what is here: a disk may have failed over there."""
    same_looks = entry.kind is Kind.FILE is before.kind and entry.mtime_ns == before.mtime_ns
    return same_looks and entry.ids != before.ids and entry.size_bytes == before.size_bytes


@contextlib.contextmanager
def _freed_beside(name: bytes, directory: int) -> Iterator[None]:
    """Have a thread free what a large file takes that is replaced inside: 0.1 s a GiB that nobody need wait for."""
    replaced = -1
    with contextlib.suppress(OSError):
        if os.stat(name, dir_fd=directory, follow_symlinks=False).st_size >= _FREED_BESIDE_BYTES:
            replaced = os.open(name, _HOLD_FLAGS, dir_fd=directory)
    try:
        yield
    finally:
        if replaced >= 0:
            threading.Thread(target=os.close, args=(replaced,), name="freeing").start()


def _remove_directory(name: bytes, handle: int) -> None:
    os.rmdir(name, dir_fd=handle)


def _look(name: bytes | str, directory: int) -> bytes:
    """Return the fingerprint of what stands there, UNSETTLED if nothing does."""
    try:
        return fingerprint(os.stat(name, dir_fd=directory, follow_symlinks=False))
    except FileNotFoundError:
        return UNSETTLED


def _set_time(name: bytes | str, entry: Entry, directory: int) -> None:
    os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=directory, follow_symlinks=False)
