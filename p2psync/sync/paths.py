"""Which paths of a manifest may be made here. Whoever holds the write key may put any bytes there as a path."""

import unicodedata
from collections.abc import Set

from p2psync.errors import PathError
from p2psync.manifest.entry import Entry, Kind, join_path

STATE_DIRECTORY = b".p2psync"
MAX_NAME_BYTES = 255
_FORBIDDEN_NAMES = (b"", b".", b"..")


class PathGate:
    """Judges the entries of one manifest, which must all come, in key order.

    Args:
        folds: Whether the file system takes names that differ only by case or Unicode form for the same.
    """

    def __init__(self, *, folds: bool) -> None:
        self.folds = folds
        self._directories: set[bytes] = {b""}
        self._parent: bytes | None = None
        self._folded: dict[str, bytes] = {}

    def admit(self, entry: Entry) -> None:
        """Let an entry pass.

        Raises:
            PathError: Its path would leave the folder, touch p2psync's own files, go through something that is not a
                directory, or be the same as another one's on this file system.
        """
        # What stands in the folder from before is no answer: this manifest may have refused or replaced it.
        if entry.parent not in self._directories:
            self._check_names(entry, [*entry.parent.split(b"/"), entry.name])
            raise PathError(entry.path, "its directory is not part of the folder, or was refused")
        self._check_names(entry, [entry.name])  # those of its directory have passed
        if self.folds and entry.kind is not Kind.TOMBSTONE:
            self._check_clash(entry, entry.path)
        if entry.kind is Kind.DIRECTORY:
            self._directories.add(entry.path)

    def admit_again(self, parents: Set[bytes], directories: Set[bytes]) -> bool:
        """Let entries pass that an earlier manifest had word for word, unless what they stand in has not passed.

        Args:
            parents: The directories that they stand in.
            directories: Those among them that are directories.
        """
        if self.folds or not self._directories.issuperset(parents - directories):
            return False
        self._directories |= directories
        return True

    def _check_names(self, entry: Entry, names: list[bytes]) -> None:
        for name in names:
            if b"/" in name or b"\0" in name or name in _FORBIDDEN_NAMES:
                raise PathError(entry.path, "the path would lead out of the folder, or is not in its plain form")
            if len(name) > MAX_NAME_BYTES:
                raise PathError(entry.path, f"a name has more than {MAX_NAME_BYTES} bytes")
            if name == STATE_DIRECTORY or (self.folds and fold_name(name) == fold_name(STATE_DIRECTORY)):
                # At any depth: a folder below may be shared by itself, and its keys are nobody else's.
                raise PathError(entry.path, "that name is kept for p2psync's own files")

    def _check_clash(self, entry: Entry, path: bytes) -> None:
        if entry.parent != self._parent:
            self._parent, self._folded = entry.parent, {}
        other = self._folded.setdefault(fold_name(entry.name), entry.name)
        if other != entry.name:
            shown = join_path(entry.parent, other).decode("utf-8", "backslashreplace")
            raise PathError(path, f"this file system takes the name for the same as {shown!r}: rename one of them")


def fold_name(name: bytes) -> str:
    """Return what a file system that ignores case and Unicode form compares of a name."""
    text = name.decode("utf-8", "surrogateescape")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
