"""How hosts find each other: the real address book, dials and neighbours, a tracker that names some at random."""

import math
import random
from collections.abc import Iterator

from p2psync.ids import PeerAddress
from p2psync.swarm.dials import Dials
from p2psync.swarm.neighbours import Neighbours
from p2psync.swarm.peers import PeerBook
from scripts.simulation.clock import Clock
from scripts.simulation.host import Host
from tracker.service import Policy

TICK_S = 0.5
NUMWANT = 50


class Tracker:
    """Names up to fifty others at random to whoever announces himself.

    Attributes:
        announces: How often it was asked.
    """

    def __init__(self, rng: random.Random) -> None:
        self.announces = 0
        self._rng = rng
        self._known: dict[PeerAddress, Meeting] = {}
        self._addresses: list[PeerAddress] = []

    def add(self, who: "Meeting") -> None:
        """Take note of a host."""
        self._known[who.address] = who
        self._addresses.append(who.address)

    def announce(self, who: "Meeting") -> list[PeerAddress]:
        """Return others."""
        self.announces += 1
        some = self._rng.sample(self._addresses, min(NUMWANT + 1, len(self._addresses)))
        return [address for address in some if address != who.address][:NUMWANT]

    def __getitem__(self, address: PeerAddress) -> "Meeting":
        return self._known[address]


class Meeting:
    """One host's links: whom it dials, takes in, refuses and gives up."""

    def __init__(self, clock: Clock, host: Host, tracker: Tracker, rng: random.Random, delay_s: float) -> None:
        self.address = PeerAddress(f"10.{host.name >> 16}.{host.name >> 8 & 255}.{host.name & 255}", 1)
        self.dialled = self.refused = 0
        self._clock, self._host, self._tracker, self._delay_s = clock, host, tracker, delay_s
        self._device = host.name.to_bytes(32, "big")
        self._book = PeerBook(rng)
        self._neighbours = Neighbours(rng)
        self._dials = Dials(self._book, lambda under_way: self._neighbours.room_to_dial(under_way, self._known))
        host.on_link_down = self._neighbours.link_down
        tracker.add(self)
        self._ask_at, self._knows_complete = math.inf, False
        clock.after(2 * delay_s, self._ask)
        clock.after(2 * delay_s + TICK_S, self._tick)

    @property
    def _known(self) -> int:
        return self._book.count_living()

    @property
    def _is_full(self) -> bool:
        return self._neighbours.is_full(self._known, complete=self._host.offer.complete)

    def _ask(self) -> None:
        self._ask_at = self._clock.now + Policy().interval_s
        self._knows_complete = self._host.offer.complete
        self._book.add(self._tracker.announce(self), self._clock.now)
        self._clock.after(0.0, self._dial)

    def _linked(self) -> Iterator[bytes]:
        return (number.to_bytes(32, "big") for number in self._host.peerings)

    def _dial(self) -> None:
        for address in self._dials.begin(self._clock.now, self._linked()):
            self.dialled += 1
            self._clock.after(4 * self._delay_s, self._reach, address)  # TCP's round trip and TLS's

    def _reach(self, address: PeerAddress) -> None:
        self._dials.end(address)
        other, now = self._tracker[address], self._clock.now
        if other._host.is_gone:
            self._book.failed(address, "nobody is there", now)
        elif other._host.name in self._host.peerings:
            self._book.linked(address, other._device)
            self._book.failed(address, "another link to the same device stays", now)
        elif other._is_full or self._is_full:
            self.refused += 1
            self._book.failed(address, "busy", now)
            self._book.put_off(address, now)
        else:
            self._book.linked(address, other._device)
            other._book.add([self.address], now)
            other._book.linked(self.address, self._device)
            self._neighbours.link_up(other._host.name, now)
            other._neighbours.link_up(self._host.name, now)
            self._host.link(other._host, self._delay_s)
        self._dial()

    def _tick(self) -> None:
        host, now = self._host, self._clock.now
        if host.is_gone:
            return
        root, complete, links = host.folder.root, host.offer.complete, list(host.peerings.values())
        number = self._neighbours.tick(links, root, now, complete=complete, known=self._known)
        if number is not None:
            other = host.peerings[number].other
            host.part(number)
            self._part_from(other.name)
        if (
            now >= self._ask_at or complete != self._knows_complete
        ):  # trackers are told at once of whoever becomes a seed
            self._ask()
        self._dial()
        self._clock.after(TICK_S, self._tick)

    def _part_from(self, name: int) -> None:
        other = PeerAddress(f"10.{name >> 16}.{name >> 8 & 255}.{name & 255}", 1)
        self._book.failed(other, "busy", self._clock.now)
        self._book.put_off(other, self._clock.now)
