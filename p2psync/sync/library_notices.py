"""Notices through a library that knows the systems that are not Linux."""

import os
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from pathlib import Path

from p2psync.store.folder_state import STATE_NAME
from p2psync.sync.notices import NO_CHANGE, QUIET_S, Notices

_LIVE_WITHIN_MS = 300
"""How often the library comes back to us with nothing to tell; the first time says that it is watching."""


async def library_notices(root: Path, directories: Collection[bytes]) -> AsyncGenerator[Notices, None]:
    """See `NoticeSource`. Directories whose names are not UTF-8 are left out."""
    from watchfiles import Change, awatch  # noqa: PLC0415 - only a folder that is watched so pays for it
    from watchfiles._rust_notify import WatchfilesRustInternalError  # noqa: PLC0415

    own = str(root / STATE_NAME)
    changes_of = awatch(
        *filter(None, (_text(root, directory) for directory in directories)),
        watch_filter=lambda _change, path: path != own and not path.startswith(f"{own}/"),
        debounce=int(QUIET_S * 1000),
        step=int(QUIET_S * 500),
        rust_timeout=_LIVE_WITHIN_MS,
        yield_on_timeout=True,
        recursive=False,
        ignore_permission_denied=True,
    )
    is_live = False
    try:
        async with aclosing(changes_of):
            async for changes in changes_of:
                if not is_live:
                    is_live = True
                    yield NO_CHANGE
                if changes:
                    dirty = {_inside(root, os.path.dirname(path)) for _, path in changes}
                    gone = frozenset(_inside(root, path) for change, path in changes if change is Change.deleted)
                    yield Notices(dirty, gone)
    except* WatchfilesRustInternalError as group:  # a change under a name that is not text
        raise FileNotFoundError(str(group.exceptions[0])) from None


def _text(root: Path, path: bytes) -> str | None:
    """Return a directory as the library takes it; it cannot take what is not UTF-8."""
    try:
        return f"{root}/{path.decode()}" if path else str(root)
    except UnicodeDecodeError:
        return None


def _inside(root: Path, path: str) -> bytes:
    """Return the path inside the folder."""
    return os.fsencode(path).removeprefix(os.fsencode(root)).strip(b"/")
