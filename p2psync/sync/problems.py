"""What goes wrong at single paths, of which the rest is independent."""

import errno
import os
from contextlib import AbstractContextManager

from p2psync.errors import PathError
from p2psync.store.files import store_error

_REASONS = {
    errno.ENAMETOOLONG: "its name is too long here",
    errno.EXDEV: "another disk is mounted there, onto which nothing of this folder can be moved: unmount it, or make a "
    "folder of its own of it",
}
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


class PathProblems(list[PathError]):
    """The problems of a folder's paths, in the order in which they came up."""

    def at(self, path: bytes) -> AbstractContextManager[None]:
        """Return a context in which an error of the system, or of a path, ends the context and becomes a problem.

        Raises:
            StoreError: On leaving it, the disk is full or failed: that is no matter of one path.
        """
        return _ProblemAt(self, path)

    def note(self, path: bytes, error: OSError) -> None:
        """Add what the system says of a path.

        Raises:
            StoreError: The disk is full or failed.
        """
        if error.errno in _OF_THE_DISK:
            raise store_error(error, f"cannot write {os.fsdecode(path)!r}") from None
        number = error.errno or 0
        self.append(PathError(path, _REASONS.get(number) or os.strerror(number)))


class _ProblemAt:
    def __init__(self, problems: PathProblems, path: bytes) -> None:
        self._problems = problems
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if isinstance(error, PathError):
            self._problems.append(PathError(self._path, error.reason))
            return True
        if isinstance(error, OSError):
            self._problems.note(self._path, error)
            return True
        return False
