"""Tell a folder, or a directory in it, whose disk is not mounted from one that was emptied."""

import os
import struct

from p2psync.errors import StoreError
from p2psync.store.database import Database
from p2psync.store.folder_state import FolderState

_ROOT_NOTE = "root"
_MOUNTS_NOTE = "mounts"
_IDENTITY = struct.Struct(">QQ")


def check_is_there(folder: FolderState, handle: int) -> None:
    """Make sure that an empty folder is the same directory in which something was, and remember which it is.

    Below a disk that is gone lies the empty directory that it was mounted on: to publish that would have every follower
    delete all it has. Where the folder's own state still lies in it, its disk is there.

    Args:
        folder: The folder.
        handle: Its open root.

    Raises:
        StoreError: It is empty, and another directory than the last time.
    """
    status = os.fstat(handle)
    identity = _IDENTITY.pack(status.st_dev, status.st_ino)
    known = folder.database.note(_ROOT_NOTE)
    if identity == known:
        return
    if known is not None and not os.listdir(handle) and folder.index.totals()[0]:
        raise StoreError(
            f"the folder {str(folder.root)!r} is empty, and not the directory that it was: is its disk mounted? "
            "If it is to be empty, put any file into it and remove that later"
        )
    folder.database.set_note(_ROOT_NOTE, identity)


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
