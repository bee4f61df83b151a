"""How many links to have in a swarm of any size, and which to give up. Pure.

In a small swarm everybody is linked with everybody. In a larger one each looks for a few others and takes in some more,
which comes to about a random regular graph: any two are a few links apart, and what a peer announces costs the same
however many there are.
"""

import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from p2psync.ids import BlockId
from p2psync.swarm.holdings import Holdings
from p2psync.wire.limits import MAX_LINKS

MESH_PEERS = 30
"""Up to so many everybody is linked with everybody: nothing is further than one link, and no host is alone."""
WANTED_LINKS = 10
"""Links that a host brings up in a larger swarm: simulated, 6 take 2 % longer, 16 or 24 win nothing."""
KEPT_LINKS = 11
"""Links beyond this are given up, by a host that lacks something. Hardly more than are wanted: a host gets the sum of
its peers' shares, so it should have as many peers as they have (simulated, 300 hosts: 1.17 of the bound, with 16 kept
and 2 spare 1.27)."""
SPARE_LINKS = 1
"""More that are taken in: room for a newcomer to show what it holds. If it is the only seed it stays."""
TRIAL_S = 5.0
"""Time that it has for that."""
IDLE_S = 30.0
"""A link over which nothing has moved for so long is of no use while we lack something. Where there is one, another is
looked for, one in this time: a swarm in which nobody has anything to give must not dial all day."""


class Linked(Protocol):
    """What is looked at of a link."""

    @property
    def number(self) -> int: ...  # noqa: D102
    @property
    def holdings(self) -> Holdings: ...  # noqa: D102
    @property
    def payload_bytes(self) -> int: ...  # noqa: D102
    @property
    def uploaded_bytes(self) -> int: ...  # noqa: D102


@dataclass(slots=True)
class _Link:
    since: float
    moved_at: float
    moved_bytes: int = 0


class Neighbours:
    """The links of one host, as a place in a graph."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._links: dict[int, _Link] = {}
        self._searches = False
        self._newest_at = 0.0

    def link_up(self, number: int, now: float) -> None:
        """A link is up."""
        self._links[number] = _Link(since=now, moved_at=now)
        self._newest_at, self._searches = now, False

    def link_down(self, number: int) -> None:
        """A link is down."""
        del self._links[number]

    def room_to_dial(self, under_way: int, known: int) -> int:
        """Return how many more links to look for.

        Half of what is wanted at a time: where all look for others at once, each is found by as many as it finds.

        Args:
            under_way: Dials that will soon lead to one.
            known: Peers that there seem to be, linked ones included.
        """
        if known <= MESH_PEERS:
            return MESH_PEERS
        lacking = WANTED_LINKS - len(self._links)
        searches = self._searches and not self.is_full(known, complete=False)
        looked_for = (lacking + 1) // 2 if lacking > 0 else int(searches)
        return max(0, looked_for - under_way)

    def is_full(self, known: int, *, complete: bool) -> bool:
        """Say whether one more link is too much. Who has everything takes in all it can: some may reach nobody else."""
        return len(self._links) >= (MAX_LINKS if known <= MESH_PEERS or complete else KEPT_LINKS + SPARE_LINKS)

    def tick(self, links: Collection[Linked], root: BlockId, now: float, *, complete: bool, known: int) -> int | None:
        """Take note of what moved; return the link to give up, if there are too many: one at a time.

        Args:
            links: All that are up.
            root: Our manifest.
            now: In seconds.
            complete: We have all of it.
            known: Peers that there seem to be, linked ones included.
        """
        self._note_idle(links, now, complete=complete)
        if known <= MESH_PEERS or len(links) <= KEPT_LINKS:
            return None
        seeds = {link.number for link in links if root in link.holdings.complete}
        if complete:
            return self._choose([number for number in seeds if self._is_old(number, now)])
        only_seed = seeds if len(seeds) == 1 else set()
        old = [link.number for link in links if link.number not in only_seed and self._is_old(link.number, now)]
        idle = [number for number in old if self._is_idle(number, now)]
        return self._choose(idle or old)

    def _note_idle(self, links: Iterable[Linked], now: float, *, complete: bool) -> None:
        for link in links:
            state, moved_bytes = self._links[link.number], link.payload_bytes + link.uploaded_bytes
            if moved_bytes != state.moved_bytes:
                state.moved_at, state.moved_bytes = now, moved_bytes
        is_any_idle = any(self._is_idle(number, now) for number in self._links)
        self._searches = is_any_idle and now - self._newest_at > IDLE_S and not complete

    def _is_idle(self, number: int, now: float) -> bool:
        return now - self._links[number].moved_at > IDLE_S

    def _is_old(self, number: int, now: float) -> bool:
        return now - self._links[number].since > TRIAL_S

    def _choose(self, numbers: list[int]) -> int | None:
        return self._rng.choice(sorted(numbers)) if numbers else None
