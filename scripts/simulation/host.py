"""One peer: the swarm's own decisions, and lines in place of sockets."""

import hashlib
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from p2psync.blocks.need import PageHolding
from p2psync.ids import BlockId
from p2psync.swarm.choking import Choking
from p2psync.swarm.flow import PeerFlow
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.limiter import Rates
from p2psync.swarm.offer import Offer, announce_delay_s
from p2psync.swarm.outbox import PayloadMessage, carries_only, ids_of
from p2psync.swarm.requests import Asked, Requests
from p2psync.swarm.slots import Slots
from p2psync.swarm.tasks import Job
from p2psync.swarm.throttle import Limits, Throttle
from p2psync.swarm.uploads import Dealt, WantQueue, frames
from p2psync.wire.messages import (
    Blocks,
    Cancel,
    Choke,
    Have,
    HeadOffer,
    Message,
    Missing,
    Part,
    Want,
    WantAny,
    Wish,
    payload_bytes,
)
from scripts.simulation.clock import Clock
from scripts.simulation.folder import Folder
from scripts.simulation.network import Line, Wire
from scripts.simulation.peering import Peering

TICK_S = 0.5
READ_BYTES = 1 << 20
READ_IDS = 128
_NOTHING = memoryview(bytes(4 << 20))


@dataclass(frozen=True)
class Conduct:
    """What a host keeps to: limits, if it has any, whether who gives is given to, and whether it fetches in order."""

    rates: Rates | None = None
    reciprocal: bool = False
    in_order: bool = False


