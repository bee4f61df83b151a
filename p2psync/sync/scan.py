"""Scan: bring the index up to date with the folder; only what `stat` says has changed is read."""

import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from p2psync.chunking import FEWEST_CHUNKS, SMALLEST_CUT, choose_cut
from p2psync.errors import PathError
from p2psync.manifest.entry import Entry, Kind, join_path
from p2psync.store.files import store_error
from p2psync.store.folder_state import FolderState
from p2psync.store.local_file import LocalFile
from p2psync.sync.fingerprint import UNSETTLED, is_settled, looks_like, settled_fingerprint
from p2psync.sync.hashing import hash_file
from p2psync.sync.paths import STATE_DIRECTORY

BATCH = 1000
"""Changed paths a transaction: enough to make its cost vanish, few enough to hold in memory."""
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_HASH_THREADS = 2


@dataclass(slots=True)
class ScanReport:
    """What a scan found.

    Attributes:
        files: Files seen.
        size_bytes: Their bytes.
        hashed_files: Files that had to be read.
        hashed_bytes: Their bytes.
        changed: Keys of what is new or different or gone.
        problems: Paths that were left out, and why.
        unsettled: Whether a file was changing meanwhile, so that another scan should follow soon.
    """

    files: int = 0
    size_bytes: int = 0
    hashed_files: int = 0
    hashed_bytes: int = 0
    changed: int = 0
    problems: list[PathError] = field(default_factory=list)
    unsettled: bool = False


@dataclass(frozen=True, slots=True)
class ScanPolicy:
    """How a scan reads and records.

    Attributes:
        gear_seed: `FolderKeys.gear_seed`.
        version_of: Gives the version vector of a changed path from the one it had (empty for a new path).
        keeps_tombstones: Whether a path that is gone is remembered as deleted, as a publisher's is, or forgotten.
        cut_hint: Gives the cut exponent that the folder's manifest has for a key, if it has one.
        now_ns: The time of day, nanoseconds since 1970, by the clock that stamps files.
        checkpoint: Called often; may raise to give up.
    """

    gear_seed: int
    version_of: Callable[[bytes], bytes]
    keeps_tombstones: bool
    cut_hint: Callable[[bytes], int | None]
    now_ns: Callable[[], int]
    checkpoint: Callable[[], None]


