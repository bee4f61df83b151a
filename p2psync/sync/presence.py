"""Tell a folder, or a directory in it, whose disk is not mounted from one that was emptied."""

import os
import struct

from p2psync.errors import StoreError
from p2psync.manifest.entry import Kind
from p2psync.store.database import Database
from p2psync.store.folder_state import STATE_NAME, FolderState
from p2psync.words import shown_path

_ROOT_NOTE = "root"
_MOUNTS_NOTE = "mounts"
_IDENTITY = struct.Struct(">QQ")


def check_is_there(folder: FolderState, handle: int) -> None:
    """Make sure that this is the directory that was looked at before, or holds something of it; remember which it is.

    Below a disk that is gone lies the directory that it was mounted on, and a state directory may be given to a folder
    that is another's: to publish that would have every follower delete all it has. Where the folder's own state still
    lies in it, it is the right one. One name that both have is enough, for a folder may have changed meanwhile.

    Args:
        folder: The folder.
        handle: Its open root.

    Raises:
        StoreError: It is another directory than the last time, and nothing that stood in that one stands in it.
    """
    status = os.fstat(handle)
    identity = _IDENTITY.pack(status.st_dev, status.st_ino)
    known = folder.database.note(_ROOT_NOTE)
    if identity == known:
        return
    if known is not None:
        _check_holds_some(folder, handle)
    folder.database.set_note(_ROOT_NOTE, identity)


def _check_holds_some(folder: FolderState, handle: int) -> None:
    before = [name for name, (_, kind) in folder.index.marks_in(b"").items() if kind != Kind.TOMBSTONE]
    own = [STATE_NAME.encode()] if folder.directory.resolve() == folder.root.resolve() / STATE_NAME else []
    there = {os.fsencode(name) for name in os.listdir(handle)}
    if before and there.isdisjoint(before + own):
        raise StoreError(
            f"{str(folder.root)!r} is not the directory that was shared before, and holds nothing of that: is its disk "
            "mounted? Is the state directory another folder's? If all that was shared is to be deleted everywhere, "
            f"make a file named {shown_path(min(before))} in it, and remove that later"
        )


class MountPoints:
    """The directories below the root at which other disks begin, remembered from scan to scan.

    A disk that the kernel shows under the device number of the one around it (a bind mount) is not known to be one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        noted = database.note(_MOUNTS_NOTE)
        self._paths = set(noted.split(b"\0")) if noted else set()

    def __contains__(self, path: bytes) -> bool:
        return path in self._paths

    def is_gone(self, path: bytes, handle: int) -> bool:
        """Say whether a disk that was mounted on this directory below the root is not: it is open, and empty."""
        device = os.fstat(handle).st_dev
        if device != os.stat("..", dir_fd=handle).st_dev:
            self._note(self._paths | {path})
        elif path in self._paths:
            if not os.listdir(handle):
                return True
            self._note(self._paths - {path})  # it is used as any other directory now
        return False

    def _note(self, paths: set[bytes]) -> None:
        if paths != self._paths:
            self._paths = paths
            self._database.set_note(_MOUNTS_NOTE, b"\0".join(sorted(paths)))
