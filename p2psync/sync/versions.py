"""Versions: where what was replaced or removed is kept, under the path that it had."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from p2psync.errors import PathError
from p2psync.manifest.entry import Entry
from p2psync.store.files import DirectoryHandles


class VersionsDirectory:
    """What one pull moves out of the way; made when the first such thing comes.

    Args:
        parent: The directory of all pulls' directories.
        name: What the directory of this one is called, with a number behind it where that name is taken.
    """

    def __init__(self, parent: Path, name: str) -> None:
        self._parent = parent
        self._name = name
        self._path: Path | None = None

    @contextmanager
    def room_for(self, entry: Entry) -> Iterator[int]:
        """Give a directory, as an open descriptor, in which the entry's name is free and stands for its path."""
        with DirectoryHandles(self._path or self._begin()) as handles:
            target = _free_directory(handles, entry)
            if target is not None:
                yield target
                return
        with DirectoryHandles(self._begin()) as handles:  # the same path once more, or a path below what was a file
            yield handles.make(entry.parent)

    def _begin(self) -> Path:
        self._parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = 1
        while True:
            path = self._parent / (self._name if number == 1 else f"{self._name}-{number}")
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                number += 1
            else:
                self._path = path
                return path


def _free_directory(handles: DirectoryHandles, entry: Entry) -> int | None:
    try:
        directory = handles.make(entry.parent)
        os.stat(entry.name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return directory
    except PathError:
        return None
    return None
