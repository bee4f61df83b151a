"""What `sync` needs from outside, to be provided by whoever knows peers."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from p2psync.blocks.need import PageHolding, Run
from p2psync.ids import BlockId


class HeadExchange(Protocol):
    """Tells peers of our head, and us of theirs."""

    def publish(self, head: bytes, root: BlockId, holdings: Mapping[BlockId, PageHolding] | None) -> None:
        """Offer a head whose root and pages are held here.

        Args:
            head: Its signed bytes.
            root: Its manifest.
            holdings: What is held of each page; None where everything is.
        """
        ...

    async def next_head(self) -> bytes:
        """Wait for a peer's head that is newer than any before; return its signed bytes."""
        ...


class BlockFetcher(Protocol):
    """Makes blocks present."""

    async def fetch(self, ids: Sequence[BlockId], *, root: BlockId) -> None:
        """Return when the store has these blocks of the manifest `root`: the root itself, or pages."""
        ...

    async def fetch_runs(self, runs: AsyncIterator[Sequence[Run]]) -> None:
        """Return when all runs have been written; takes more from `runs` only as it comes to need them."""
        ...

    def hold(self, holdings: Mapping[BlockId, PageHolding]) -> None:
        """Tell peers what is held of some pages, beyond what was fetched."""
        ...

    def complete(self, root: BlockId) -> None:
        """Tell peers that all of a manifest is held."""
        ...


class Swarm(HeadExchange, BlockFetcher, Protocol):
    """Both."""
