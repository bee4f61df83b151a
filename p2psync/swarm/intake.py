"""Received blocks on their way into the store: batched, bounded, verified there."""

from collections.abc import Sequence
from typing import Protocol

import trio

from p2psync.errors import StoreError
from p2psync.ids import BlockId
from p2psync.store.base import Payload
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.link import Link

BATCH_BYTES = 2 << 20
BATCH_BLOCKS = 256
"""What one hop to the store takes at most, so that others' hops come between."""
_BEHIND = 0.75


class IntakeOwner(Protocol):
    """Who hears what became of received blocks."""

    def wrote(self, good: Sequence[BlockId], wrong: Sequence[tuple[Link, BlockId]]) -> None:
        """Blocks are safe, or were wrong; these come with the link that sent them."""
        ...

    def write_failed(self, error: StoreError) -> None:
        """The store keeps nothing at present."""
        ...


class Intake:
    """A queue with a byte budget in front of the store.

    While one batch is being written the next one grows: under load batches are large, otherwise nothing waits.

    Args:
        store: What is written to.
        owner: Who hears what became of it.
        budget_bytes: Received and not yet written; when it is reached nothing is read from anybody.

    Attributes:
        held_bytes: Received and not written yet.
    """

    def __init__(self, store: ThreadedStore, owner: IntakeOwner, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._store = store
        self._owner = owner
        self._waiting: list[tuple[Link, BlockId, Payload]] = []
        self.held_bytes = 0
        self._filled = trio.Event()
        self._drained = trio.Event()

    def put(self, link: Link, id_: BlockId, data: Payload) -> None:
        """Queue a block that a link delivered."""
        self._waiting.append((link, id_, data))
        self.held_bytes += len(data)
        self._filled.set()

    @property
    def is_behind(self) -> bool:
        """So much waits to be written that others wait for it."""
        return self.held_bytes >= _BEHIND * self._budget_bytes

    async def wait_room(self) -> None:
        """Wait until less than the budget is held; what is being read may go over it once for every link."""
        while self.held_bytes >= self._budget_bytes:
            await self._drained.wait()

    async def run(self) -> None:
        """Write, until cancelled."""
        while True:
            while not self._waiting:
                self._filled = trio.Event()
                await self._filled.wait()
            batch = self._next_batch()
            await self._write(batch)
            self.held_bytes -= sum([len(data) for _, _, data in batch])
            # Every link may be waiting: who sets the event replaces it, else all but the last would wait for ever.
            self._drained.set()
            self._drained = trio.Event()

    def _next_batch(self) -> list[tuple[Link, BlockId, Payload]]:
        ids: set[BlockId] = set()
        size = 0
        for _, id_, data in self._waiting[:BATCH_BLOCKS]:
            if id_ in ids or size >= BATCH_BYTES:  # of two that say to be one block it must be known which is not
                break
            ids.add(id_)
            size += len(data)
        batch, self._waiting = self._waiting[: len(ids)], self._waiting[len(ids) :]
        return batch

    async def _write(self, batch: list[tuple[Link, BlockId, Payload]]) -> None:
        try:
            wrong = set(await self._store.write([(id_, data) for _, id_, data in batch]))
        except StoreError as error:
            self._owner.write_failed(error)
            return
        good = [id_ for _, id_, _ in batch if id_ not in wrong]
        self._owner.wrote(good, [(link, id_) for link, id_, _ in batch if id_ in wrong])
