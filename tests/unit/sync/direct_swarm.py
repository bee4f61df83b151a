"""A swarm without a network: each folder's side of it reads blocks straight from other folders' stores."""

from collections.abc import AsyncIterable, Callable, Mapping, Sequence

import trio

from p2psync.blocks.need import PageHolding, Run
from p2psync.ids import BlockId
from p2psync.manifest.page import decode_page, page_block_ids
from p2psync.store.base import BlockStore, Payload


class DirectSwarm:
    """One folder's side; it satisfies `sync.exchange.Swarm`. What two calls want comes once.

    Args:
        store: The folder's own blocks.
        sources: Whose blocks may be fetched; asked in order.

    Attributes:
        before_write: If there is one, called before each file block is written, with its id.
        published: Every (head, root, complete) that was offered, in order.
        fetched: Ids of the file blocks that were fetched, in order.
        completed: Roots that were said to be held as a whole.
        held: Pages of which something was said to be held.
        must_hold: Whether what is said to be held must be readable: not so where permissions forbid it.
    """

    def __init__(self, store: BlockStore, sources: Sequence[BlockStore] = ()) -> None:
        self.before_write: Callable[[BlockId], None] | None = None
        self.published: list[tuple[bytes, BlockId, bool]] = []
        self.fetched: list[BlockId] = []
        self.fetched_bytes = 0
        self.completed: list[BlockId] = []
        self.held: set[BlockId] = set()
        self.must_hold = True
        self._hurried: set[BlockId] = set()
        self._begun: set[BlockId] = set()
        self._calls = 0
        self._store = store
        self._sources = list(sources)
        self._followers: list[DirectSwarm] = []
        self._say_head, self._heads = trio.open_memory_channel[bytes](1000)

    def connect(self, follower: "DirectSwarm") -> None:
        """Let another side fetch from this one and hear its heads."""
        follower._sources.append(self._store)
        self._followers.append(follower)
        if self.published:
            follower.hear(self.published[-1][0])

    @property
    def has_peers(self) -> bool:
        """Whether another side hears our heads."""
        return bool(self._followers)

    def hear(self, head: bytes) -> None:
        """A peer offers a head."""
        self._say_head.send_nowait(head)

    def publish(
        self,
        head: bytes,
        root: BlockId,
        *,
        complete: bool,
        holdings: Mapping[BlockId, PageHolding] | None = None,
        provisional: bool = False,
    ) -> None:
        self.published.append((head, root, complete))
        for follower in self._followers:
            follower.hear(head)

    async def next_head(self) -> bytes:
        return await self._heads.receive()

    async def fetch(self, root: BlockId, ids: Sequence[BlockId]) -> None:
        await self._move(ids)

    async def fetch_runs(
        self, root: BlockId, runs: AsyncIterable[Sequence[Run]], *, in_order: bool = False, urgency: int = 0
    ) -> None:
        self._calls += 1
        try:
            async for batch in runs:
                for run in batch:
                    if urgency:
                        self._hurried |= set(run.ids)
                    await self._move(run.ids, of_files=True)
        finally:
            self._calls -= 1
            if not self._calls:
                self._begun.clear()

    def hold(self, root: BlockId, holdings: Mapping[BlockId, PageHolding]) -> None:
        for page, holding in holdings.items():
            (data,) = self._store.read([page])
            assert data is not None
            ids = page_block_ids(decode_page(bytes(data)))
            self.held.add(page)
            held = [id_ for at, id_ in enumerate(ids) if holding.bits[at >> 3] & (0x80 >> (at & 7))]
            assert not self.must_hold or None not in self._store.read(held), "what is said to be held can be read"

    def complete(self, root: BlockId) -> None:
        self.completed.append(root)

    async def _move(self, ids: Sequence[BlockId], *, of_files: bool = False) -> None:
        step = 1 if self.before_write else len(ids)
        for at in range(0, len(ids), step):
            some = [id_ for id_ in ids[at : at + step] if id_ not in self._hurried & self._begun]
            if of_files:
                self._begun |= set(some)
            if not some:
                continue
            blocks = list(zip(some, await self._read(some), strict=True))
            if of_files:
                if self.before_write:
                    self.before_write(some[0])
                self.fetched += some
                self.fetched_bytes += sum(len(data) for _, data in blocks)
            assert await trio.to_thread.run_sync(self._store.write, blocks) == []

    async def _read(self, ids: Sequence[BlockId]) -> list[Payload]:
        found: dict[BlockId, Payload] = {}
        for source in self._sources:
            missing = [id_ for id_ in ids if id_ not in found]
            read = await trio.to_thread.run_sync(source.read, missing)
            found |= {id_: data for id_, data in zip(missing, read, strict=True) if data is not None}
        if len(found) < len(set(ids)):
            await trio.sleep_forever()  # nobody has it (any more): a swarm waits
        return [found[id_] for id_ in ids]
