"""One peer: the swarm's own decisions, and lines in place of sockets."""

import hashlib
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from p2psync.blocks.need import PageHolding, Run
from p2psync.ids import BlockId
from p2psync.swarm.flow import PeerFlow
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.offer import Offer, announce_delay_s
from p2psync.swarm.requests import Asked, Requests
from p2psync.swarm.slots import Slots
from p2psync.swarm.tasks import Job
from p2psync.swarm.uploads import Dealt, FrameSize, WantQueue, frames
from p2psync.wire.messages import Blocks, Cancel, Have, HeadOffer, Message, Missing, Part, Want, Wish, payload_bytes
from scripts.simulation.clock import Clock
from scripts.simulation.network import Line, Wire

TICK_S = 0.5
READ_BYTES = 1 << 20
READ_IDS = 128
_NOTHING = memoryview(bytes(4 << 20))


@dataclass(frozen=True)
class Folder:
    """A manifest's shape: one root, pages, blocks with lengths."""

    root: BlockId
    pages: Mapping[BlockId, list[BlockId]]
    lengths: Mapping[BlockId, int]

    @property
    def size_bytes(self) -> int:
        return sum(self.lengths.values())

    def runs(self, run_bytes: int = 1 << 20) -> list[Run]:
        runs = []
        for page, ids in self.pages.items():
            positions: list[int] = []
            size = 0
            for position, id_ in enumerate(ids):
                if positions and size + self.lengths[id_] > run_bytes:
                    runs.append(self._run(page, positions))
                    positions, size = [], 0
                positions.append(position)
                size += self.lengths[id_]
            runs.append(self._run(page, positions))
        return runs

    def _run(self, page: BlockId, positions: list[int]) -> Run:
        ids = [self.pages[page][position] for position in positions]
        return Run(page, positions, ids, [self.lengths[id_] for id_ in ids])


