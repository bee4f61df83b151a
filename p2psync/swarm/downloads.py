"""Fetching: callers' jobs, what each link is asked for, and what becomes of the answers."""

import random
from collections.abc import AsyncIterable, Callable, Iterator, Sequence
from contextlib import contextmanager

import trio

from p2psync.blocks.need import Run
from p2psync.budget import DEFAULT_MEMORY, MemoryBudget
from p2psync.errors import RemoteProtocolError, StoreError
from p2psync.ids import BlockId
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.holdings import Grown
from p2psync.swarm.intake import Intake
from p2psync.swarm.link import Link
from p2psync.swarm.requests import Asked, Owed, Requests
from p2psync.swarm.tasks import Job, Written
from p2psync.wire import limits
from p2psync.wire.messages import Blocks, Feature, Missing, Want, WantAny, payload_bytes

LOW_TASKS = 512
"""Runs of about 1 MiB that wait for a peer: several windows of every peer, and room for random choice."""
LOW_BLOCKS = 8_192
"""The same where blocks are small: some 4 MB of our memory."""


class _Waiter:
    """A caller that waits for its job to move on."""

    def __init__(self) -> None:
        self.changed = trio.Event()
        self.error: StoreError | None = None

    async def wait(self) -> None:
        """Wait for the next change; raise what the store failed with."""
        if self.error is None:
            self.changed = trio.Event()
            await self.changed.wait()
        if self.error is not None:
            raise self.error


