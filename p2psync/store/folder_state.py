"""A folder's own state on disk: the directory `.p2psync` with its lock, index and staging."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Self

from p2psync.budget import DEFAULT_MEMORY
from p2psync.errors import ConfigError, StoreError
from p2psync.store.database import DamagedError, Database, move_damaged_away
from p2psync.store.files import store_error
from p2psync.store.index import FileIndex
from p2psync.store.inplace import InPlaceStore
from p2psync.store.pages import PageStore
from p2psync.store.staging import Staging

STATE_NAME = ".p2psync"
DEVICE_FILE = "device.key"
_DATABASE, _LOCK, _STAGING = "index.sqlite", "lock", "staging"
_ALWAYS_THERE = {_DATABASE, DEVICE_FILE}
"""One of them at least is in a state that was ever used; the index may be lost."""


class FolderState:
    """Everything p2psync keeps for one folder; one process at a time.

    Attributes:
        root: The folder.
        directory: Its state directory.
        was_damaged: Whether the index was unreadable and had to be begun anew.
        memory: What reading and copying its files may take.
    """

    def __init__(self, root: Path, directory: Path, lock: int) -> None:
        self.root = root
        self.memory = DEFAULT_MEMORY
        self.directory = directory
        self._lock = lock
        self.database, self.was_damaged = _open_database(directory)
        self.index = FileIndex(self.database)
        self.pages = PageStore(self.database)
        try:
            self.staging = Staging(directory / _STAGING, self.database, self.index)
        except OSError as error:
            raise store_error(error, f"cannot use {str(directory / _STAGING)!r}") from None
        self.store = InPlaceStore(root, self.database, self.index, self.staging)

    @classmethod
    def open(cls, root: Path, state_directory: Path | None = None, *, create: bool) -> Self:
        """Open a folder's state, making what is missing.

        Args:
            root: The folder.
            state_directory: Where the state is kept; inside the folder unless it is a read-only source.
            create: Whether the folder itself is made if it does not exist.

        Raises:
            ConfigError: There is no such folder, another p2psync is at work on it, or its state, which holds keys,
                would be a part of it.
            StoreError: It is not a folder, or cannot be read or written.
        """
        _check_apart(root, state_directory)
        _enter(root, create=create)
        directory = state_directory or root / STATE_NAME
        # Only a source, which need not be written, may have its state elsewhere.
        lock = _make_state(directory, advice="" if create else "; the state can be kept elsewhere with --state-dir")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise ConfigError(f"another p2psync is at work on {str(root)!r}: stop it first") from None
        try:
            return cls(root, directory, lock)
        except BaseException:
            os.close(lock)
            raise

    def close(self) -> None:
        """Write down what is known and let go of the folder."""
        with contextlib.suppress(StoreError):  # what could not be noted is found again by the next scan
            self.staging.close()
        self.database.close()
        os.close(self._lock)


def _check_apart(root: Path, state_directory: Path | None) -> None:
    """Refuse to treat state as content: whoever reads the folder would get the key to write it."""
    place = _real_path(root)
    if STATE_NAME in place.parts:
        raise ConfigError(f"{str(root)!r} is p2psync's own, as is all in a {STATE_NAME!r}: name the folder around that")
    if state_directory is not None:
        state = _real_path(state_directory)
        if state != place / STATE_NAME and state.is_relative_to(place):
            raise ConfigError(f"the state directory {str(state_directory)!r} is inside the folder: name one elsewhere")
        if place.is_relative_to(state):
            raise ConfigError(f"the folder is inside the state directory {str(state_directory)!r}: name one elsewhere")
        _check_ours(state)


def _check_ours(state: Path) -> None:
    """Refuse a directory that is used for something else: what we take for our own there is replaced, or removed."""
    try:
        names = set(os.listdir(state))
        is_begun = names <= {_STAGING, _LOCK} and not (_STAGING in names and os.listdir(state / _STAGING))
    except OSError:
        return  # whoever makes it says what is wrong
    if not is_begun and not (_LOCK in names and names & _ALWAYS_THERE):
        raise ConfigError(f"{str(state)!r} is not empty and holds no state of p2psync: name a directory of its own")


def _real_path(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path))  # unlike Path.resolve, it leaves a loop of links to whoever opens it
    except FileNotFoundError:  # only a relative path can raise it
        raise ConfigError("the current directory has been removed: change to one that is there") from None


def _enter(root: Path, *, create: bool) -> None:
    """See that a folder is one that can be read; make it first if it may be made."""
    try:
        if create:
            root.mkdir(parents=True, exist_ok=True)
        os.listdir(root)
    except FileNotFoundError:
        raise ConfigError(f"there is no folder {str(root)!r}") from None
    except (FileExistsError, NotADirectoryError):
        raise StoreError(f"{str(root)!r} is not a folder") from None
    except OSError as error:
        raise store_error(error, f"cannot use the folder {str(root)!r}") from None


def _make_state(directory: Path, *, advice: str) -> int:
    """Make what is missing of a state directory, and return its lock, open."""
    path = directory
    try:
        for path in (directory, directory / _STAGING):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / _LOCK
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise StoreError(
            f"{str(path)!r} is not a directory, and p2psync's state needs one there: move it away{advice}"
        ) from None
    except OSError as error:
        raise store_error(error, f"cannot use {str(path)!r} for p2psync's state", advice) from None


def _open_database(directory: Path) -> tuple[Database, bool]:
    path = directory / _DATABASE
    try:
        return Database(path), False
    except DamagedError:
        move_damaged_away(path)
        return Database(path), True
