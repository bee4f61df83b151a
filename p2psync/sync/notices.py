"""Notices: what a system tells of changes below a folder."""

from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass
from pathlib import Path

QUIET_S = 0.05
"""Changes come in bursts: one notice for what happens within this time."""


@dataclass(frozen=True, slots=True)
class Notices:
    """Some changes.

    Attributes:
        dirty: Paths of the directories in which something has changed; None if some notices have been lost.
        gone: What stands no more where it was, or is another of the same name by now.
    """

    dirty: set[bytes] | None
    gone: frozenset[bytes] = frozenset()


NO_CHANGE = Notices(set())
NoticeSource = Callable[[Path, Collection[bytes]], AsyncGenerator[Notices, None]]
"""Watches directories of a folder, each by itself: yields once as soon as it does, then whatever it hears.

Raises:
    FileNotFoundError: One of them is not there.
    OSError: The system has no such notices, or no more of them.
"""
