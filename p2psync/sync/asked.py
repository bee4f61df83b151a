"""What somebody asks to have first: a path, from an offset on; and spans of keys. Pure."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from p2psync.errors import ConfigError
from p2psync.manifest.entry import Kind, entry_key

Span = tuple[bytes, bytes | None]
"""Keys from the first to before the second; None: to the last."""


@dataclass(frozen=True, slots=True)
class AskedPath:
    """A path of the folder that is to come before all others.

    Attributes:
        path: Of a file, which then comes from `offset` on and last what is before it, or of a directory.
        offset: Where in the file to begin.
        count: How many bytes from there are waited for; None: all.
    """

    path: bytes
    offset: int = 0
    count: int | None = None

    @property
    def key(self) -> bytes:
        """Its entry's key."""
        parent, _, name = self.path.rpartition(b"/")
        return entry_key(parent, name)

    @property
    def is_part(self) -> bool:
        """Whether a place in it is asked for, which only a file has."""
        return self.offset > 0 or self.count is not None

    def ancestors(self) -> list[Span]:
        """Return the keys of the directories that it is in, the outermost first, each as a span."""
        parts = self.path.split(b"/")
        return [_only(entry_key(b"/".join(parts[:at]), parts[at])) for at in range(len(parts) - 1)]

    def spans(self, kind: Kind) -> list[Span]:
        """Return the keys of all that is asked for, in order."""
        if kind is not Kind.DIRECTORY:
            return [_only(self.key)]
        # Its own entries come first of all below it; others (of `a!`) may stand between them and those of `a/b`.
        return [_only(self.key), (self.path + b"\0", self.path + b"\1"), (self.path + b"/", self.path + b"0")]

    def covers(self, path: bytes) -> bool:
        """Say whether a path is the one that is asked for, or below it."""
        return path == self.path or path.startswith(self.path + b"/")

    def end(self, size_bytes: int) -> int:
        """Return where in a file of this size what is waited for ends."""
        return size_bytes if self.count is None else min(self.offset + self.count, size_bytes)


def read_asked(path: str, offset: int = 0, count: int | None = None) -> AskedPath:
    """Read a path as the user wrote it.

    Raises:
        ConfigError: It can be none of the folder.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or not parts or ".." in parts or "\0" in path:
        raise ConfigError(f"{path!r} is no path inside the folder: write it as it stands there, as in 'photos/2024'")
    if offset < 0 or (count is not None and count < 1):
        raise ConfigError("a place in a file is counted in bytes from its start, and at least one is asked for")
    try:
        return AskedPath("/".join(parts).encode("utf-8", "surrogateescape"), offset, count)
    except UnicodeEncodeError:
        raise ConfigError(f"{path!r} is no path inside the folder: no file can have that name") from None


def readable_end(offsets: Sequence[int], has: Callable[[int], bool], offset: int) -> int:
    """Return up to where a file can be read from a place on without a gap.

    Args:
        offsets: Where each of its blocks begins, and where the last one ends.
        has: Says of a block whether it is there.
        offset: The place.
    """
    slot = max(bisect_right(offsets, offset) - 1, 0)
    while slot < len(offsets) - 1 and has(slot):
        slot += 1
    return max(offsets[slot], offset)


class KeySpans:
    """A set of keys, as few spans as hold them."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def add(self, first: bytes, end: bytes | None) -> None:
        """Put in the keys from `first` to before `end`."""
        apart: list[Span] = []
        for begin, stop in self._spans:
            if (stop is not None and stop < first) or (end is not None and end < begin):
                apart.append((begin, stop))
            else:
                first = min(first, begin)
                end = None if end is None or stop is None else max(end, stop)
        self._spans = sorted([*apart, (first, end)], key=lambda span: span[0])

    def holds(self, key: bytes) -> bool:
        """Say whether a key was put in."""
        at = bisect_right(self._spans, key, key=lambda span: span[0]) - 1
        return at >= 0 and _is_before(key, self._spans[at][1])


def within(spans: Sequence[Span], key: bytes) -> bool:
    """Say whether one of some spans holds a key."""
    return any(first <= key and _is_before(key, end) for first, end in spans)


def overlaps(spans: Sequence[Span], first: bytes, end: bytes | None) -> list[Span]:
    """Return the parts of spans that lie between two keys."""
    cut = [(max(first, begin), _earlier(end, stop)) for begin, stop in spans]
    return [(begin, stop) for begin, stop in cut if _is_before(begin, stop)]


def _only(key: bytes) -> Span:
    return key, key + b"\0"


def _is_before(key: bytes, end: bytes | None) -> bool:
    return end is None or key < end


def _earlier(one: bytes | None, other: bytes | None) -> bytes | None:
    return min(one, other) if one is not None and other is not None else one if other is None else other
