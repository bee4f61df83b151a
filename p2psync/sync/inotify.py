"""Notices of Linux. Only changes are asked for: a library that also hears of every file opened halves our rate."""

import ctypes
import errno
import os
import struct
from collections.abc import AsyncGenerator, Collection, Iterator
from pathlib import Path

import trio

from p2psync.store.folder_state import STATE_NAME
from p2psync.sync.notices import NO_CHANGE, QUIET_S, Notices

_CREATE, _DELETE, _MODIFY, _ATTRIB, _MOVED_FROM, _MOVED_TO = 0x100, 0x200, 0x2, 0x4, 0x40, 0x80
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_ONLY_DIRECTORIES, _FOLLOW_NO_LINK, _NOTHING_UNLINKED = 0x1000000, 0x2000000, 0x4000000
_MASK = (
    _CREATE | _DELETE | _MODIFY | _ATTRIB | _MOVED_FROM | _MOVED_TO
    | _ONLY_DIRECTORIES | _FOLLOW_NO_LINK | _NOTHING_UNLINKED
)  # fmt: skip
_EVENT = struct.Struct("iIII")
_BUFFER_BYTES = 1 << 18

# What the system says of these would mean the disk, or files.
_WORDS = {
    errno.ENOSPC: "more directories than fs.inotify.max_user_watches allows",
    errno.EMFILE: "more programs that watch than fs.inotify.max_user_instances allows",
}

_libc = ctypes.CDLL(None, use_errno=True)


def is_available() -> bool:
    """Say whether this system has them."""
    return hasattr(_libc, "inotify_init1")


async def inotify_notices(root: Path, directories: Collection[bytes]) -> AsyncGenerator[Notices, None]:
    """See `NoticeSource`."""
    handle = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), root)
    try:
        watched = await trio.to_thread.run_sync(_watch, handle, os.fsencode(root), directories)
        yield NO_CHANGE
        while True:
            await trio.lowlevel.wait_readable(handle)
            await trio.sleep(QUIET_S / 2)  # what has been told twice by then is one event
            yield _notices(os.read(handle, _BUFFER_BYTES), watched)
    finally:
        trio.lowlevel.notify_closing(handle)
        os.close(handle)


def _watch(handle: int, root: bytes, directories: Collection[bytes]) -> dict[int, bytes]:
    """Watch directories; return their paths by the numbers that events call them by."""
    watched: dict[int, bytes] = {}
    for directory in directories:
        path = root + b"/" + directory
        try:
            watched[_checked(_libc.inotify_add_watch(handle, path, _MASK), path)] = directory
        except PermissionError:  # nor can the scan look into it
            continue
    return watched


def _checked(result: int, path: Path | bytes) -> int:
    if result < 0:
        number = ctypes.get_errno()
        if number == errno.ENOTDIR:  # it has become something else: the directory is not there
            number = errno.ENOENT
        raise OSError(number, _WORDS.get(number, os.strerror(number)), path)
    return result


def _notices(data: bytes, watched: dict[int, bytes]) -> Notices:
    dirty: set[bytes] = set()
    gone: set[bytes] = set()
    is_complete = True
    for number, mask, name in _events(data):
        directory = watched.get(number)
        if mask & _OVERFLOW:
            is_complete = False
        if mask & (_OVERFLOW | _IGNORED) or directory is None or (not directory and name == STATE_NAME.encode()):
            continue
        dirty.add(directory)
        if mask & (_DELETE | _MOVED_FROM):
            gone.add(directory + b"/" + name if directory else name)
    return Notices(dirty if is_complete else None, frozenset(gone))


def _events(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at < len(data):
        number, mask, _, length = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        yield number, mask, data[at : at + length].rstrip(b"\0")
        at += length
