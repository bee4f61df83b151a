"""A swarm to simulate, and what came of it."""

import gc
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from p2psync.swarm.limiter import Rates
from scripts.simulation.clock import Clock
from scripts.simulation.folder import Folder, make_folder
from scripts.simulation.host import Conduct, Host
from scripts.simulation.meeting import Meeting, Tracker
from scripts.simulation.network import Line

LIMIT_S = 100_000.0


@dataclass(frozen=True)
class Getter:
    """A host that fetches: rates of its line (0: the plan's), its limits, when it joins, and leaves if it does."""

    up_bytes_per_s: float = 0.0
    down_bytes_per_s: float = 0.0
    limits: Rates | None = None
    joins_at: float = 0.0
    leaves_at: float = math.inf


@dataclass(frozen=True)
class Plan:
    """What to simulate; everything random follows from `seed`.

    Attributes:
        degree: Links that a host brings up, to random others; 0 links everybody with everybody.
        meet: Hosts find each other: a tracker, the address book, dials, and a limit to links, in place of `degree`.
        reciprocal: All are strangers: who gives is given to.
        in_order: All fetch in order.
        origin_leaves_at: Copies after whose sending the origins leave, if they do.
    """

    getters: tuple[Getter, ...]
    blocks: int = 1024
    block_bytes: int = 128 << 10
    rate_bytes_per_s: float = 12.5e6
    origins: int = 1
    origin_bytes_per_s: float = 0.0
    delay_s: float = 0.0005
    degree: int = 0
    meet: bool = False
    reciprocal: bool = False
    in_order: bool = False
    quantum_bytes: int = 32 << 10
    origin_leaves_at: float = math.inf
    seed: int = 0


@dataclass
class Outcome:
    """What came of a plan.

    Attributes:
        bound_s: The least time in which all could have everything, had they all been there from the start.
        ratios: What each getter that stayed took, since it joined, by the bound or that of its own line; sorted.
        origin_copies: Payload that the origins sent, by the size.
        twice: Payload that was received for nothing, by all that was received.
        messages: Messages that a getter sent on average.
    """

    bound_s: float
    ratios: list[float]
    origin_copies: float
    twice: float
    messages: float
    events: int
    hosts: list[Host] = field(repr=False)

    def quantile(self, share: float) -> float:
        return self.ratios[min(len(self.ratios) - 1, int(share * len(self.ratios)))]


class Simulation:
    """A plan being carried out."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = random.Random(plan.seed)
        self.clock = Clock()
        self.folder: Folder = make_folder(plan.blocks, plan.block_bytes, self.rng, pages=-(-plan.blocks // 2048))
        self.hosts: list[Host] = []
        self.origins = [self._add_origin() for _ in range(plan.origins)]
        self.getters: list[Host] = []
        self._missing = sum(getter.leaves_at == math.inf for getter in plan.getters)
        first = [self._new_getter(getter) for getter in plan.getters if not getter.joins_at]
        self.tracker = Tracker(self.rng)
        if plan.meet:
            self.meetings = [self._meet(host) for host in self.hosts]
        else:
            for one, other in self._edges(self.hosts):
                one.link(other, plan.delay_s)
        for host in first:
            host.get()
        for getter in plan.getters:
            if getter.joins_at:
                self.clock.at(getter.joins_at, self._join, getter)

    def run(self, *after_event: Callable[[], None]) -> Outcome:
        """Carry on until every getter that stays is done."""
        self.clock.at(LIMIT_S, self._give_up)
        leaving = [self._let_origins_leave] if self.plan.origin_leaves_at != math.inf else []
        with _no_collection():
            self.clock.run(*after_event, *leaving)
        return self._outcome()

    def _give_up(self) -> None:
        raise AssertionError(f"{self._missing} hosts are not done, and never will be")

    def _add_origin(self) -> Host:
        rate = self.plan.origin_bytes_per_s or self.plan.rate_bytes_per_s
        host = self._new_host(rate, rate)
        host.share()
        return host

    def _new_host(self, up: float, down: float, limits: Rates | None = None) -> Host:
        rate = self.plan.rate_bytes_per_s
        line = Line(self.clock, up or rate, down or rate, self.plan.quantum_bytes)
        rng = random.Random(self.rng.random())
        conduct = Conduct(limits, self.plan.reciprocal, self.plan.in_order)
        host = Host(self.clock, len(self.hosts), self.folder, line, rng, conduct)
        self.hosts.append(host)
        return host

    def _new_getter(self, getter: Getter) -> Host:
        host = self._new_host(getter.up_bytes_per_s, getter.down_bytes_per_s, getter.limits)
        self.getters.append(host)
        if getter.leaves_at == math.inf:
            host.on_done = self._count
        else:
            self.clock.at(getter.leaves_at, host.leave)
        return host

    def _meet(self, host: Host) -> Meeting:
        rng = random.Random(self.rng.random())
        return Meeting(self.clock, host, self.tracker, rng, self.plan.delay_s)

    def _edges(self, hosts: list[Host]) -> list[tuple[Host, Host]]:
        """Return whom to link with whom: rings in random order, whose union is a random regular graph."""
        if not self.plan.degree or len(hosts) <= self.plan.degree:
            return [(one, other) for at, one in enumerate(hosts) for other in hosts[:at]]
        edges: dict[frozenset[Host], tuple[Host, Host]] = {}
        for _ in range(self.plan.degree // 2):
            ring = self.rng.sample(hosts, len(hosts))
            edges |= {frozenset(pair): pair for pair in zip(ring, ring[1:] + ring[:1], strict=True)}
        return list(edges.values())

    def _join(self, getter: Getter) -> None:
        others = [each for each in self.hosts if not each.is_gone]
        host = self._new_getter(getter)
        if self.plan.meet:
            self.meetings.append(self._meet(host))
            others = []
        elif self.plan.degree and len(others) > self.plan.degree:
            others = self.rng.sample(others, self.plan.degree)
        for other in others:
            host.link(other, self.plan.delay_s)
        host.get()

    def _count(self, host: Host) -> None:
        self._missing -= 1
        self.clock.is_stopped = not self._missing

    def _let_origins_leave(self) -> None:
        for origin in self.origins:
            if not origin.is_gone and origin.uploaded_bytes >= self.plan.origin_leaves_at * self.folder.size_bytes:
                origin.leave()

    def _outcome(self) -> Outcome:
        size, stayed = self.folder.size_bytes, [host for host in self.getters if host.done_at is not None]
        supply = sum(origin.up_bytes_per_s for origin in self.origins)
        whole = supply + sum(host.up_bytes_per_s for host in stayed)
        bound_s = max(size / supply, len(stayed) * size / whole)
        ratios = [
            (host.done_at - host.joined_at) / max(bound_s, size / host.down_bytes_per_s)
            for host in stayed
            if host.done_at is not None
        ]
        received = sum(host.received_bytes for host in self.getters)
        return Outcome(
            bound_s=max(bound_s, size / min(host.down_bytes_per_s for host in stayed)),
            ratios=sorted(ratios),
            origin_copies=sum(origin.uploaded_bytes for origin in self.origins) / size,
            twice=sum(host.twice_bytes for host in self.getters) / received,
            messages=sum(host.messages for host in self.getters) / len(self.getters),
            events=self.clock.events,
            hosts=self.hosts,
        )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Millions of live objects would be gone through again and again; there are few cycles."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
