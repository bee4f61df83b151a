"""One folder's swarm: its links, what they offer, what is asked of them; fetches blocks and exchanges heads."""

import random
from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import fields
from itertools import count

import trio

from p2psync.blocks.need import PageHolding, Run
from p2psync.errors import IntegrityError, RemoteProtocolError
from p2psync.ids import BlockId, DeviceId, PeerAddress
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.acquaintances import Acquaintances
from p2psync.swarm.announcing import Announcing
from p2psync.swarm.choking import Choking
from p2psync.swarm.context import SwarmContext
from p2psync.swarm.describe import describe_link
from p2psync.swarm.dialler import Dialler
from p2psync.swarm.downloads import Downloads
from p2psync.swarm.duplicates import settle_duplicates
from p2psync.swarm.flow import Pulse
from p2psync.swarm.frame_size import FrameRoom
from p2psync.swarm.heads import HeadQueue
from p2psync.swarm.link import Link, Shared, Stream
from p2psync.swarm.neighbours import Neighbours
from p2psync.swarm.offer import Offer
from p2psync.swarm.pace import Pace
from p2psync.swarm.peers import Origin, PeerBook
from p2psync.swarm.places import Places
from p2psync.swarm.statistics import (
    AddressStatistics,
    LinkDown,
    LinkUp,
    PeerBanned,
    SwarmStatistics,
    SwarmTotals,
)
from p2psync.wire.buffers import BufferPool
from p2psync.wire.messages import (
    Blocks,
    Choke,
    Farewell,
    Feature,
    Have,
    HeadOffer,
    Hello,
    Message,
    Missing,
    Peers,
    Ping,
)

TICK_S = 0.5
"""How often links are measured."""
GREETING_LIMIT = 128
"""Members at a time between handshake and HELLO: descriptors and TLS states for which nothing was said yet."""


