"""What `sync` needs from outside, to be provided by whoever knows peers."""

from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Protocol

from p2psync.blocks.need import PageHolding, Run
from p2psync.ids import BlockId


class HeadExchange(Protocol):
    """Tells peers of our head, and us of theirs."""

    @property
    def has_peers(self) -> bool:
        """Whether anybody would hear of a head now. May be asked from any thread."""
        ...

    def publish(
        self,
        head: bytes,
        root: BlockId,
        *,
        complete: bool,
        holdings: Mapping[BlockId, PageHolding] | None = None,
        provisional: bool = False,
    ) -> None:
        """Offer a head whose root and pages are held here.

        Args:
            head: Its signed bytes.
            root: Its manifest.
            complete: Whether all its blocks are held too.
            holdings: What is held of each page, where not all is.
            provisional: Whether the head is provisional, which not every peer understands.
        """
        ...

    async def next_head(self) -> bytes:
        """Wait for a peer's head that is newer than any before; return its signed bytes."""
        ...


class BlockFetcher(Protocol):
    """Makes blocks present."""

    async def fetch(self, root: BlockId, ids: Sequence[BlockId]) -> None:
        """Return when the store has these blocks of a manifest: its root, or pages."""
        ...

    async def fetch_runs(
        self, root: BlockId, runs: AsyncIterable[Sequence[Run]], *, in_order: bool = False, urgency: int = 0
    ) -> None:
        """Return when all runs have been written; takes more from `runs` only as it comes to need them.

        With `in_order` they are asked for in the order in which they come, else in whatever is best for all. With an
        `urgency` above 0 in their order too, before all that is less urgent. Blocks that another call has asked for
        come as soon; only that one waits for them.
        """
        ...

    def hold(self, root: BlockId, holdings: Mapping[BlockId, PageHolding]) -> None:
        """Tell peers what is held of some pages of the manifest that was published last."""
        ...

    def complete(self, root: BlockId) -> None:
        """Tell peers that all of a manifest is held."""
        ...


class Swarm(HeadExchange, BlockFetcher, Protocol):
    """Both."""
