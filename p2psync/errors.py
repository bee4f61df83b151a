"""The error families: who is to blame, and so what the caller does.

A message is a sentence for a human that says what to do next. Anything that is none of these is a bug of ours.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from p2psync.words import shown_path

_Error = TypeVar("_Error", bound=Exception)
TOO_MANY_FILES = "too many files are open: raise their limit (ulimit -n) and run the same command again"


class P2PSyncError(Exception):
    """Whatever p2psync can explain to its user in one sentence."""


class LocalProtocolError(P2PSyncError):
    """We are about to break the protocol: a bug of ours; let it rise."""


class RemoteProtocolError(P2PSyncError):
    """A peer or tracker sent what the protocol forbids: drop it, count it against it, ask another."""


class IntegrityError(P2PSyncError):
    """Bytes are not what their id or signature says: never keep them, blame whoever sent them."""


class UnreachableError(P2PSyncError):
    """Nobody answered, or nothing moved within the time that the user gave."""


class StoreError(P2PSyncError):
    """The disk (or another storage) failed us.

    Attributes:
        transient: True where the same call may succeed later (disk full), False where it will not.
    """

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class PathError(P2PSyncError):
    """One path is unsafe or impossible here; say it, leave that path out, carry on with the rest."""

    def __init__(self, path: bytes, reason: str) -> None:
        super().__init__(f"{shown_path(path)}: {reason}")
        self.path = path
        self.reason = reason


class ConfigError(P2PSyncError):
    """The user's input (an option, a link, a folder) cannot be used as it is."""


def first_error(group: BaseExceptionGroup[_Error]) -> _Error:
    """Return the error of a group that is nearest to its top, which is the one to tell."""
    todo: list[_Error | BaseExceptionGroup[_Error]] = [group]
    for error in todo:
        if not isinstance(error, BaseExceptionGroup):
            return error
        todo += error.exceptions
    raise group


def lacks_descriptor(error: BaseException) -> bool:
    """Say whether all that an error tells is that the system lets nothing more be opened."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(lacks_descriptor, error.exceptions))
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


@contextmanager
def explained_lack_of_descriptors() -> Iterator[None]:
    """Explain a lack of descriptors that nobody inside could wait for: any line that opens something may meet it.

    Raises:
        StoreError: There was one.
    """
    try:
        yield
    except (OSError, BaseExceptionGroup) as error:
        if lacks_descriptor(error):
            raise StoreError(TOO_MANY_FILES) from error
        raise