class Swarm:
    """The peers of one folder; provides what `sync` calls BlockFetcher and HeadExchange."""

    def __init__(self, store: ThreadedStore, context: SwarmContext, rng: random.Random) -> None:
        self._store = store
        self._context = context
        self._book = PeerBook(rng)
        self._neighbours = Neighbours(rng)
        self._dialler = Dialler(
            self._book, context.dial, room=self._room, linked=self._linked, run_link=self._run_dialled
        )
        self._links: dict[int, Link] = {}
        self._announcing = Announcing(self._links.values())
        self._downloads = Downloads(
            store, rng, on_written=self._announcing.written, on_wrong=self._on_wrong, budget=context.memory
        )
        self._acquaintances = Acquaintances(self._book, rng)
        self._choking = Choking(rng, enabled=context.reciprocal)
        self._heads = HeadQueue()
        self._greeting = Places(GREETING_LIMIT)
        self.pace = Pace()
        self._head_came = trio.Event()
        self._numbers = count(1)
        self._shared = Shared(
            context.limits, BufferPool(context.memory.buffer_bytes), room=FrameRoom(context.memory.sending_bytes)
        )
        self._uploaded_bytes = 0
        self._running = False

    # --- for the node -------------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Dial, measure, announce and write, until cancelled; then close every link."""
        self._running = True
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._downloads.run)
                nursery.start_soon(self._dialler.run)
                nursery.start_soon(self._tick_loop)
                nursery.start_soon(self._announcing.run)
                task_status.started()
        finally:
            self._running = False
            for link in list(self._links.values()):
                link.close("this side stops")

    async def accept(self, stream: Stream, *, host: str = "") -> None:
        """Run an accepted, authenticated stream until it ends; `host` is where it comes from, to dial back later."""
        link = self._link(stream, host=host)
        began = trio.current_time()
        await self._run_link(link)
        if link.address is not None:
            self._book.parted(link.address, lived_s=trio.current_time() - began)
        self._put_off(link)

    def add_addresses(self, addresses: Sequence[PeerAddress], origin: Origin = Origin.NAMED) -> None:
        """Try these addresses from now on, as long as where they come from makes it worth it."""
        self._book.add(addresses, trio.current_time(), origin)
        self._dialler.look_again()

    def totals(self) -> SwarmTotals:
        """Return what is counted."""
        return SwarmTotals(
            linked=len(self._links),
            known=len(self._book),
            wasted_bytes=self._downloads.wasted_bytes,
            uploaded_bytes=self._uploaded_bytes + sum(link.uploaded_bytes for link in self._links.values()),
            wrong_blocks=self._downloads.wrong_blocks,
            unassigned_tasks=self._downloads.unassigned_tasks,
            unwritten_bytes=self._downloads.unwritten_bytes,
            disk_is_behind=self._downloads.disk_is_behind,
            bans=self._book.bans,
        )

    def statistics(self) -> SwarmStatistics:
        """Return what there is to know now."""
        totals = self.totals()
        return SwarmStatistics(
            **{field.name: getattr(totals, field.name) for field in fields(totals)},
            links=tuple(
                describe_link(link, self._announcing.offer.root, self._downloads.owed(link))
                for link in self._links.values()
            ),
            addresses=tuple(
                AddressStatistics(address, record.failures, record.last_failure)
                for address, record in self._book.records()
            ),
        )

    # --- HeadExchange -------------------------------------------------------------------------------------------------

    @property
    def has_peers(self) -> bool:
        """Whether anybody is linked. May be asked from any thread."""
        return bool(self._links)

    def publish(
        self,
        head: bytes,
        root: BlockId,
        *,
        complete: bool,
        holdings: Mapping[BlockId, PageHolding] | None = None,
        provisional: bool = False,
    ) -> None:
        """Tell everybody of a manifest whose root and pages we hold, and which blocks of it.

        Args:
            head: The signed head.
            root: Its root.
            complete: We hold every block; then `holdings` is not needed.
            holdings: What we hold of each page. Blocks fetched later are announced for pages told of here or by `hold`.
            provisional: Whether only peers that name the feature may be told.
        """
        offer = Offer(head, root, complete=complete, provisional=provisional)
        offer.hold(holdings or {})
        self._announcing.publish(offer)

    def hold(self, root: BlockId, holdings: Mapping[BlockId, PageHolding]) -> None:
        """Tell what is held of more pages of a manifest; without effect if another one was published since."""
        self._announcing.hold(root, holdings)

    def complete(self, root: BlockId) -> None:
        """Everything of this manifest is held now; without effect if another one was published since."""
        self._announcing.complete(root)

    async def next_head(self) -> bytes:
        """Wait for a head that is newer than any this folder has seen; return the newest offered, each once."""
        while True:
            head = self._heads.take()
            if head:
                return head
            self._head_came = trio.Event()
            await self._head_came.wait()

    # --- BlockFetcher -------------------------------------------------------------------------------------------------

    async def fetch(self, root: BlockId, ids: Sequence[BlockId]) -> None:
        """Fetch a manifest's root or pages from peers that offer it; return when the store has accepted them.

        Raises:
            StoreError: They cannot be kept.
        """
        await self._downloads.fetch(root, ids)

    async def fetch_runs(
        self, root: BlockId, runs: AsyncIterable[Sequence[Run]], *, in_order: bool = False, urgency: int = 0
    ) -> None:
        """Fetch file blocks of a manifest; return when the store has accepted all.

        `runs` is asked for the next batch when few blocks are unassigned, so a batch should be some 100 runs. With
        `in_order` they are asked for as they come, else rarest first. With an `urgency` above 0 they are asked for as
        they come and before all that is less urgent; those that another call waits for already become so too.

        Raises:
            StoreError: They cannot be kept.
        """
        await self._downloads.fetch_runs(root, runs, in_order=in_order, urgency=urgency)

    # --- links --------------------------------------------------------------------------------------------------------

    def _linked(self) -> list[DeviceId]:
        return [link.device for link in self._links.values()]

    def _link(self, stream: Stream, *, dialled: PeerAddress | None = None, host: str = "") -> Link:
        return Link(stream, self._shared, number=next(self._numbers), dialled=dialled, host=host)

    async def _run_dialled(self, stream: Stream, address: PeerAddress) -> None:
        link = self._link(stream, dialled=address)
        self._book.linked(address, link.device)
        began = trio.current_time()
        await self._run_link(link)
        now = trio.current_time()
        self._book.ended(address, link.ending, lived_s=now - began, now=now)
        self._put_off(link)
        self._dialler.look_again()

    def _put_off(self, link: Link) -> None:
        if link.farewell == Farewell.BUSY and link.address is not None:
            self._book.put_off(link.address, trio.current_time())

    def _room(self, under_way: int) -> int:
        return self._neighbours.room_to_dial(under_way, self._known())

    def _known(self) -> int:
        return self._book.count_living() + sum(link.address is None for link in self._links.values())

    async def _run_link(self, link: Link) -> None:
        parting: list[Peers] = []
        self._refuse(link)
        try:
            if not link.ending and await self._greets(link):
                settle_duplicates(link, list(self._links.values()), self._context.device)
                complete = self._announcing.offer.complete
                if not link.ending and self._neighbours.is_full(self._known(), complete=complete):
                    link.close("there are links enough", Farewell.BUSY)
                    parting = self._acquaintances.parting_words(link, self._links.values(), trio.current_time())
                if not link.ending:
                    await self._live(link)
        finally:
            link.close("this side stops")
            # Megabytes, which would stay until Python's collector comes: a link is in a cycle of objects.
            link.holdings.clear()
            await link.aclose(link.farewell or (Farewell.PROTOCOL if link.failure else Farewell.CLOSING), parting)
            if isinstance(link.failure, IntegrityError):
                self._ban(link, str(link.failure))

    async def _greets(self, link: Link) -> bool:
        with self._greeting.take(link.host):
            return await link.greet(self._hello())
        link.close("others came before it said HELLO", Farewell.BUSY)
        return False

    def _hello(self) -> Hello:
        agent, port = self._context.agent.encode(), self._context.listen_port
        features = (Feature.ANY, Feature.CHOKE, Feature.PEERS, Feature.PROVISIONAL, Feature.WISH, Feature.ZSTD)
        return Hello(features=features, agent=agent, listen_port=port)

    def _refuse(self, link: Link) -> None:
        """Close a link that is not wanted whatever its peer may say."""
        if link.device == self._context.device:
            link.close("it is this device itself", Farewell.SELF)
        elif self._book.is_banned(link.device):
            link.close("the peer is banned", Farewell.PROTOCOL)
        elif not self._running:
            link.close("this side stops", Farewell.CLOSING)
            return
        if link.ending and link.dialled is not None:
            self._book.forget(link.dialled)

    async def _live(self, link: Link) -> None:
        address = link.address
        if address is not None:
            self._book.add([address], trio.current_time())
            self._book.linked(address, link.device)
        self._links[link.number] = link
        self._downloads.link_up(link)
        self._neighbours.link_up(link.number, trio.current_time())
        self._acquaintances.link_up(link, trio.current_time())
        self._choking.link_up(link, self._links.values(), trio.current_time())
        self._context.on_event(LinkUp(link.device, address))
        try:
            self._announcing.introduce(link)
            await link.run(self, self._store)
        finally:
            link.close("this side stops")
            del self._links[link.number]
            self._downloads.link_down(link)
            self._neighbours.link_down(link.number)
            self._acquaintances.link_down(link)
            self._choking.link_down(link)
            self._uploaded_bytes += link.uploaded_bytes
            self._context.on_event(LinkDown(link.device, address, link.ending))

    def _on_wrong(self, link: Link) -> None:
        sentence = "it sent a block whose bytes are not what its id says"
        self._ban(link, sentence)
        link.fail(IntegrityError(sentence))

    def _ban(self, link: Link, reason: str) -> None:
        """Have no link with a device again; also where its link is gone by the time its fault is found."""
        if not self._book.is_banned(link.device):
            # Where it says that it listens may be somebody else's; if it is its own, a dial there ends at its device.
            self._book.ban(link.device, link.dialled, reason)
            self._context.on_event(PeerBanned(link.device, reason))

    # --- what links hear ----------------------------------------------------------------------------------------------

    async def wait_room(self) -> None:
        """Wait until received payload may be kept."""
        await self._downloads.wait_room()

    def heard(self, link: Link, message: Message) -> None:
        """Act on a peer's message; what this raises ends its link."""
        match message:
            case Blocks():
                self._downloads.heard_blocks(link, message)
            case Have():
                self._heard_have(link, message)
            case HeadOffer(head):
                self._heard_head(link, head)
            case Missing():
                self._downloads.heard_missing(link, message)
            case Choke(choked):
                self._downloads.choked(link, chokes=choked)
            case Peers(addresses):
                self._acquaintances.heard(link, addresses, trio.current_time())
                self._dialler.look_again()

    def _heard_have(self, link: Link, have: Have) -> None:
        is_upset = link.holdings.is_upset_by(have)
        grown = link.holdings.hear(have)
        if is_upset:
            self._downloads.holdings_shrank(link)
        if grown:
            self._downloads.holdings_grew(link, grown)

    def _heard_head(self, link: Link, head: bytes) -> None:
        try:
            judged = self._context.judge(head)
        except RemoteProtocolError as error:
            raise IntegrityError(f"it offers a head that is none: {error}") from error
        link.standing = judged.standing
        link.holdings.offer(judged.root)
        self._downloads.holdings_shrank(link)
        if self._heads.offer(head, judged):
            self._head_came.set()

    # --- loops --------------------------------------------------------------------------------------------------------

    async def _tick_loop(self) -> None:
        while True:
            await trio.sleep(TICK_S)
            now, offer = trio.current_time(), self._announcing.offer
            self._announcing.tick(now)
            self._acquaintances.tell(self._links.values(), now)
            self._store.remember(wanted=self._announcing.is_wanted)
            self._choking.tick(self._links.values(), offer.root, now, complete=offer.complete)
            self._give_up(now)
            for link in list(self._links.values()):
                if len(self._links) > 1:
                    link.share_line()
                match link.tick(now):
                    case Pulse.DEAD:
                        link.close("the peer fell silent")
                    case Pulse.PING:
                        link.send(Ping())
                self._downloads.tick(link, now)

    def _give_up(self, now: float) -> None:
        """End a link if there are too many; look for others if some turn out to be of no use."""
        links, offer = self._links.values(), self._announcing.offer
        number = self._neighbours.tick(links, offer.root, now, complete=offer.complete, known=self._known())
        if number is not None:
            self._links[number].close("there are links enough", Farewell.BUSY)
        if self._room(0):
            self._dialler.look_again()