def scan_folder(folder: FolderState, policy: ScanPolicy, progress: Callable[[ScanReport], None]) -> ScanReport:
    """Walk the folder and record what differs from the index.

    Raises:
        StoreError: The folder itself cannot be read, or the index not written.
    """
    with ThreadPoolExecutor(_HASH_THREADS) as pool:
        scan = _Scan(folder, policy, pool, progress)
        try:
            handle = os.open(folder.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise store_error(error, f"cannot read the folder {str(folder.root)!r}") from None
        scan.walk(handle)
        scan.flush()
    return scan.report


class _Scan:
    def __init__(
        self,
        folder: FolderState,
        policy: ScanPolicy,
        pool: ThreadPoolExecutor,
        progress: Callable[[ScanReport], None],
    ) -> None:
        self.report = ScanReport()
        self._database = folder.database
        self._index = folder.index
        self._policy = policy
        self._pool = pool
        self._progress = progress
        self._began_ns = policy.now_ns()
        self._changed: list[tuple[int | None, Entry, bytes, bool]] = []
        self._gone: list[bytes] = []

    def walk(self, handle: int) -> None:
        """Scan a directory, given as an open descriptor, and all below it; closes the descriptor."""
        below: list[tuple[int, bytes, list[bytes]]] = [(handle, b"", [])]
        try:
            below[0] = (handle, b"", self._scan_directory(handle, b""))
            while below:
                handle, directory, names = below[-1]
                if not names:
                    os.close(below.pop()[0])
                    continue
                name = names.pop()
                path = join_path(directory, name)
                try:
                    child = os.open(name, _OPEN_FLAGS | os.O_DIRECTORY, dir_fd=handle)
                    below.append((child, path, []))
                    below[-1] = (child, path, self._scan_directory(child, path))
                except OSError as error:
                    self._problem(path, error)
        finally:
            for handle, _, _ in below:
                os.close(handle)

    def _scan_directory(self, handle: int, directory: bytes) -> list[bytes]:
        """Record one directory's own content; return the names of the directories in it."""
        self._policy.checkpoint()
        self._progress(self.report)
        known = self._index.files_in(directory)
        below = list(self._entries(handle, directory, known))
        for local in known.values():
            self._note_gone(local)
        return below

    def flush(self) -> None:
        """Record what has been collected."""
        if not self._changed and not self._gone:
            return
        with self._database.transaction():
            self._index.put_files(self._changed)
            if self._gone:
                self._record_gone()
        self._changed, self._gone = [], []

    def _entries(self, handle: int, directory: bytes, known: dict[bytes, LocalFile]) -> Iterator[bytes]:
        """Look at each name; yield the directories; take from `known` what is still there."""
        with os.scandir(handle) as listing:
            found = [(os.fsencode(item.name), item) for item in listing]
        for name, item in found:
            if name == STATE_DIRECTORY:
                if directory:
                    self._problem(join_path(directory, name), "holds the keys of a folder shared by itself: left out")
                continue
            local = known.pop(name, None)
            try:
                status = item.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    self.report.files += 1
                    self.report.size_bytes += status.st_size
                mark = settled_fingerprint(status, self._began_ns)
                if local is None or mark != local.fingerprint or not is_settled(mark):
                    self._look_at(handle, directory, name, local)
            except FileNotFoundError:
                if local is not None:
                    self._note_gone(local)
                continue
            except OSError as error:
                self._problem(join_path(directory, name), error)
                continue
            if stat.S_ISDIR(status.st_mode):
                yield name

    def _look_at(self, handle: int, directory: bytes, name: bytes, local: LocalFile | None) -> None:
        status = os.stat(name, dir_fd=handle, follow_symlinks=False)
        if local is not None and local.entry.kind is Kind.DIRECTORY and not stat.S_ISDIR(status.st_mode):
            self._gone += self._index.keys_below(local.entry.path)
        entry = Entry(directory, name, Kind.FILE, _mtime_ns(status), stat.S_IMODE(status.st_mode) & 0o777)
        if stat.S_ISREG(status.st_mode):
            hashed = self._hash(handle, entry, local)
            if hashed is None:
                return
            entry, status = hashed
        elif stat.S_ISDIR(status.st_mode):
            entry = entry._replace(kind=Kind.DIRECTORY)
        elif stat.S_ISLNK(status.st_mode):
            entry = entry._replace(kind=Kind.SYMLINK, mode=0o777, target=os.readlink(name, dir_fd=handle))
        else:
            self._problem(entry.path, "is a socket, a device or a FIFO: left out")
            if local is not None:
                self._note_gone(local)
            return
        self._note(entry, settled_fingerprint(status, self._began_ns), local)

    def _hash(self, handle: int, entry: Entry, local: LocalFile | None) -> tuple[Entry, os.stat_result] | None:
        file = os.open(entry.name, _OPEN_FLAGS, dir_fd=handle)
        try:
            before = os.fstat(file)
            if not stat.S_ISREG(before.st_mode):  # something else has just taken its place
                self.report.unsettled = True
                return None
            cut = self._cut(entry.key, before.st_size, local)
            ids, lengths = hash_file(
                file, before.st_size, cut, self._policy.gear_seed, self._pool, self._policy.checkpoint
            )
            after = os.fstat(file)
        finally:
            os.close(file)
        self.report.hashed_files += 1
        self.report.hashed_bytes += after.st_size
        self._progress(self.report)
        if (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (
            after.st_size, after.st_mtime_ns, after.st_ctime_ns,
        ):  # fmt: skip
            # Being written to. What is published stays what it was, until a scan finds the file at rest.
            self.report.unsettled = True
            return None
        mode = stat.S_IMODE(after.st_mode) & 0o777
        return entry._replace(mtime_ns=_mtime_ns(after), mode=mode, cut=cut, ids=ids, lengths=lengths), after

    def _cut(self, key: bytes, size_bytes: int, local: LocalFile | None) -> int:
        if size_bytes < FEWEST_CHUNKS << (SMALLEST_CUT + 1):  # no file of this size is cut larger, whatever it was
            return SMALLEST_CUT
        current = self._policy.cut_hint(key)
        if current is None and local is not None and local.entry.kind is Kind.FILE:
            current = local.entry.cut
        return choose_cut(size_bytes, current)

    def _note(self, entry: Entry, mark: bytes, local: LocalFile | None) -> None:
        if local is not None and local.entry._replace(version=b"") == entry:
            entry = entry._replace(version=local.entry.version)
            ours = local.ours
        else:
            self.report.changed += 1
            ours = local is not None and local.ours and _is_untouched(local, entry, mark)
            entry = entry._replace(version=self._policy.version_of(local.entry.version if local else b""))
        if local is not None and mark == local.fingerprint and entry == local.entry:
            return
        self._changed.append((local.number if local else None, entry, mark, ours))
        if len(self._changed) >= BATCH:
            self.flush()

    def _note_gone(self, local: LocalFile) -> None:
        if local.entry.kind is Kind.TOMBSTONE:
            return
        self.report.changed += 1
        self._gone.append(local.entry.key)
        if local.entry.kind is Kind.DIRECTORY:
            self._gone += self._index.keys_below(local.entry.path)
        if len(self._gone) >= BATCH:
            self.flush()

    def _record_gone(self) -> None:
        tombstones: list[tuple[int | None, Entry, bytes, bool]] = []
        if self._policy.keeps_tombstones:
            for key in self._gone:
                local = self._index.file_at(key)
                if local is not None and local.entry.kind is not Kind.TOMBSTONE:
                    version = self._policy.version_of(local.entry.version)
                    entry = Entry(local.entry.parent, local.entry.name, Kind.TOMBSTONE, version=version)
                    tombstones.append((local.number, entry, UNSETTLED, False))
        self._index.remove_files(self._gone)
        self._index.put_files(tombstones)

    def _problem(self, path: bytes, problem: OSError | str) -> None:
        reason = problem if isinstance(problem, str) else f"cannot be read ({problem.strerror}): left out"
        self.report.problems.append(PathError(path, reason))


def _mtime_ns(status: os.stat_result) -> int:
    """Return the time as the manifest can say it: some file systems know years after 2262 (2^63 ns)."""
    return max(-(1 << 63), min(status.st_mtime_ns, (1 << 63) - 1))


def _is_untouched(local: LocalFile, entry: Entry, mark: bytes) -> bool:
    """Say whether what stands there is what was noted: by content, or, after a crash before the rename, looks."""
    noted = local.entry
    same_content = (noted.kind, noted.ids, noted.target) == (entry.kind, entry.ids, entry.target)
    return same_content or looks_like(local.fingerprint, mark)
