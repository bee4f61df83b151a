"""The trio face of any block store: worker threads, one limiter, work for each hop that is worth a hop."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import trio

from p2psync.budget import DEFAULT_MEMORY
from p2psync.ids import BlockId
from p2psync.store.base import BlockStore, Payload
from p2psync.store.long_block import LongBlock
from p2psync.store.recent import RecentBlocks

READ_BYTES = 1 << 20
"""What one hop reads: the hop (some 100 µs) is then a tenth of the work."""
_FEWEST_READ_BLOCKS = 2

RunSync = Callable[..., Awaitable[Any]]
Argument = TypeVar("Argument")
Result = TypeVar("Result")


class ThreadedStore:
    """Reads and writes a blocking store from trio.

    A cancelled call waits for its thread, so a write has either happened or was never begun.

    Args:
        store: The blocking store.
        limiter: How many calls may be in threads at once.
        run_sync: What runs a call in a thread; under virtual time, which threads do not know, tests run it in place.
        recent_bytes: How much of what was written last is kept at hand, while `remember` asks for it.
    """

    def __init__(
        self,
        store: BlockStore,
        limiter: trio.CapacityLimiter,
        *,
        run_sync: RunSync = trio.to_thread.run_sync,
        recent_bytes: int = DEFAULT_MEMORY.recent_bytes,
    ) -> None:
        self._store = store
        self._limiter = limiter
        self._run_sync = run_sync
        self._recent = RecentBlocks(recent_bytes)
        self._remembers = False
        self._mean_bytes = READ_BYTES

    def remember(self, *, wanted: bool) -> None:
        """Say whether others will want what is written from now on."""
        self._remembers = wanted
        if not wanted:
            self._recent.clear()

    async def read(self, ids: Sequence[BlockId], whole_bytes: int) -> list[Payload | LongBlock | None]:
        """Return the bytes of the first blocks of `ids`: of at least one, then of more until they reach `READ_BYTES`.

        None stands for a block that is not held or no longer what its id says. One that is longer than `whole_bytes`,
        and not at hand, is left for `read_on`.

        Raises:
            StoreError: The storage as a whole failed.
        """
        recent = self._recent.first(ids, READ_BYTES)
        if recent:
            await trio.lowlevel.checkpoint()
            return list(recent)
        payloads: list[Payload | LongBlock | None] = await self._run_sync(
            self._read_some, ids, whole_bytes, limiter=self._limiter
        )
        return payloads

    async def read_on(self, block: LongBlock, count: int) -> Payload | None:
        """Return the next stretch of a block, of so many bytes or what is left; see `LongBlock.read`."""
        stretch: Payload | None = await self._run_sync(block.read, count, limiter=self._limiter)
        return stretch

    async def write(self, blocks: Sequence[tuple[BlockId, Payload]]) -> list[BlockId]:
        """Verify and keep blocks; return the ids whose bytes did not match.

        Raises:
            StoreError: The disk is full or failed.
        """
        wrong: list[BlockId] = await self._run_sync(self._store.write, blocks, limiter=self._limiter)
        if self._remembers:
            self._recent.put((id_, data) for id_, data in blocks if id_ not in wrong)
        return wrong

    async def compute(self, function: Callable[[Argument], Result], argument: Argument) -> Result:
        """Return what a function that takes milliseconds makes of `argument`."""
        result: Result = await self._run_sync(function, argument, limiter=self._limiter)
        return result

    def _read_some(self, ids: Sequence[BlockId], whole_bytes: int) -> list[Payload | LongBlock | None]:
        # Lengths are not known before reading: what blocks were like last says how many are worth looking for.
        read: list[Payload | LongBlock | None] = []
        read_bytes = 0
        while len(read) < len(ids) and read_bytes < READ_BYTES:
            few = max(_FEWEST_READ_BLOCKS, (READ_BYTES - read_bytes) // self._mean_bytes + 1)
            got = self._store.read_first(ids[len(read) : len(read) + few], READ_BYTES - read_bytes, whole_bytes)
            read += got
            read_bytes += sum(len(data) for data in got if data is not None)
            self._mean_bytes = read_bytes // len(read) + 1
        return read
