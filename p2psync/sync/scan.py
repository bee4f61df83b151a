"""Scan: bring the index up to date with the folder; only what `stat` says has changed is read."""

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor

from p2psync.chunking import FEWEST_CHUNKS, SMALLEST_CUT, choose_cut
from p2psync.errors import PathError, lacks_descriptor
from p2psync.manifest.entry import Entry, Kind, entry_key, join_path
from p2psync.store.files import DirectoryHandles, store_error
from p2psync.store.folder_state import FolderState
from p2psync.store.local_file import LocalFile
from p2psync.sync.fingerprint import UNSETTLED, fingerprint, is_settled, settled_fingerprint
from p2psync.sync.hashing import FileHasher
from p2psync.sync.moved import LEAST_BYTES, moved_from
from p2psync.sync.paths import STATE_DIRECTORY
from p2psync.sync.presence import MountPoints, check_is_there
from p2psync.sync.record import IndexRecorder, clamped_mtime_ns
from p2psync.sync.scan_policy import ScanPolicy, ScanReport

_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_HASH_THREADS = 2
_STAT_BLOCK_BYTES = 512
_UNREADABLE = (errno.EACCES, errno.EPERM, errno.EIO)


def scan_folder(
    folder: FolderState,
    policy: ScanPolicy,
    progress: Callable[[ScanReport], None],
    only: Collection[bytes] | None = None,
) -> ScanReport:
    """Walk the folder and record what differs from the index.

    Args:
        folder: The folder.
        policy: How.
        progress: Told often how far it is.
        only: Paths of the directories in which something has changed, if that is known; nothing else is looked at.

    Raises:
        StoreError: The folder itself cannot be read, its disk seems not to be mounted, or the index is not written.
    """
    with ThreadPoolExecutor(_HASH_THREADS) as pool:
        scan = _Scan(folder, policy, pool, progress)
        try:
            scan.run(only)
        finally:
            scan.close()
    return scan.report


class _ChangingError(Exception):
    """The file that is being read is being written to."""