def make_folder(blocks: int, block_bytes: int, rng: random.Random, pages: int = 1) -> Folder:
    """Make a folder whose blocks are about as long as content-defined ones are."""
    ids = [BlockId(rng.randbytes(32)) for _ in range(blocks)]
    share = -(-blocks // pages)
    lengths = {id_: int(block_bytes * rng.uniform(0.5, 1.5)) for id_ in ids}
    return Folder(
        BlockId(rng.randbytes(32)),
        {BlockId(rng.randbytes(32)): ids[at : at + share] for at in range(0, blocks, share)},
        lengths,
    )


@dataclass(eq=False)
class Peering:
    """One host's end of a link."""

    number: int
    other: "Host"
    holdings: Holdings
    flow: PeerFlow
    wants: WantQueue
    frame_size: FrameSize = field(default_factory=FrameSize)
    is_waiting: bool = False
    turns: deque[int] = field(default_factory=deque)
    out: Wire = field(init=False)
    back: "Peering" = field(init=False)

    @property
    def payload_bytes(self) -> int:
        """Payload received."""
        return self.back.out.delivered_bytes

    @property
    def uploaded_bytes(self) -> int:
        """Payload sent."""
        return self.out.delivered_bytes


class Host:
    """A peer of one folder.

    Attributes:
        done_at: When it had everything.
        twice_bytes: Payload that it received without waiting for it any more.
        uploaded_bytes: Payload that it began to send.
        messages: Messages that it sent.
    """

    def __init__(self, clock: Clock, name: int, folder: Folder, line: Line, rng: random.Random) -> None:
        self.clock, self.name, self.folder, self.line = clock, name, folder, line
        self.requests = Requests(rng)
        self.peerings: dict[int, Peering] = {}
        self.done_at: float | None = None
        self.joined_at = clock.now
        self.is_gone = False
        self.twice_bytes = self.uploaded_bytes = self.received_bytes = self.messages = 0
        self.on_done: Callable[[Host], None] = lambda host: None
        self.on_link_down: Callable[[int], None] = lambda number: None
        self._pages = {id_: (page, at) for page, ids in folder.pages.items() for at, id_ in enumerate(ids)}
        self._dealt = Dealt()
        self._slots = Slots()
        self._turns: deque[Peering] = deque()
        self._is_patient = False
        self._is_announcing = False
        self.job = Job(folder.root)
        self.offer = Offer(b"head", folder.root)
        self.clock.after(rng.uniform(0, TICK_S), self._tick)

    def share(self) -> None:
        """Hold everything from the start."""
        self.offer = Offer(b"head", self.folder.root, complete=True)
        self.done_at = self.clock.now

    def get(self) -> None:
        """Begin to fetch everything."""
        nothing = {page: PageHolding(len(ids), bytes((len(ids) + 7) // 8)) for page, ids in self.folder.pages.items()}
        self.offer.hold(nothing)
        self.requests.picker.begin(self.job)
        self.requests.picker.add(self.job, self.folder.runs())
        self.job.exhausted = True
        self.requests.refill_all(self.clock.now)
        self._send_letters()

    def leave(self) -> None:
        """Be gone, at once and without a word."""
        self.is_gone = True
        for peering in list(self.peerings.values()):
            peering.other.lose(peering.back)
            self.lose(peering)

    # --- links --------------------------------------------------------------------------------------------------------

    def link(self, other: "Host", delay_s: float) -> None:
        """Bring up a link."""
        ours, theirs = self._new_end(other), other._new_end(self)
        ours.back, theirs.back = theirs, ours
        for host, end in ((self, ours), (other, theirs)):
            end.out = Wire(host.line, end.other.line, delay_s, end.other._hearer(end.back), host._drainer(end))
        for host, end in ((self, ours), (other, theirs)):
            host.peerings[end.number] = end
            name = hashlib.sha256(b"%d" % end.number).digest()
            host.requests.link_up(end.number, Asked(name, end.holdings, end.flow, deals=True, is_open=lambda: True))
        for host, end in ((self, ours), (other, theirs)):
            host._say(end, HeadOffer(host.folder.root))
            for have in host.offer.everything():
                host._say(end, have)

    def lose(self, peering: Peering) -> None:
        """A link is gone."""
        if not peering.out.is_cut:
            peering.out.is_cut = True
            while peering.turns:
                self._slots.end(peering.turns.popleft(), self.clock.now)
        if self.peerings.pop(peering.number, None) is not None:
            self.on_link_down(peering.number)
            self.requests.link_down(peering.number, self.clock.now)
            self._send_letters()

    def part(self, number: int) -> None:
        """Give up a link."""
        peering = self.peerings[number]
        self.lose(peering)
        peering.other.lose(peering.back)

    def _new_end(self, other: "Host") -> Peering:
        return Peering(other.name, other, Holdings(), PeerFlow(self.clock.now), WantQueue(self._dealt))

    def _hearer(self, peering: Peering) -> Callable[[Message], None]:
        return lambda message: self._hear(peering, message)

    def _drainer(self, peering: Peering) -> Callable[[int, float], None]:
        def drained(size: int, took_s: float) -> None:
            peering.frame_size.sent(size, took_s)
            self._slots.end(peering.turns.popleft(), self.clock.now)
            self._serve(peering)
            self._take_turns()

        return drained

    # --- what is heard ------------------------------------------------------------------------------------------------

    def _hear(self, peering: Peering, message: Message) -> None:
        match message:
            case Blocks():
                self._hear_blocks(peering, message)
            case Part(id_, total, offset, payload):
                if offset + len(payload) < total:
                    return
                self._hear_blocks(peering, Blocks([(id_, _NOTHING[:total])]))
            case Have():
                self._hear_have(peering, message)
            case HeadOffer(head):
                peering.holdings.offer(BlockId(head))
                self.requests.holdings_shrank(peering.number, self.clock.now)
            case Want(ids):
                peering.wants.want(ids)
                self._serve(peering)
            case Wish(ids):
                peering.wants.wish(ids)
                self._serve(peering)
            case Cancel(ids):
                peering.wants.drop(ids)
            case Missing(ids):
                self.requests.missing(peering.number, ids, self.clock.now)
        self._send_letters()

    def _hear_have(self, peering: Peering, have: Have) -> None:
        grown = peering.holdings.hear(have)
        if have.complete or have.gone:
            self.requests.holdings_shrank(peering.number, self.clock.now)
        if grown:
            self.requests.holdings_grew(peering.number, grown, self.clock.now)

    def _hear_blocks(self, peering: Peering, message: Blocks) -> None:
        expected = self.requests.received(peering.number, [id_ for id_, _ in message.blocks], self.clock.now)
        for (id_, data), is_expected in zip(message.blocks, expected, strict=True):
            self.received_bytes += len(data)
            if not is_expected:
                self.twice_bytes += len(data)
                continue
            written = self.requests.picker.written(id_)
            assert written is not None, "a block that was received is one that was wanted"
            self.offer.add(*self._pages[id_])
        if not self._is_announcing:
            self._is_announcing = True
            self.clock.after(announce_delay_s(len(self.peerings)), self._announce)
        if self.job.is_done and self.done_at is None:
            self.done_at = self.clock.now
            self.offer.complete = True
            for each in self.peerings.values():
                self._say(each, Have(complete=[self.folder.root]))
            self.on_done(self)

    def _announce(self) -> None:
        self._is_announcing = False
        haves = list(self.offer.changes())
        for peering in self.peerings.values():
            if self.folder.root not in peering.holdings.complete:
                for have in haves:
                    self._say(peering, have)

    def _tick(self) -> None:
        if self.is_gone:
            return
        for peering in list(self.peerings.values()):
            if not self.requests.tick(peering.number, peering.payload_bytes, self.clock.now, is_paused=False):
                self.lose(peering)
                peering.other.lose(peering.back)
        self._send_letters()
        if self.done_at is None:
            self.clock.after(TICK_S, self._tick)

    # --- what is said -------------------------------------------------------------------------------------------------

    def _send_letters(self) -> None:
        for number, message in self.requests.collect():
            if number in self.peerings:
                self._say(self.peerings[number], message)

    def _say(self, peering: Peering, message: Message) -> None:
        self.messages += 1
        peering.out.put_control(message)

    def _serve(self, peering: Peering) -> None:
        """Let a link wait for its turn to send, if there is anything to send and room for it."""
        wants = peering.wants
        if (
            wants
            and not peering.is_waiting
            and not peering.out.is_cut
            and peering.out.waiting < (2 if wants.has_wants else 1)
        ):
            peering.is_waiting = True
            self._turns.append(peering)
            self._take_turns()

    def _take_turns(self) -> None:
        while self._turns:
            wait_s = self._slots.wait_s(self.clock.now)
            if wait_s:
                if not self._is_patient:
                    self._is_patient = True
                    self.clock.after(wait_s + 1e-6, self._end_patience)
                return
            peering = self._turns.popleft()
            peering.is_waiting = False
            if peering.wants and not peering.out.is_cut:
                self._send_frames(peering)
                self._serve(peering)

    def _end_patience(self) -> None:
        self._is_patient = False
        self._take_turns()

    def _send_frames(self, peering: Peering) -> None:
        wants, out = peering.wants, peering.out
        ids, payloads = self._read(wants.first(READ_IDS, peering.frame_size.limit_bytes))
        wants.drop(ids)
        wants.answered(payloads)
        for message in frames(ids, payloads, peering.frame_size.limit_bytes):
            peering.turns.append(self._slots.begin(self.clock.now))
            size = payload_bytes(message)
            self.uploaded_bytes += size
            self.messages += 1
            out.put(message, size)

    def _read(self, ids: list[BlockId]) -> tuple[list[BlockId], list[memoryview]]:
        payloads: list[memoryview] = []
        size = 0
        for id_ in ids:
            payloads.append(_NOTHING[: self.folder.lengths[id_]])
            size += len(payloads[-1])
            if size >= READ_BYTES:
                break
        return ids[: len(payloads)], payloads
