"""Paths below a folder without following links, and writes that survive a power cut."""

import contextlib
import ctypes
import errno
import os
import stat
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from p2psync.errors import PathError, StoreError

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MOST_HANDLES = 128
"""Directories kept open by one batch of work; far below the usual limit of 1,024 descriptors."""


class DirectoryHandles:
    """Open directories below one root, found component by component, so that no link is ever followed.

    For the length of one batch of work in one thread: a handle stays with its directory even if that is renamed.

    Args:
        root: Where they all are.
        unlocked: Given, directories that their owner may not go through are made so; told the path of each.
    """

    def __init__(self, root: Path, unlocked: Callable[[bytes], None] | None = None) -> None:
        self._root = root
        self._unlocked = unlocked
        self._handles: OrderedDict[bytes, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all handles."""
        while self._handles:
            os.close(self._handles.popitem()[1])

    def open(self, directory: bytes) -> int:
        """Return a descriptor of a directory, valid until many more have been opened.

        Raises:
            FileNotFoundError: It does not exist.
            PathError: Something on the way is a link or not a directory.
        """
        handle = self._handles.get(directory)
        if handle is not None:
            self._handles.move_to_end(directory)
            return handle
        at, missing = self._nearest(directory)
        handle = self._handles[at]
        for name in missing:
            at = at + b"/" + name if at else name
            handle = self._remember(at, self._open_or_unlock(handle, name, at))
        return handle

    def make(self, directory: bytes) -> int:
        """Return a descriptor like `open`; make what is missing of the path, for its owner alone.

        Raises:
            PathError: Something on the way is a link or not a directory.
        """
        at = b""
        for name in directory.split(b"/") if directory else ():
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.open(at))
            at = at + b"/" + name if at else name
        return self.open(directory)

    def forget(self, directory: bytes) -> None:
        """Close the handles of a directory that is about to be moved or removed, and of all below it."""
        below = directory + b"/"
        for path in [path for path in self._handles if path == directory or path.startswith(below)]:
            os.close(self._handles.pop(path))

    def _nearest(self, directory: bytes) -> tuple[bytes, list[bytes]]:
        missing: list[bytes] = []
        at = directory
        while at and at not in self._handles:
            at, _, name = at.rpartition(b"/")
            missing.append(name)
        if at not in self._handles:
            self._remember(b"", os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        return at, missing[::-1]

    def _open_or_unlock(self, handle: int, name: bytes, path: bytes) -> int:
        try:
            below = self._open_below(handle, name, path)
            if self._unlocked is None or os.access(b".", os.X_OK, dir_fd=below):
                return below
            os.close(below)
        except PermissionError:
            if self._unlocked is None:
                raise
        set_mode(name, stat.S_IRWXU, handle)
        self._unlocked(path)
        return self._open_below(handle, name, path)

    @staticmethod
    def _open_below(handle: int, name: bytes, whole: bytes) -> int:
        try:
            return os.open(name, _DIRECTORY_FLAGS, dir_fd=handle)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise PathError(whole, "a part of the path is a link or a file, not a directory") from None
            raise

    def _remember(self, directory: bytes, handle: int) -> int:
        self._handles[directory] = handle
        if len(self._handles) > MOST_HANDLES:
            os.close(self._handles.popitem(last=False)[1])
        return handle


def set_mode(name: bytes, mode: int, directory: int) -> None:
    """Set permissions; not through a link that may have taken the name meanwhile."""
    if os.chmod in os.supports_follow_symlinks:
        os.chmod(name, mode, dir_fd=directory, follow_symlinks=False)
        return
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.chmod(f"/proc/self/fd/{handle}", mode)
    finally:
        os.close(handle)


def rename_into_gap(old: bytes, new: bytes, source: int, target: int) -> bool:
    """Rename to a name that nothing has, from one open directory to another; where something stands, return False.

    In one step where the system and the file system can do that, so that nothing that comes meanwhile is replaced; else
    there is a look before.
    """
    if _renameat2 is not None:
        if _renameat2(source, old, target, new, _RENAME_NOREPLACE) == 0:
            return True
        number = ctypes.get_errno()
        if number == errno.EEXIST:
            return False
        if number not in (errno.EINVAL, errno.ENOSYS):  # which say that it cannot
            raise OSError(number, os.strerror(number), new)
    with contextlib.suppress(FileNotFoundError):
        os.stat(new, dir_fd=target, follow_symlinks=False)
        return False
    os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)
    return True


def make_durable(path: Path) -> None:
    """Put everything that was written to the file system of `path` on its disk: one call for a whole batch.

    Raises:
        StoreError: The disk failed, or `path` has gone.
    """
    if not sys.platform.startswith("linux"):
        os.sync()
        return
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise store_error(error, f"cannot use {str(path)!r}, which must stay while p2psync runs") from None
    try:
        if _libc.syncfs(handle) != 0:
            raise StoreError(f"writing to the disk failed: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(handle)


_libc = ctypes.CDLL(None, use_errno=True)
_RENAME_NOREPLACE = 1
_renameat2 = getattr(_libc, "renameat2", None)  # Linux alone has it
if _renameat2 is not None:
    _renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)


def write_whole(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace a small file so that after a power cut it is either the old or the new one."""
    beside = path.with_name(path.name + ".new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def store_error(error: OSError, what: str, advice: str = "") -> StoreError:
    """Return the sentence for a disk that failed us, with `advice` behind it; a full disk is transient."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = "the disk is full: make room and run the same command again" if full else os.strerror(error.errno or 0)
    return StoreError(f"{what}: {reason}{advice}", transient=full)
