"""What every way of finding peers offers."""

from collections.abc import Callable, Sequence
from typing import Protocol

from p2psync.ids import PeerAddress


class PeerSource(Protocol):
    """Finds peers of one swarm: a tracker, the LAN, other peers."""

    async def run(self, found: Callable[[Sequence[PeerAddress]], None]) -> None:
        """Look for peers until cancelled; tell `found` every batch, the same ones and ourselves among them.

        Never raises for what others do: a source that fails tries again, later.
        """
        ...
