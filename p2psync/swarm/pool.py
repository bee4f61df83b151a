"""Unassigned tasks, rarest first. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from p2psync.ids import BlockId
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.tasks import Task

PAGES_RARITY = -1
"""Root and pages come before every block of a file: without them nothing else can be wanted."""


class Pool:
    """Tasks in buckets by how many peers announced all their blocks.

    Peers that hold the whole manifest hold all its tasks alike and are not counted, so that with seeds alone nothing
    has to be counted at all.
    """

    def __init__(self, holdings: Mapping[int, Holdings]) -> None:
        self._holdings = holdings
        self._buckets: dict[int, list[Task]] = {}
        self._by_page: dict[BlockId, dict[Task, None]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Task]:
        for tasks in list(self._by_page.values()):
            yield from list(tasks)

    def add(self, task: Task) -> None:
        """Put in a task that nobody is asked for."""
        task.holders = {peer for peer, holdings in self._holdings.items() if _counts(holdings, task)}
        self._buckets.setdefault(_rarity(task), []).append(task)
        self._by_page.setdefault(task.page, {})[task] = None
        self._size += 1

    def remove(self, task: Task) -> None:
        """Take out a task."""
        self._leave_bucket(task)
        self._size -= 1
        tasks = self._by_page[task.page]
        del tasks[task]
        if not tasks:
            del self._by_page[task.page]

    def rarest_first(self) -> Iterator[list[Task]]:
        """Yield the buckets, rarest first; they must not be changed while they are looked at."""
        for rarity in sorted(self._buckets):
            yield self._buckets[rarity]

    def holdings_grew(self, peer: int, pages: Iterable[BlockId]) -> None:
        """A peer announced more blocks of these pages."""
        holdings = self._holdings[peer]
        for page in pages:
            for task in list(self._by_page.get(page, ())):
                if peer not in task.holders and _counts(holdings, task):
                    self._change_holders(task, peer)

    def holdings_changed(self, peer: int) -> None:
        """A peer withdrew something, offered a head, became complete, or is gone."""
        holdings = self._holdings.get(peer)
        for task in self:
            if (holdings is not None and _counts(holdings, task)) != (peer in task.holders):
                self._change_holders(task, peer)

    def _change_holders(self, task: Task, peer: int) -> None:
        self._leave_bucket(task)
        task.holders ^= {peer}
        self._buckets.setdefault(_rarity(task), []).append(task)

    def _leave_bucket(self, task: Task) -> None:
        rarity = _rarity(task)
        bucket = self._buckets[rarity]
        bucket.remove(task)
        if not bucket:
            del self._buckets[rarity]


def _rarity(task: Task) -> int:
    return PAGES_RARITY if task.job.pages else len(task.holders)


def _counts(holdings: Holdings, task: Task) -> bool:
    if task.job.pages or task.job.root in holdings.complete or not holdings.knows(task.page):
        return False
    return holdings.holds_all(task.page, task.positions)
