"""What to say to whom so that blocks come: windows, wishes, patience. Pure; what it decides is collected and sent."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from p2psync.ids import BlockId
from p2psync.swarm.flow import PeerFlow
from p2psync.swarm.holdings import Grown, Holdings
from p2psync.swarm.picker import Picker
from p2psync.wire import limits
from p2psync.wire.messages import Cancel, Want, WantAny, Wish

IDS_PER_FRAME = 4_096
UNWISH_S = 0.05
"""Wishes that others have made needless are taken back so rarely: a seed sends first what it has sent to nobody, so it
would not have sent them meanwhile, and one word for each announcement of each peer would be most of what it hears."""
Letter = tuple[int, Want | WantAny | Wish | Cancel]
"""A message, and the number of the link that it is for."""


@dataclass(eq=False, slots=True)
class Asked:
    """A peer that may be asked.

    Attributes:
        name: What everybody calls it: its device id.
        holdings: What it announced.
        flow: How fast it sends.
        deals: It takes wishes.
        picks: It takes wants in no order.
        is_open: Says whether its link still lives.
        arriving: Returns the block that comes from it in parts, and how many of its bytes are here.
    """

    name: bytes
    holdings: Holdings
    flow: PeerFlow
    deals: bool
    picks: bool
    is_open: Callable[[], bool]
    arriving: Callable[[], tuple[BlockId, int]]


@dataclass(frozen=True, slots=True)
class Owed:
    """What a peer is to send us.

    Attributes:
        in_flight_bytes: What it was asked for.
        wished_blocks: How many blocks are left to it to send when it likes.
        wished_bytes: Their size.
        chokes_us: It answers none of our wants at present.
    """

    in_flight_bytes: int
    wished_blocks: int
    wished_bytes: int
    chokes_us: bool


class Requests:
    """Decides what every link is asked for.

    Attributes:
        picker: Which task is next; callers add jobs to it and tell it what was written.
    """

    def __init__(self, rng: random.Random) -> None:
        self.picker = Picker(rng)
        self._links: dict[int, Asked] = {}
        self._chokers: set[int] = set()
        self._letters: list[Letter] = []
        self._unwished: dict[int, list[BlockId]] = {}
        self._unwished_at = 0.0

    def collect(self) -> list[Letter]:
        """Return what is to be sent since the last call, in order."""
        letters, self._letters = self._letters, []
        return letters

    def owed(self, number: int) -> Owed:
        """Return what a peer is to send us; takes time for each task that is wished for."""
        blocks, size_bytes = self.picker.wishes.at(number)
        return Owed(self.picker.in_flight(number)[0], blocks, size_bytes, number in self._chokers)

    # --- links --------------------------------------------------------------------------------------------------------

    def link_up(self, number: int, asked: Asked) -> None:
        """A link may be asked from now on."""
        self._links[number] = asked
        self.picker.add_peer(number, asked.holdings, name=asked.name, deals=asked.deals, arriving=asked.arriving)

    def link_down(self, number: int, now: float) -> None:
        """What a link owed is asked from others."""
        del self._links[number]
        self._unwished.pop(number, None)
        self._chokers.discard(number)
        self.picker.drop_peer(number)
        self.refill_all(now)

    def holdings_grew(self, number: int, grown: Grown, now: float) -> None:
        """A peer announced more."""
        for seed, ids in self.picker.holdings_grew(number, grown).items():
            self._unwished.setdefault(seed, []).extend(ids)
        if now - self._unwished_at >= UNWISH_S:
            self._take_back(now)
        self._refill(number, now)

    def holdings_shrank(self, number: int, now: float) -> None:
        """A peer offered a head, withdrew something, or became complete."""
        self.cancel({number: self.picker.holdings_shrank(number)})
        self._refill(number, now)

    def choked(self, number: int, now: float, *, chokes: bool) -> None:
        """A peer answers nothing any more, and has dropped what it was asked for; or it answers again."""
        if chokes == (number in self._chokers):
            return
        if chokes:
            self._chokers.add(number)
        else:
            self._chokers.discard(number)
        self.picker.choked(number, chokes=chokes)
        self.refill_all(now)

    # --- answers ------------------------------------------------------------------------------------------------------

    def received(self, number: int, ids: Iterable[BlockId], now: float) -> list[bool]:
        """Blocks arrived; say of each whether it was waited for."""
        self._links[number].flow.arrived(now)
        cancels: dict[int, list[BlockId]] = {}
        expected = []
        for id_ in ids:
            others = self.picker.received(number, id_)
            expected.append(others is not None)
            for other in others or ():
                cancels.setdefault(other, []).append(id_)
        self.cancel(cancels)
        for other in cancels:
            self._refill(other, now)
        self._refill(number, now)
        return expected

    def missing(self, number: int, ids: Iterable[BlockId], now: float) -> None:
        """A peer lacks blocks it was asked for."""
        for id_ in ids:
            self.picker.missing(number, id_, now)
        self.refill_all(now)

    def tick(self, number: int, payload_bytes: int, now: float, *, is_paused: bool) -> bool:
        """Measure a link, snub it if it does not send what it owes; return False if it is to be ended."""
        flow, picker = self._links[number].flow, self.picker
        flow.tick(now, payload_bytes, owing=picker.in_flight(number)[0] > 0 or picker.wishes.has(number))
        if is_paused:
            flow.excuse(now)
        if flow.is_stalled(now):
            return False
        overdue = flow.is_overdue(now)
        flow.snubbed = flow.snubbed or overdue
        picker.measured(number, flow.rate_bytes_per_s, snubbed=flow.snubbed)
        self._take_back(now)
        if overdue:
            self.cancel({number: picker.release(number)})
            self.refill_all(now)
        self._refill(number, now)
        return True

    # --- asking -------------------------------------------------------------------------------------------------------

    def refill_all(self, now: float) -> None:
        """There may be something new to ask for."""
        for number in self._links:
            self._refill(number, now)

    def cancel(self, ids: Mapping[int, Sequence[BlockId]]) -> None:
        """Blocks are not needed any more from these peers."""
        for number, unneeded in ids.items():
            self._post(number, Cancel, unneeded)

    def _take_back(self, now: float) -> None:
        """Cancel the wishes that others have made needless, but for a block that is coming already."""
        unwished, self._unwished, self._unwished_at = self._unwished, {}, now
        for number, ids in unwished.items():
            arriving, _ = self._links[number].arriving()
            self._post(number, Cancel, [id_ for id_ in ids if id_ != arriving])

    def _refill(self, number: int, now: float) -> None:
        """Ask a link for as much as its window has room for, once a quarter of it is free."""
        link = self._links[number]
        if number in self._chokers or not link.is_open():
            return
        wished = self._wish(number, now) if self.picker.wishes.deals(number) else []
        wanted = self._want(number, link.flow, now)
        if wanted or wished:
            link.flow.asked(now)

    def _wish(self, number: int, now: float) -> list[BlockId]:
        picker = self.picker
        ids = picker.wishes.wish(number, limits.WANTED_IDS - picker.in_flight(number)[1], now)
        if not ids and not picker.in_flight(number)[0]:
            ids, unneeded = picker.wishes.take_over(number, now)
            self.cancel(unneeded)
        if ids:
            self._post(number, Wish, ids)
        return ids

    def _want(self, number: int, flow: PeerFlow, now: float) -> list[BlockId]:
        picker = self.picker
        size, count = picker.in_flight(number)
        window = flow.window_bytes
        if size and size > window - window // 4:
            return []
        ids: list[BlockId] = []
        while size < window and count < limits.WANTED_IDS:
            # Never less than a quarter of the window: slivers of runs would cost more than they level out.
            taken = picker.take(number, max(window - size, window // 4), now)
            if not taken:
                break
            ids += taken
            size, count = picker.in_flight(number)
        if not ids and not size:
            ids, unneeded = picker.steal(number, now)
            self.cancel(unneeded)
            ids = ids or picker.duplicate(number, now)
        self._post_wants(number, ids)
        return ids

    def _post_wants(self, number: int, ids: Sequence[BlockId]) -> None:
        ordered: list[BlockId] = []
        others: list[BlockId] = []
        picks = self._links[number].picks
        for id_ in ids:
            (others if picks and not self.picker.keeps_order(id_) else ordered).append(id_)
        self._post(number, Want, ordered)
        self._post(number, WantAny, others)

    def _post(self, number: int, kind: type[Want | WantAny | Wish | Cancel], ids: Sequence[BlockId]) -> None:
        if ids and number in self._unwished and kind is not Cancel:  # or it would take back what is asked for now
            self._post(number, Cancel, self._unwished.pop(number))
        for at in range(0, len(ids), IDS_PER_FRAME):
            self._letters.append((number, kind(ids[at : at + IDS_PER_FRAME])))
