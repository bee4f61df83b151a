"""The error families: who is to blame, and so what the caller does.

A message is a sentence for a human that says what to do next. Anything that is none of these is a bug of ours.
"""

from typing import TypeVar

from p2psync.words import shown_path

_Error = TypeVar("_Error", bound=Exception)


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
