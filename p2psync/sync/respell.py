"""Respell: where the file system folds names, what stands there is given the spelling that the manifest has.

Without it a name that changed only its case would be two paths here that are one file there: made, then removed.
"""

import contextlib
import os

from p2psync.errors import PathError
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.page import decode_page
from p2psync.manifest.tree import Manifest
from p2psync.store.files import DirectoryHandles
from p2psync.store.folder_state import FolderState
from p2psync.store.local_file import LocalFile
from p2psync.sync.paths import fold_name


def respell(manifest: Manifest, folder: FolderState) -> int:
    """Rename what differs from the manifest only in spelling, on disk and in the index; return how much that was.

    What cannot be renamed stays as it is: planning says what is wrong with it. The index must be as the folder is, and
    be brought up to date again afterwards.
    """
    renamed = 0
    parent: bytes | None = None
    names: dict[str, LocalFile] = {}
    with DirectoryHandles(folder.root) as handles:
        for page in manifest.pages:
            for entry in decode_page(folder.pages.one(page)).records:
                if entry.kind in (Kind.TOMBSTONE, Kind.CONTINUATION):
                    continue
                if entry.parent != parent:
                    parent = entry.parent
                    names = {fold_name(name): local for name, local in folder.index.files_in(parent).items()}
                local = names.pop(fold_name(entry.name), None)  # of two entries that clash, the first has it
                if local is not None and local.entry.name != entry.name:
                    with contextlib.suppress(OSError, PathError):
                        renamed += _rename(local.entry, entry, handles, folder)
    return renamed


def _rename(local: Entry, entry: Entry, handles: DirectoryHandles, folder: FolderState) -> bool:
    handle = handles.open(entry.parent)
    os.stat(entry.name, dir_fd=handle, follow_symlinks=False)  # found, and not listed: it is the other name's file
    if os.fsdecode(entry.name) in os.listdir(handle):  # inode numbers tell nothing: FUSE counts names
        return False
    handles.forget(local.path)
    os.rename(local.name, entry.name, src_dir_fd=handle, dst_dir_fd=handle)
    with folder.database.transaction():
        folder.index.rename(local.path, entry.path)
    return True