class _Scan:
    def __init__(
        self,
        folder: FolderState,
        policy: ScanPolicy,
        pool: ThreadPoolExecutor,
        progress: Callable[[ScanReport], None],
    ) -> None:
        self.report = ScanReport()
        self._folder = folder
        self._root = folder.root
        self._index = folder.index
        self._policy = policy
        self._progress = progress
        self._began_ns = policy.now_ns()
        self._reading: tuple[int, os.stat_result] | None = None
        self._mounts = MountPoints(folder.database)
        self._unread: set[bytes] = set()  # directories in which something could not be opened for lack of descriptors
        self._hasher = FileHasher(policy.gear_seed, pool, self._checkpoint, folder.memory.segment_bytes)
        self._recorder = IndexRecorder(
            folder.database,
            folder.index,
            policy.version_of,
            policy.on_changes,
            keeps_tombstones=policy.keeps_tombstones,
        )

    def run(self, only: Collection[bytes] | None) -> None:
        """Scan everything, or some directories, and those again where no descriptor was free, until all is seen."""
        whole = only is None
        while True:
            self._run_once(only)
            if not self._unread:
                break
            self._recorder.flush()
            self._policy.wait_descriptor()
            only = None if only is None and b"" in self._unread else self._unread
            self._unread = set()
        self._finish(whole=whole)

    def _run_once(self, only: Collection[bytes] | None) -> None:
        try:
            with DirectoryHandles(self._root) as handles:
                check_is_there(self._folder, handles.open(b""))
                if only is None:
                    self._walk(os.dup(handles.open(b"")))
        except OSError as error:
            if not lacks_descriptor(error):
                raise store_error(error, f"cannot read the folder {str(self._root)!r}") from None
            self._unread.update([b""] if only is None else only)
        else:
            self._look_into_all(only or ())

    def _walk(self, handle: int, directory: bytes = b"") -> None:
        """Scan a directory, given as an open descriptor, and all below it; closes the descriptor."""
        below: list[tuple[int, bytes, list[bytes]]] = []
        try:
            self._descend(below, handle, directory)
            while below:
                handle, directory, names = below[-1]
                if not names:
                    os.close(below.pop()[0])
                    continue
                name = names.pop()
                child = self._open_below(handle, directory, name)
                if child is not None:
                    self._descend(below, child, join_path(directory, name))
        finally:
            for handle, _, _ in below:
                os.close(handle)

    def _descend(self, below: list[tuple[int, bytes, list[bytes]]], handle: int, directory: bytes) -> None:
        """Scan one directory, and note which others are in it."""
        below.append((handle, directory, []))
        try:
            below[-1] = (handle, directory, [name for name, _ in self._scan_directory(handle, directory)])
        except OSError as error:
            if not directory:  # nothing can be said of the folder at all
                raise
            self._failed(directory, error, directory)

    def _look_into_all(self, directories: Collection[bytes]) -> None:
        """Scan some directories, and all below those of their directories that are not as the index says."""
        for directory in sorted(directories):
            with DirectoryHandles(self._root) as handles:
                self._look_into(handles, directory)
            self._recorder.flush()  # what the index says of this one decides what is done about the next

    def _look_into(self, handles: DirectoryHandles, directory: bytes) -> None:
        parent, _, name = directory.rpartition(b"/")
        try:
            if name and not self._look_again(handles.open(parent), parent, name):
                return  # it is a directory no more
            handle = handles.open(directory)
            # A new one, perhaps of the same inode number: nobody has watched what came into it.
            changed = [below for below, has_changed in self._scan_directory(handle, directory) if has_changed]
            for below in changed:
                child = self._open_below(handle, directory, below)
                if child is not None:
                    self._walk(child, join_path(directory, below))
        except FileNotFoundError:  # it has gone, and perhaps what it stood in: what is left of the way to it says so
            if name:
                self._recorder.flush()
                self._look_into(handles, parent)
        except PathError:  # what it stood in has become something else
            self._look_into(handles, parent)
        except OSError as error:
            self._failed(directory, error, directory)

    def _open_below(self, handle: int, directory: bytes, name: bytes) -> int | None:
        """Open a directory that was seen in another; return None where that cannot be done any more."""
        try:
            return os.open(name, _OPEN_FLAGS | os.O_DIRECTORY, dir_fd=handle)
        except FileNotFoundError:
            self._note_gone(directory, name)
        except OSError as error:
            path = join_path(directory, name)
            self._failed(path, error, path)
        return None

    def _note_gone(self, directory: bytes, name: bytes) -> None:
        """Record that something has gone which this very scan may have seen."""
        self._recorder.flush()
        self._take_for_gone(directory, name)

    def _take_for_gone(self, directory: bytes, name: bytes) -> None:
        path = join_path(directory, name)
        if path in self._mounts:
            self._note_unmounted(path)
        else:
            self._recorder.note_gone(entry_key(directory, name))

    def _note_unmounted(self, path: bytes) -> None:
        if all(problem.path != path for problem in self.report.unmounted):
            self._problem(path, "the disk that was mounted there is gone: put a file there if it is to stay gone")
            self.report.unmounted.append(self.report.problems[-1])

    def _finish(self, *, whole: bool) -> None:
        """Record what has been collected; once everything has been looked at, forget what went long ago."""
        self._recorder.flush()
        self._recorder.flush_gone()
        if whole:
            self._recorder.forget_tombstones()

    def close(self) -> None:
        """Let go of the memory for reading."""
        self._hasher.close()

    def _scan_directory(self, handle: int, directory: bytes) -> list[tuple[bytes, bool]]:
        """Record one directory's own content; return the names of the directories in it, and which changed."""
        self._policy.checkpoint()
        self._progress(self.report)
        known = self._index.marks_in(directory)
        if directory and self._mounts.is_gone(directory, handle):
            self._note_unmounted(directory)
            return []
        below = list(self._entries(handle, directory, known))
        for name, (_, kind) in known.items():
            if kind != Kind.TOMBSTONE:
                self._take_for_gone(directory, name)
        return below

    def _entries(
        self, handle: int, directory: bytes, known: dict[bytes, tuple[bytes, Kind]]
    ) -> Iterator[tuple[bytes, bool]]:
        """Look at each name; yield the directories, and whether changed; take from `known` what is still there."""
        with os.scandir(handle) as listing:
            found = [(os.fsencode(item.name), item) for item in listing]
        for name, item in found:
            if name == STATE_DIRECTORY:
                if directory:
                    self._problem(join_path(directory, name), "holds the keys of another folder: left out")
                continue
            row = known.pop(name, None)
            before = row[0] if row else UNSETTLED
            try:
                if row is None and item.is_file(follow_symlinks=False):
                    self._read_new(handle, directory, name)
                    continue
                status = item.stat(follow_symlinks=False)
                mark = settled_fingerprint(status, self._began_ns)
                if mark != before or not is_settled(mark):
                    self._look_at(handle, directory, name, status, is_known=row is not None)
            except FileNotFoundError:
                self._recorder.note_gone(entry_key(directory, name))
                continue
            except OSError as error:
                self._failed(join_path(directory, name), error, directory)
                continue
            if stat.S_ISREG(status.st_mode):
                self.report.files += 1
            elif stat.S_ISDIR(status.st_mode):
                yield name, mark != before

    def _read_new(self, handle: int, directory: bytes, name: bytes) -> None:
        """Record what its directory says is a file, and the index does not know; opening it tells the rest."""
        entry, status = self._hash(handle, directory, name, None)
        if entry is not None:
            self._recorder.note(entry, settled_fingerprint(status, self._began_ns), None)
            self._show_if_due()
        if stat.S_ISREG(status.st_mode):
            self.report.files += 1

    def _look_again(self, handle: int, directory: bytes, name: bytes) -> bool:
        """Look at a directory's own entry, as what happens inside it changes its time; say whether it is one still."""
        status = os.stat(name, dir_fd=handle, follow_symlinks=False)
        local = self._index.file_at(entry_key(directory, name))
        if local is None or local.fingerprint != fingerprint(status):
            self._look_at(handle, directory, name, status, is_known=local is not None)
            self._recorder.flush()
        return stat.S_ISDIR(status.st_mode)

    def _look_at(self, handle: int, directory: bytes, name: bytes, status: os.stat_result, *, is_known: bool) -> None:
        local = self._index.file_at(entry_key(directory, name)) if is_known else None
        if local is not None and local.entry.kind is Kind.DIRECTORY and not stat.S_ISDIR(status.st_mode):
            self._recorder.note_replaced(local.entry.path)
        mtime_ns, mode = clamped_mtime_ns(status), stat.S_IMODE(status.st_mode) & 0o777
        if stat.S_ISREG(status.st_mode):
            found, status = self._hash(handle, directory, name, local)
            if found is None:
                return
            entry = found
        elif stat.S_ISDIR(status.st_mode):
            entry = Entry(directory, name, Kind.DIRECTORY, mtime_ns, mode)
        elif stat.S_ISLNK(status.st_mode):
            entry = Entry(directory, name, Kind.SYMLINK, mtime_ns, 0o777, target=os.readlink(name, dir_fd=handle))
        else:
            self._problem(join_path(directory, name), "is a socket, a device or a FIFO: left out")
            self._recorder.note_gone(entry_key(directory, name))
            return
        self._recorder.note(entry, settled_fingerprint(status, self._began_ns), local)
        self._show_if_due()

    def _show_if_due(self) -> None:
        if self._policy.is_due():
            self._recorder.flush()
            self._policy.show()

    def _hash(
        self, handle: int, directory: bytes, name: bytes, local: LocalFile | None
    ) -> tuple[Entry | None, os.stat_result]:
        """Read a file; return None with how it looks if it is being written to, or is no file any more."""
        file = os.open(name, _OPEN_FLAGS, dir_fd=handle)
        try:
            before = os.fstat(file)
            if not stat.S_ISREG(before.st_mode):  # something else has just taken its place
                self.report.unsettled.add(directory)
                return None, before
            self._reading = file, before
            cut, ids, lengths = self._blocks(file, before, handle, entry_key(directory, name), local)
            self._check_at_rest()
        except _ChangingError:
            # Being written to. What is published stays what it was, until a scan finds the file at rest.
            self.report.unsettled.add(directory)
            return None, before
        finally:
            self._reading = None
            os.close(file)
        mode = stat.S_IMODE(before.st_mode) & 0o777
        return Entry(directory, name, Kind.FILE, clamped_mtime_ns(before), mode, cut, ids, lengths), before

    def _checkpoint(self) -> None:
        self._policy.checkpoint()
        self._check_at_rest()

    def _check_at_rest(self) -> None:
        """Give up a file that is being written to as soon as that shows, not when all of it has been read."""
        if self._reading is not None:
            file, before = self._reading
            now = os.fstat(file)
            if (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (
                now.st_size,
                now.st_mtime_ns,
                now.st_ctime_ns,
            ):
                raise _ChangingError

    def _blocks(
        self, file: int, status: os.stat_result, directory: int, key: bytes, local: LocalFile | None
    ) -> tuple[int, bytes, bytes]:
        """Return (cut, packed ids, packed lengths) of an open file."""
        before = local.entry if local is not None and local.entry.kind is Kind.FILE else None
        if before is None and status.st_size >= LEAST_BYTES:
            known = moved_from(file, status, directory, self._index, self._policy.gear_seed)
            if known is not None:
                return known.cut, known.ids, known.lengths
        cut = self._cut(key, status.st_size, before)
        sparse = status.st_blocks * _STAT_BLOCK_BYTES < status.st_size
        ids, lengths = self._hasher.hash(file, status.st_size, cut, before, sparse=sparse)
        self.report.hashed_files += 1
        self.report.hashed_bytes += status.st_size
        return cut, ids, lengths

    def _cut(self, key: bytes, size_bytes: int, before: Entry | None) -> int:
        if size_bytes < FEWEST_CHUNKS << (SMALLEST_CUT + 1):  # no file of this size is cut larger, whatever it was
            return SMALLEST_CUT
        current = self._policy.cut_hint(key)
        if current is None and before is not None:
            current = before.cut
        return choose_cut(size_bytes, current)

    def _failed(self, path: bytes, error: OSError, directory: bytes) -> None:
        """Tell of what cannot be read, or look into this directory again if only a descriptor was lacking."""
        if lacks_descriptor(error):
            self._unread.add(directory)
        elif not self._forget(path, error):
            self._problem(path, f"cannot be read ({error.strerror}): left out, or as it was when it was read last")

    def _forget(self, path: bytes, error: OSError) -> bool:
        """Take a known file that can no longer be read for gone, if that is wanted; say whether it was."""
        if not self._policy.forgets_unreadable or error.errno not in _UNREADABLE:
            return False
        parent, _, name = path.rpartition(b"/")
        local = self._index.file_at(entry_key(parent, name))
        if local is None or local.entry.kind is not Kind.FILE or not local.entry.mode & stat.S_IRUSR:
            return False
        self._recorder.note_gone(local.entry.key)
        return True

    def _problem(self, path: bytes, reason: str) -> None:
        self.report.problems.append(PathError(path, reason))
