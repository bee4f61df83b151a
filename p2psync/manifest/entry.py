"""Entries: the state of one path."""

import struct
from enum import IntEnum
from typing import NamedTuple

from p2psync.errors import PathError


class Kind(IntEnum):
    """What stands at a path."""

    FILE = 0
    DIRECTORY = 1
    SYMLINK = 2
    TOMBSTONE = 3
    CONTINUATION = 4
    """Only inside pages: more blocks of the file in the record before."""


class Entry(NamedTuple):
    """One path of a folder at one version.

    A named tuple, not a dataclass: there is one per file of a folder, and tuples are made five times as fast.

    Attributes:
        parent: Path of the directory that holds it, components separated by `/`; empty at the top.
        name: Its name there; bytes as the file system has them, whatever their encoding.
        kind: What it is.
        mtime_ns: Modification time, nanoseconds since 1970.
        mode: Permission bits, 0 to 0o777.
        cut: Exponent of the chunk size that a file was cut with (`chunking.choose_cut`), else 0.
        ids: A file's block ids, 32 bytes each, end to end.
        lengths: Their lengths, 32 bits big-endian each; a file's size is their sum.
        target: A symlink's target.
        version: Packed version vector of the last change.
    """

    parent: bytes
    name: bytes
    kind: Kind
    mtime_ns: int = 0
    mode: int = 0
    cut: int = 0
    ids: bytes = b""
    lengths: bytes = b""
    target: bytes = b""
    version: bytes = b""

    @property
    def path(self) -> bytes:
        """The whole path inside the folder."""
        return join_path(self.parent, self.name)

    @property
    def size_bytes(self) -> int:
        """A file's size."""
        return sum(struct.unpack(f">{len(self.lengths) // 4}I", self.lengths))

    @property
    def key(self) -> bytes:
        """What entries are ordered by."""
        return entry_key(self.parent, self.name)


def join_path(parent: bytes, name: bytes) -> bytes:
    """Return the path of `name` inside `parent`."""
    return parent + b"/" + name if parent else name


def entry_key(parent: bytes, name: bytes) -> bytes:
    """Return the key that orders entries: by directory, then by name.

    NUL is below every byte of a path, so comparing keys compares (parent, name). Entries of one directory are
    neighbours, and a directory's own entry always comes before what it holds.
    """
    return parent + b"\0" + name


def split_key(key: bytes) -> tuple[bytes, bytes]:
    """Return (parent, name) of a key.

    Raises:
        PathError: It is no key.
    """
    parent, separator, name = key.partition(b"\0")
    if not separator or b"\0" in name:
        raise PathError(key, "is not the key of an entry")
    return parent, name


def path_of_key(key: bytes) -> bytes:
    """Return the path that a key stands for."""
    return join_path(*split_key(key))
