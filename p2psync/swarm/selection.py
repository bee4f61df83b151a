"""Which of the unassigned tasks a peer should be asked for. Pure."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import nsmallest
from itertools import islice

from p2psync.swarm.holdings import Holdings
from p2psync.swarm.pool import URGENT_RARITY, Pool
from p2psync.swarm.tasks import Task

LOOK_AT = 64
"""Tasks of a peer among which the rarest is looked for: as good as all, at a bounded price."""
LOOK_AHEAD = 8
"""In order, getters choose among so many tasks, some 8 MiB: if all asked for the next one, each would have it from the
origin, and nothing to give."""


class Selection:
    """Rarest first with random ties, or in order.

    Args:
        pool: The unassigned tasks.
        holdings: What every linked peer announced.
        rng: Breaks ties.
        serves: Says whether a peer can be asked for a task now.
    """

    def __init__(
        self,
        pool: Pool,
        holdings: Mapping[int, Holdings],
        rng: random.Random,
        serves: Callable[[int, Task, float], bool],
    ) -> None:
        self._pool = pool
        self._holdings = holdings
        self._rng = rng
        self._serves = serves

    def rarest(self, peer: int, now: float, *, deals: bool) -> Task | None:
        """Find a page, what is urgent, or else what the fewest hold; while a seed deals, what others hold too."""
        return self._rarest_of_seeds(peer, now, deals=deals) or self._rarest_announced(peer, now)

    def next_in_order(self, peer: int, now: float) -> Task | None:
        """Find what a peer serves of what was added first; pages come before all else, then what is urgent.

        Where others fetch as well it is one of the first few, the rarest of them, ties by chance.
        """
        served = (task for _, bucket in self._pool.rarest_first() for task in bucket if self._serves(peer, task, now))
        if self._nobody_else_fetches:
            return min(served, key=lambda task: task.turn, default=None)
        first = nsmallest(LOOK_AHEAD, served, key=lambda task: task.turn)
        if not first or first[0].job.pages or first[0].urgency:
            return first[0] if first else None
        near = [task for task in first if task.number < first[0].number + LOOK_AHEAD]
        self._rng.shuffle(near)
        return min(near, key=lambda task: len(task.holders))

    def from_somewhere(self, tasks: Mapping[Task, None]) -> Iterator[Task]:
        """Yield tasks from a random place on; in order while all others have everything, as disks like it."""
        if not tasks:
            return
        start = 0 if self._nobody_else_fetches else self._rng.randrange(len(tasks))  # or all would hold the same
        yield from islice(tasks, start, None)
        yield from islice(tasks, start)

    @property
    def _nobody_else_fetches(self) -> bool:
        return all(each.complete for each in self._holdings.values())

    def _rarest_of_seeds(self, peer: int, now: float, *, deals: bool) -> Task | None:
        # While it has something to deal out, others send what they hold too.
        asks_for_rest = self._holdings[peer].complete and not deals
        for rarity, tasks in self._pool.rarest_first() if asks_for_rest else self._pool.before_all():
            if rarity == URGENT_RARITY and (task := self._earliest(peer, tasks, now)):
                return task
            for task in self.from_somewhere(tasks):
                if self._serves(peer, task, now):
                    return task
        return None

    def _rarest_announced(self, peer: int, now: float) -> Task | None:
        """Find what a peer without the whole manifest serves best."""
        tasks = self._pool.held_by(peer)
        if not tasks:
            return None
        near = list(islice(self.from_somewhere(tasks), LOOK_AT))
        self._rng.shuffle(near)
        for task in sorted(near, key=lambda task: len(task.holders)):
            if self._serves(peer, task, now):
                return task
        return next((task for task in tasks if self._serves(peer, task, now)), None)

    def _earliest(self, peer: int, tasks: Iterable[Task], now: float) -> Task | None:
        return min((task for task in tasks if self._serves(peer, task, now)), key=lambda task: task.turn, default=None)