class Downloads:
    """The picker, the links it may ask, and the intake.

    Args:
        on_written: Hears of file blocks that are safe now.
        on_wrong: Hears of links over which a block came whose bytes are not what its id says.
    """

    def __init__(
        self,
        store: ThreadedStore,
        rng: random.Random,
        *,
        on_written: Callable[[Written], None],
        on_wrong: Callable[[Link], None],
        budget: MemoryBudget = DEFAULT_MEMORY,
    ) -> None:
        self._requests = Requests(rng)
        self._picker = self._requests.picker
        self._intake = Intake(store, self, budget.payload_bytes)
        self._on_written = on_written
        self._on_wrong = on_wrong
        self._links: dict[int, Link] = {}
        self._waiters: dict[Job, _Waiter] = {}
        self._unasked_bytes: dict[int, int] = {}
        self._wasted_bytes = 0
        self.wrong_blocks = 0

    async def run(self) -> None:
        """Write what arrives, until cancelled."""
        await self._intake.run()

    async def wait_room(self) -> None:
        """Wait until received payload may be kept."""
        await self._intake.wait_room()

    # --- callers ------------------------------------------------------------------------------------------------------

    async def fetch(self, root: BlockId, ids: Sequence[BlockId]) -> None:
        """Fetch a root or pages from peers that offer the head with this root; return when they are written.

        Raises:
            StoreError: They cannot be kept.
        """
        job = Job(root, pages=True, exhausted=True)
        with self._waiting(job) as waiter:
            self._picker.add_pages(job, ids)
            self._ask_all()
            while not job.is_done:
                await waiter.wait()

    async def fetch_runs(
        self, root: BlockId, runs: AsyncIterable[Sequence[Run]], *, in_order: bool, urgency: int
    ) -> None:
        """Fetch file blocks; return when all are written. The next batch of runs is taken when few are unassigned.

        Raises:
            StoreError: They cannot be kept.
        """
        job = Job(root, in_order=in_order, urgency=urgency)
        with self._waiting(job) as waiter:
            async for batch in runs:
                self._requests.cancel(self._picker.add(job, batch))
                self._ask_all()
                while not self._is_low(job):
                    await waiter.wait()
            job.exhausted = True
            self._ask_all()
            while not job.is_done:
                await waiter.wait()

    @contextmanager
    def _waiting(self, job: Job) -> Iterator[_Waiter]:
        waiter = self._waiters[job] = _Waiter()
        self._picker.begin(job)
        try:
            yield waiter
        finally:
            del self._waiters[job]
            self._requests.cancel(self._picker.forget(job))
            self._send()

    def _is_low(self, job: Job) -> bool:
        tasks = self._picker.urgent_tasks(job.urgency) if job.urgency else self._picker.unassigned_tasks
        return job.unassigned < LOW_BLOCKS and tasks < LOW_TASKS

    def _wake(self) -> None:
        for job, waiter in self._waiters.items():
            if job.is_done or self._is_low(job) or waiter.error is not None:
                waiter.changed.set()

    # --- links --------------------------------------------------------------------------------------------------------

    def link_up(self, link: Link) -> None:
        """A link may be asked from now on."""
        self._links[link.number] = link
        self._unasked_bytes[link.number] = 0
        deals, picks = (feature in link.hello.features for feature in (Feature.WISH, Feature.ANY))
        asked = Asked(
            link.device, link.holdings, link.flow, deals, picks, is_open=lambda: not link.ending, arriving=link.arriving
        )
        self._requests.link_up(link.number, asked)

    def link_down(self, link: Link) -> None:
        """What a link owed is asked from others."""
        del self._links[link.number], self._unasked_bytes[link.number]
        self._wasted_bytes += link.wasted_bytes
        self._requests.link_down(link.number, trio.current_time())
        self._send()

    def owed(self, link: Link) -> Owed:
        """Return what a link is to send us."""
        return self._requests.owed(link.number)

    @property
    def unassigned_tasks(self) -> int:
        """Runs of blocks that nobody is asked for at present."""
        return self._picker.unassigned_tasks

    @property
    def wasted_bytes(self) -> int:
        """Payload that nobody waited for when it came, or of which not all came."""
        return self._wasted_bytes + sum([link.wasted_bytes for link in self._links.values()])

    @property
    def unwritten_bytes(self) -> int:
        """Bytes that were received and are not written yet."""
        return self._intake.held_bytes

    @property
    def disk_is_behind(self) -> bool:
        """So many are not written yet that others wait for the disk here."""
        return self._intake.is_behind

    def holdings_grew(self, link: Link, grown: Grown) -> None:
        """A peer announced more."""
        self._requests.holdings_grew(link.number, grown, trio.current_time())
        self._send()

    def holdings_shrank(self, link: Link) -> None:
        """A peer offered a head, withdrew something, or became complete."""
        self._requests.holdings_shrank(link.number, trio.current_time())
        self._send()

    def choked(self, link: Link, *, chokes: bool) -> None:
        """A peer answers nothing any more, or again."""
        self._requests.choked(link.number, trio.current_time(), chokes=chokes)
        self._send()

    def heard_blocks(self, link: Link, message: Blocks) -> None:
        """Blocks arrived.

        Raises:
            RemoteProtocolError: Too many that nobody asked for.
        """
        expected = self._requests.received(link.number, [id_ for id_, _ in message.blocks], trio.current_time())
        asked = [block for block, is_expected in zip(message.blocks, expected, strict=True) if is_expected]
        asked_bytes = sum([len(data) for _, data in asked])
        unasked_bytes = payload_bytes(message) - asked_bytes
        for id_, data in asked:
            # A copy where all that came beside it would be held too, and not be counted.
            self._intake.put(link, id_, bytes(data) if unasked_bytes > asked_bytes else data)
        self._send()
        self._count_unasked(link, asked_bytes, unasked_bytes)  # last: what came beside it is asked of nobody else

    def heard_missing(self, link: Link, message: Missing) -> None:
        """A peer lacks blocks it was asked for."""
        self._requests.missing(link.number, message.ids, trio.current_time())
        self._send()

    def tick(self, link: Link, now: float) -> None:
        """Measure a link; snub it or end it if it does not send what it owes."""
        if not self._requests.tick(link.number, link.payload_bytes, now, is_paused=link.is_paused):
            link.fail(RemoteProtocolError("it owes blocks and sends none"))
        self._send()

    # --- the intake's owner -------------------------------------------------------------------------------------------

    def wrote(self, good: Sequence[BlockId], wrong: Sequence[tuple[Link, BlockId]]) -> None:
        """Blocks are safe, or were wrong."""
        for id_ in good:
            written = self._picker.written(id_)
            if written is not None:
                self._on_written(written)
        late = [id_ for id_ in good if self._picker.ask_again(id_)]
        for link, id_ in wrong:
            self.wrong_blocks += 1
            self._picker.refetch(id_)
            self._on_wrong(link)
        if wrong or late:
            self._ask_all()
        self._wake()

    def write_failed(self, error: StoreError) -> None:
        """Every caller is told; their jobs end."""
        for waiter in self._waiters.values():
            waiter.error = error
        self._wake()

    # --- asking -------------------------------------------------------------------------------------------------------

    def _ask_all(self) -> None:
        self._requests.refill_all(trio.current_time())
        self._send()

    def _send(self) -> None:
        for number, message in self._requests.collect():
            if number in self._links:
                self._links[number].send(message)
            if isinstance(message, Want | WantAny):
                self._wake()

    def _count_unasked(self, link: Link, asked_bytes: int, unasked_bytes: int) -> None:
        self._wasted_bytes += unasked_bytes
        beyond = self._unasked_bytes[link.number] + unasked_bytes - asked_bytes
        self._unasked_bytes[link.number] = max(0, beyond)
        if beyond > limits.MAX_UNASKED_BYTES:
            raise RemoteProtocolError("it keeps sending blocks that nobody asked for")
