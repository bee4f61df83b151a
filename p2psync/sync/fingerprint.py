"""What `stat` says of a path, packed: while it stays the same, the content is taken to be the same.

Size, mtime, ctime and inode, so that neither a restored mtime nor a file moved over another goes unnoticed.
"""

import os
import struct

_FORM = struct.Struct(">qQQQHH")
_WORD = (1 << 64) - 1
"""Times are packed modulo 2^64 ns: of one before 1970 or after 2262 all that matters here is that it is another."""

UNSETTLED = b""
"""The fingerprint of what nobody has looked at yet: it matches nothing."""
_AGAIN = b"?"
CLOCK_TICK_NS = 20_000_000
"""A kernel stamps files with a clock of 1 to 10 ms steps: within that, a change may leave the stamp as it was."""
COARSE_TICK_NS = 2_000_000_000
"""The same where the file system may keep whole seconds (ext4 with small inodes, HFS+) or two (FAT)."""


def fingerprint(stat: os.stat_result) -> bytes:
    """Pack what identifies a path's state; of a directory, only what an entry says: its content has its own paths."""
    mode = stat.st_mode
    if mode & 0o170000 == 0o040000:
        return _FORM.pack(0, stat.st_mtime_ns & _WORD, 0, stat.st_ino, mode & 0xFFFF, 0)
    times = stat.st_mtime_ns & _WORD, stat.st_ctime_ns & _WORD
    return _FORM.pack(stat.st_size, *times, stat.st_ino, mode & 0xFFFF, 0)


def settled_fingerprint(stat: os.stat_result, since_ns: int) -> bytes:
    """Pack it; mark it as `unsettled` if the path may change again with nothing to show for it.

    That is the case where it was touched within a tick of `since_ns` (nanoseconds since 1970) or after. Only ctime
    tells: mtime may be set to anything.
    """
    is_directory = stat.st_mode & 0o170000 == 0o040000
    tick_ns = CLOCK_TICK_NS if stat.st_ctime_ns % 1_000_000_000 else COARSE_TICK_NS
    if not is_directory and stat.st_ctime_ns >= since_ns - tick_ns:
        return unsettled(fingerprint(stat))
    return fingerprint(stat)


def unsettled(mark: bytes) -> bytes:
    """Mark a fingerprint: this is how the path looked, but its content is to be read again."""
    return _AGAIN + mark[-_FORM.size :] if mark else UNSETTLED


def is_settled(mark: bytes) -> bool:
    """Say whether content need not be read again while the path looks like this."""
    return len(mark) == _FORM.size


def looks_like(mark: bytes, now: bytes) -> bool:
    """Say whether a path still looks as it was noted, settled or not: nobody has replaced it or written to it since."""
    return bool(mark) and mark[-_FORM.size :] == now[-_FORM.size :]


def is_unwritten(mark: bytes, now: bytes) -> bool:
    """Say whether nobody has written to a file since it was noted, whatever became of its name and permissions."""
    size, mtime, _, inode, *_ = _FORM.unpack(mark[-_FORM.size :])
    size_now, mtime_now, _, inode_now, *_ = _FORM.unpack(now[-_FORM.size :])
    return (size, mtime, inode) == (size_now, mtime_now, inode_now)


def is_same_object(mark: bytes, now: bytes) -> bool:
    """Say whether the same file or directory still stands at a path, whatever has been done to it."""
    return bool(mark) and _FORM.unpack(mark[-_FORM.size :])[3] == _FORM.unpack(now[-_FORM.size :])[3]
