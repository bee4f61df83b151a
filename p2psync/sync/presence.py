"""Tell a folder whose disk is not mounted from one that was emptied."""

import os
import struct

from p2psync.errors import StoreError
from p2psync.store.folder_state import FolderState

_ROOT_NOTE = "root"
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
