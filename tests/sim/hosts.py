"""Whole swarms on simulated hosts: each with a store in memory, all after one made-up manifest."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from p2psync.blocks.block import block_id
from p2psync.blocks.need import PageHolding, Run
from p2psync.errors import IntegrityError
from p2psync.ids import BlockId, DeviceId, PeerAddress
from p2psync.manifest.head import Standing
from p2psync.store.base import BlockStore
from p2psync.store.memory import MemoryStore
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.context import SwarmContext
from p2psync.swarm.heads import JudgedHead
from p2psync.swarm.limiter import Rates
from p2psync.swarm.link import Stream
from p2psync.swarm.statistics import SwarmEvent
from p2psync.swarm.swarm import Swarm
from p2psync.swarm.throttle import Limits
from tests.sim.net import Host, Net, SimStream
from tests.sim.raw_peer import RawPeer, Script


@dataclass(frozen=True)
class MadeUpFolder:
    """A manifest's shape without its meaning: a root, pages, and blocks of random bytes."""

    root: BlockId
    pages: dict[BlockId, list[BlockId]]
    blocks: dict[BlockId, bytes]
    seq: int = 1

    @property
    def head(self) -> bytes:
        return b"head %d " % self.seq + self.root

    @property
    def size_bytes(self) -> int:
        return sum(len(self.blocks[id_]) for ids in self.pages.values() for id_ in ids)

    def runs(self, lacking: Callable[[BlockId], bool], run_bytes: int = 1 << 20) -> Iterator[Run]:
        for page, ids in self.pages.items():
            run: list[int] = []
            for position, id_ in enumerate(ids):
                if lacking(id_):
                    run.append(position)
                if run and sum(len(self.blocks[ids[at]]) for at in run) >= run_bytes:
                    yield self._run(page, ids, run)
                    run = []
            if run:
                yield self._run(page, ids, run)

    def _run(self, page: BlockId, ids: list[BlockId], positions: list[int]) -> Run:
        wanted = [ids[at] for at in positions]
        return Run(page, positions, wanted, [len(self.blocks[id_]) for id_ in wanted])


