"""Compare two folders without p2psync: what the contract calls a match, found by another program."""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

STATE_FOLDER = b".p2psync"
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}


@dataclass(frozen=True, slots=True)
class Seen:
    """One path as it stands on disk; what its kind does not have is empty."""

    kind: str
    mode: int = 0
    mtime_ns: int = 0
    size_bytes: int = 0
    digest: str = ""
    target: bytes = b""


def differences(expected: Path, actual: Path) -> list[str]:
    """Say, one sentence each, in what the folder `actual` is no match of `expected`.

    Sockets, devices and FIFOs of `expected` are left out, as the contract has it. The mtime of a folder is not
    compared: it changes whenever a name in it does.
    """
    want, have = snapshot(expected), snapshot(actual)
    want = {path: seen for path, seen in want.items() if seen.kind != "special"}
    found = [f"{_shown(path)} is missing" for path in sorted(want.keys() - have.keys())]
    found += [f"{_shown(path)} should not be there" for path in sorted(have.keys() - want.keys())]
    for path in sorted(want.keys() & have.keys()):
        for field in Seen.__dataclass_fields__:
            expected_value, actual_value = getattr(want[path], field), getattr(have[path], field)
            if expected_value != actual_value:
                found.append(f"{_shown(path)} has {field} {actual_value!r}, not {expected_value!r}")
    return found


def snapshot(root: Path) -> dict[bytes, Seen]:
    """Read a whole folder but its `.p2psync`: path below it → what is there."""
    return {os.path.relpath(path, os.fsencode(root)): _seen(path) for path in _walk(os.fsencode(root))}


def _walk(root: bytes) -> Iterator[bytes]:
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if folder == root and entry.name == STATE_FOLDER:
                    continue
                yield entry.path
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _seen(path: bytes) -> Seen:
    status = os.lstat(path)
    kind = KINDS.get(stat.S_IFMT(status.st_mode), "special")
    mode = status.st_mode & 0o777
    if kind == "file":
        return Seen(kind, mode, status.st_mtime_ns, status.st_size, _digest(path))
    if kind == "link":
        return Seen(kind, mtime_ns=status.st_mtime_ns, target=os.readlink(path))
    return Seen(kind, mode)


def _digest(path: bytes) -> str:
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shown(path: bytes) -> str:
    return repr(path.decode("utf-8", "backslashreplace"))
