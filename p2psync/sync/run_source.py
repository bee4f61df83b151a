"""The runs of a plan, as the swarm fetches them."""

from collections.abc import Callable, Iterator, Sequence

import trio

from p2psync.blocks.need import PageHolding, Run
from p2psync.ids import BlockId
from p2psync.sync.plan import GroupPlan


class RunSource:
    """Plans ahead only as far as the swarm asks for runs.

    Args:
        groups: What is planned, lazily; blocking.
        hold: Told what is found to be here already.
        lock: Held while one is planned.
        keep: Says which of some blocks are waited for still: what came while it was planned is not to come again.
    """

    def __init__(
        self,
        groups: Iterator[GroupPlan],
        hold: Callable[[dict[BlockId, PageHolding]], None],
        lock: trio.Lock,
        keep: Callable[[Sequence[BlockId]], set[BlockId]],
    ) -> None:
        self._groups = groups
        self._hold = hold
        self._lock = lock
        self._keep = keep

    def __aiter__(self) -> "RunSource":
        return self

    async def __anext__(self) -> list[Run]:
        async with self._lock:
            group = await trio.to_thread.run_sync(next, self._groups, None)
        if group is None:
            raise StopAsyncIteration
        self._hold(group.holdings)
        kept = self._keep([id_ for run in group.runs for id_ in run.ids])
        return [run for run in (run.only(kept) for run in group.runs) if run.ids]