def make_folder(
    lengths: Sequence[int], *, pages: int = 4, seed: int = 0, seq: int = 1, repeated: int = 1
) -> MadeUpFolder:
    """Make blocks of random bytes, which stand `repeated` times in each, so that it shrinks."""
    rng = random.Random(seed)
    contents = [rng.randbytes(length // repeated) * repeated for length in lengths]
    blocks = {block_id(data): data for data in contents}
    ids, page_blocks = list(blocks), {}
    per_page = -(-len(ids) // pages)
    for at in range(0, len(ids), per_page):
        data = b"page" + b"".join(ids[at : at + per_page])
        page_blocks[block_id(data)] = ids[at : at + per_page]
        blocks[block_id(data)] = data
    root_data = b"root" + b"".join(page_blocks)
    blocks[block_id(root_data)] = root_data
    return MadeUpFolder(block_id(root_data), page_blocks, blocks, seq)


async def in_place(function: Callable[..., object], *args: object, limiter: trio.CapacityLimiter) -> object:
    """Virtual time does not wait for threads, so the store is called here."""
    async with limiter:
        return function(*args)


class SimPeer:
    """A host with a swarm."""

    def __init__(
        self,
        net: Net,
        name: str,
        folder: MadeUpFolder,
        *,
        rate: float = float("inf"),
        store: BlockStore | None = None,
        limits: Rates | None = None,
        reciprocal: bool = False,
    ) -> None:
        self.net = net
        self.host = Host(name, rate)
        self.address = PeerAddress(name, 1)
        self.folder = folder
        self.memory = MemoryStore()
        self.events: list[SwarmEvent] = []
        self.seen_seq = 0
        self.took_s = float("inf")
        self._began = trio.current_time()
        self.scope = trio.CancelScope()
        self.limits = Limits(limits)
        limiter = trio.CapacityLimiter(4)
        context = SwarmContext(
            device=self.host.device,
            judge=self._judge,
            dial=self._dial,
            on_event=self.events.append,
            listen_port=1,
            agent=name,
            limits=self.limits,
            reciprocal=reciprocal,
        )
        access = ThreadedStore(self.memory if store is None else store, limiter, run_sync=in_place)
        self.swarm = Swarm(access, context, random.Random(name))

    def share(self) -> None:
        self.memory.write(list(self.folder.blocks.items()))
        self.seen_seq = self.folder.seq
        self.swarm.publish(self.folder.head, self.folder.root, complete=True)

    async def get(self) -> None:
        folder = self.folder
        assert await self.swarm.next_head() == folder.head
        await self.swarm.fetch(folder.root, [folder.root])
        await self.swarm.fetch(folder.root, list(folder.pages))
        await self.get_blocks()

    async def get_blocks(self) -> None:
        folder = self.folder
        self.seen_seq = folder.seq
        self.swarm.publish(folder.head, folder.root, complete=False, holdings=dict(self._holdings()))
        await self.swarm.fetch_runs(folder.root, self._lacking_runs())
        self.swarm.complete(folder.root)
        self.took_s = trio.current_time() - self._began
        assert all(id_ in self.memory for id_ in folder.blocks)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        accepted = self.net.listen(self.host, self.address)
        with self.scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.swarm.run)
                task_status.started()
                async for stream in accepted:
                    nursery.start_soon(self._accept, stream)
        self.net.stop(self.address)

    def leave(self) -> None:
        """Vanish as by kill -9: streams break, nobody says goodbye."""
        self.scope.cancel()

    async def _accept(self, stream: Stream) -> None:
        await self.swarm.accept(stream, host=self.net.name_of(stream.device))

    async def _dial(self, address: PeerAddress) -> Stream:
        return await self.net.dial(self.host, address)

    def _judge(self, head: bytes) -> JudgedHead:
        if not head.startswith(b"head "):
            raise IntegrityError("a head whose signature is wrong")
        seq = int(head.split(b" ", 2)[1])
        standing = Standing.NEWER if seq > self.seen_seq else Standing.SAME if seq == self.seen_seq else Standing.OLDER
        return JudgedHead(standing, seq, BlockId(head[-32:]))

    def _holdings(self) -> Iterator[tuple[BlockId, PageHolding]]:
        for page, ids in self.folder.pages.items():
            bits = bytearray((len(ids) + 7) // 8)
            for position, id_ in enumerate(ids):
                if id_ in self.memory:
                    bits[position >> 3] |= 0x80 >> (position & 7)
            yield page, PageHolding(len(ids), bytes(bits))

    async def _lacking_runs(self) -> AsyncIterator[Sequence[Run]]:
        batch: list[Run] = []
        for run in self.folder.runs(lambda id_: id_ not in self.memory):
            batch.append(run)
            if len(batch) == 64:
                yield batch
                batch = []
        if batch:
            yield batch


class ScriptedHost:
    """A host where a script answers whoever dials; connections are counted."""

    def __init__(self, net: Net, name: str, script: Script) -> None:
        self.net = net
        self.host = Host(name)
        self.address = PeerAddress(name, 1)
        self.script = script
        self.dialled_by: Counter[DeviceId] = Counter()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        accepted = self.net.listen(self.host, self.address)
        async with trio.open_nursery() as nursery:
            task_status.started()
            async for stream in accepted:
                self.dialled_by[stream.device] += 1
                nursery.start_soon(self._answer, stream)

    async def _answer(self, stream: SimStream) -> None:
        try:
            await self.script(RawPeer(stream))
        except (trio.BrokenResourceError, EOFError):
            pass
        finally:
            stream.close()


@asynccontextmanager
async def running(*peers: SimPeer | ScriptedHost) -> AsyncIterator[trio.Nursery]:
    """Run peers that all know each other's addresses, each in an order of its own, as a tracker names them."""
    rng = random.Random(0)
    async with trio.open_nursery() as nursery:
        for peer in peers:
            await nursery.start(peer.run)
        for peer in peers:
            if isinstance(peer, ScriptedHost):
                continue
            others = [other.address for other in peers if other is not peer]
            peer.swarm.add_addresses(rng.sample(others, len(others)))
        yield nursery
        nursery.cancel_scope.cancel()


async def all_get(*peers: SimPeer, within_s: float = 600.0) -> None:
    """Wait until every one of the peers has everything."""
    with trio.fail_after(within_s):
        async with trio.open_nursery() as nursery:
            for peer in peers:
                nursery.start_soon(peer.get)