class Host:
    """A peer of one folder.

    Attributes:
        done_at: When it had everything.
        twice_bytes: Payload that it received without waiting for it any more.
        uploaded_bytes: Payload that it began to send.
        messages: Messages that it sent.
    """

    def __init__(
        self,
        clock: Clock,
        name: int,
        folder: Folder,
        line: Line,
        rng: random.Random,
        conduct: Conduct,
    ) -> None:
        self.clock, self.name, self.folder, self.line = clock, name, folder, line
        self.limits = Limits(conduct.rates)
        self.requests = Requests(rng)
        self._is_reciprocal = conduct.reciprocal
        self._choking = Choking(rng, enabled=conduct.reciprocal)
        self.peerings: dict[int, Peering] = {}
        self.done_at: float | None = None
        self.joined_at = clock.now
        self.device = hashlib.sha256(b"%d" % name).digest()
        self.is_gone = False
        self.twice_bytes = self.uploaded_bytes = self.received_bytes = self.messages = 0
        self.on_done: Callable[[Host], None] = lambda host: None
        self.on_link_down: Callable[[int], None] = lambda number: None
        self._dealt = Dealt()
        self._slots = Slots()
        self._turns: deque[Peering] = deque()
        self._is_patient = False
        self._is_announcing = False
        self.job = Job(folder.root, in_order=conduct.in_order)
        self.offer = Offer(b"head", folder.root)
        self.clock.after(rng.uniform(0, TICK_S), self._tick)

    @property
    def up_bytes_per_s(self) -> float:
        """What its line and its limits let it send."""
        return min(self.line.up_bytes_per_s, self.limits.rates.up or math.inf)

    @property
    def down_bytes_per_s(self) -> float:
        """What they let it receive."""
        return min(self.line.down_bytes_per_s, self.limits.rates.down or math.inf)

    def share(self) -> None:
        """Hold everything from the start."""
        self.offer = Offer(b"head", self.folder.root, complete=True)
        self.done_at = self.clock.now

    def get(self) -> None:
        """Begin to fetch everything."""
        nothing = {page: PageHolding(len(ids), bytes((len(ids) + 7) // 8)) for page, ids in self.folder.pages.items()}
        self.offer.hold(nothing)
        self.requests.picker.begin(self.job)
        self.requests.picker.add(self.job, self.folder.runs)
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
            hear, drained = partial(end.other._hear, end.back), partial(host._drained, end)
            end.out = Wire((host.line, end.other.line), delay_s, hear, drained, end.back.down_limit.charge)
        for host, end in ((self, ours), (other, theirs)):
            host.peerings[end.number] = end
            arriving = partial(getattr, end, "arriving")
            asked = Asked(end.other.device, end.holdings, end.flow, True, True, _is_open, arriving)
            host.requests.link_up(end.number, asked)
        for host, end in ((self, ours), (other, theirs)):
            host._say(end, HeadOffer(host.folder.root))
            for have in host.offer.everything():
                host._say(end, have)
            host._choking.link_up(end, host.peerings.values(), host.clock.now)

    def lose(self, peering: Peering) -> None:
        """A link is gone."""
        if not peering.out.is_cut:
            peering.out.is_cut = True
            while peering.turns:
                self._slots.end(peering.turns.popleft(), self.clock.now)
        if self.peerings.pop(peering.number, None) is not None:
            self._choking.link_down(peering)
            self.on_link_down(peering.number)
            self.requests.link_down(peering.number, self.clock.now)
            self._send_letters()

    def part(self, number: int) -> None:
        """Give up a link."""
        peering = self.peerings[number]
        self.lose(peering)
        peering.other.lose(peering.back)

    def _new_end(self, other: "Host") -> Peering:
        up, down = (Throttle(self.limits, upward=upward, host="") for upward in (True, False))
        flow, holdings = PeerFlow(self.clock.now), Holdings()
        return Peering(other.name, self, other, holdings, flow, WantQueue(self._dealt, holdings), up, down)

    def _drained(self, peering: Peering, size: int, took_s: float) -> None:
        peering.frame_size.sent(size, took_s)
        peering.wants.frame_left(took_s)
        self._slots.end(peering.turns.popleft(), self.clock.now)
        if peering.is_choked:
            peering.tell_choked()
        self._serve(peering)
        if self._turns:
            self._take_turns()

    # --- what is heard ------------------------------------------------------------------------------------------------

    def _hear(self, peering: Peering, message: Message) -> None:
        if isinstance(message, Part):
            self._hear_part(peering, message)
            if peering.arriving[1] < message.total:
                return
            peering.arriving = BlockId(b""), 0
            message = Blocks([(message.id, _NOTHING[: message.total])])
        self._hearers[type(message)](self, peering, message)
        self._send_letters()

    def _hear_part(self, peering: Peering, part: Part) -> None:
        if not part.offset:  # what came before it of another block came for nothing
            self.received_bytes += peering.arriving[1]
            self.twice_bytes += peering.arriving[1]
        peering.arriving = part.id, part.offset + len(part.payload)

    def _hear_head(self, peering: Peering, message: HeadOffer) -> None:
        peering.holdings.offer(BlockId(message.head))
        self.requests.holdings_shrank(peering.number, self.clock.now)

    def _hear_choke(self, peering: Peering, message: Choke) -> None:
        self.requests.choked(peering.number, self.clock.now, chokes=message.choked)

    def _hear_cancel(self, peering: Peering, message: Cancel) -> None:
        ids = set(message.ids)
        peering.wants.drop(ids)
        kept = deque(frame for frame in peering.ready if not carries_only(frame, ids))
        peering.wants.cut_off(_blocks_of(peering.ready) - _blocks_of(kept))
        peering.ready = kept
        for size in peering.out.take_back(ids):
            self.uploaded_bytes -= size
            self._slots.end(peering.turns.pop(), self.clock.now)
        self._serve(peering)

    def _hear_missing(self, peering: Peering, message: Missing) -> None:
        self.requests.missing(peering.number, message.ids, self.clock.now)

    def _hear_wants(self, peering: Peering, message: Want | WantAny | Wish) -> None:
        if not peering.is_choked:  # else it had not heard yet
            peering.wants.ask(message)
            self._serve(peering)

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
            self.offer.add(written.page, written.position)
        if not self._is_announcing:
            self._is_announcing = True
            self.clock.after(announce_delay_s(len(self.peerings)), self._announce)
        if self.job.is_done and self.done_at is None:
            self.done_at = self.clock.now
            self.offer.complete = True
            for each in self.peerings.values():
                self._say(each, Have(complete=[self.folder.root]))
            self.on_done(self)

    _hearers: ClassVar[Mapping[type[Message], Callable[..., None]]] = {
        Blocks: _hear_blocks,
        Cancel: _hear_cancel,
        Choke: _hear_choke,
        Have: _hear_have,
        HeadOffer: _hear_head,
        Missing: _hear_missing,
        Want: _hear_wants,
        WantAny: _hear_wants,
        Wish: _hear_wants,
    }

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
        now = self.clock.now
        self._choking.tick(self.peerings.values(), self.folder.root, now, complete=self.offer.complete)
        for peering in list(self.peerings.values()):
            peering.flow.limit_bytes_per_s = peering.down_limit.lowest
            back = peering.back.out
            if not self.requests.tick(peering.number, back.delivered_bytes, now, is_paused=back.is_paused):
                self.lose(peering)
                peering.other.lose(peering.back)
        self._send_letters()
        if self.done_at is None or self._is_reciprocal:
            self.clock.after(TICK_S, self._tick)

    # --- what is said -------------------------------------------------------------------------------------------------

    def _send_letters(self) -> None:
        for number, message in self.requests.collect():
            peering = self.peerings.get(number)
            if peering is not None:
                self._say(peering, message)

    def say(self, peering: Peering, messages: Iterable[Message]) -> None:
        """Send control messages."""
        for message in messages:
            self._say(peering, message)

    def _say(self, peering: Peering, message: Message) -> None:
        self.messages += 1
        peering.out.put_control(message)

    def _serve(self, peering: Peering) -> None:
        """Let a link wait for its turn to send, if there is anything to send and room for it."""
        wants, out = peering.wants, peering.out
        if peering.is_waiting or peering.is_paying or out.is_cut or len(out.waiting) >= (2 if wants.has_wants else 1):
            return
        if not peering.ready and (rest_s := wants.rest_s(self.clock.now)):
            self._rest(peering, rest_s)
        else:
            peering.is_waiting = True
            self._turns.append(peering)
            self._take_turns()

    def _rest(self, peering: Peering, rest_s: float) -> None:
        """Look again when something may be sent."""
        if rest_s != math.inf and not peering.is_resting:
            peering.is_resting = True
            self.clock.after(rest_s + 1e-6, self._end_rest, peering)

    def _end_rest(self, peering: Peering) -> None:
        peering.is_resting = False
        self._serve(peering)

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
            if not peering.out.is_cut and (peering.ready or not peering.wants.rest_s(self.clock.now)):
                self._send_frames(peering)
            self._serve(peering)

    def _end_patience(self) -> None:
        self._is_patient = False
        self._take_turns()

    def _send_frames(self, peering: Peering) -> None:
        """Send what was read for a link, a frame at least and as much as its limit allows."""
        if not peering.ready:
            peering.ready.extend(self._next_frames(peering))
        while peering.ready and not peering.is_paying:
            message = peering.ready.popleft()
            peering.turns.append(self._slots.begin(self.clock.now))
            size = payload_bytes(message)
            self.uploaded_bytes += size
            self.messages += 1
            peering.out.put(message, size)
            wait_s = peering.up_limit.charge(size, self.clock.now)
            if wait_s:
                peering.is_paying = True
                self.clock.after(wait_s, self._end_payment, peering)

    def _next_frames(self, peering: Peering) -> Iterator[Blocks | Part | Missing]:
        wants, limit_bytes = peering.wants, peering.frame_size.limit_bytes
        ids = wants.first(READ_IDS, limit_bytes, self.clock.now)
        payloads = self._read(ids)
        wants.answered(ids, payloads)
        return frames(ids[: len(payloads)], payloads, min(limit_bytes, peering.up_limit.quantum_bytes))

    def _end_payment(self, peering: Peering) -> None:
        peering.is_paying = False
        self._serve(peering)

    def _read(self, ids: list[BlockId]) -> list[memoryview]:
        payloads: list[memoryview] = []
        size = 0
        for id_ in ids:
            payloads.append(_NOTHING[: self.folder.lengths[id_]])
            size += len(payloads[-1])
            if size >= READ_BYTES:
                break
        return payloads


def _blocks_of(frames: Iterable[PayloadMessage]) -> set[BlockId]:
    return {id_ for frame in frames for id_ in ids_of(frame)}


def _is_open() -> bool:
    return True
