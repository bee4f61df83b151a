"""Heads that peers offer: which of them is the newest that we do not have. Pure."""

from typing import NamedTuple

from p2psync.ids import BlockId
from p2psync.manifest.head import Standing


class JudgedHead(NamedTuple):
    """What `judge` says about a head whose signature is right.

    Attributes:
        standing: Against the newest head that this folder has seen.
        seq: Its sequence number.
        root: Its manifest's root.
        provisional: Whether every other head is newer.
    """

    standing: Standing
    seq: int
    root: BlockId
    provisional: bool = False


class HeadQueue:
    """The newest head that was offered and not yet taken."""

    def __init__(self) -> None:
        self._newest: tuple[bool, int, BlockId] | None = None
        self._head = b""

    def offer(self, head: bytes, judged: JudgedHead) -> bool:
        """Take note of an offered head; return whether it is news."""
        rank = (not judged.provisional, judged.seq, judged.root)
        if judged.standing is not Standing.NEWER or (self._newest is not None and rank <= self._newest):
            return False
        self._newest, self._head = rank, head
        return True

    def take(self) -> bytes:
        """Return the newest head that was not taken before, or nothing."""
        head, self._head = self._head, b""
        return head
