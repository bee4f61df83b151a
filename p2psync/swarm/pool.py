"""Unassigned tasks, rarest first, and at whom some of them are wished for. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from p2psync.ids import BlockId
from p2psync.swarm.holdings import Grown, Holdings, has_bit, ones
from p2psync.swarm.tasks import Task, Wanted

PAGES_RARITY = -2
"""Root and pages come before every block of a file: without them nothing else can be wanted."""
URGENT_RARITY = -1
"""What somebody waits for comes before all other blocks, however many peers hold it."""


@dataclass(slots=True)
class Growth:
    """What an announcement changed.

    Attributes:
        carved: New tasks, cut out of others because a peer holds only some of their blocks.
        unwished: Blocks that need not be wished for any more, by the peer where they were.
    """

    carved: list[Task] = field(default_factory=list)
    unwished: dict[int, list[BlockId]] = field(default_factory=dict)


class Pool:
    """Tasks in buckets by how many peers announced their blocks; a peer holds a task entirely or not at all.

    Peers that hold the whole manifest hold all its tasks alike and are not counted, so that with seeds alone nothing
    has to be counted at all. A task that is wished for somewhere is in no bucket.
    """

    def __init__(self, holdings: Mapping[int, Holdings]) -> None:
        self._holdings = holdings
        self._buckets: dict[int, dict[Task, None]] = {}
        self._held: dict[int, dict[Task, None]] = {}
        self._wished: dict[int, dict[Task, None]] = {}
        self._by_page: dict[BlockId, dict[int, tuple[Task, BlockId]]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def wished(self) -> int:
        """How many of the tasks are wished for somewhere."""
        return sum(map(len, self._wished.values()))

    @property
    def unheld(self) -> Mapping[Task, None]:
        """Tasks that none but seeds hold and that are not wished for."""
        return self._buckets.get(0, {})

    @property
    def urgent(self) -> Mapping[Task, None]:
        """Tasks that somebody waits for."""
        return self._buckets.get(URGENT_RARITY, {})

    def rarest_first(self) -> Iterator[tuple[int, Mapping[Task, None]]]:
        """Yield the buckets by rarity, rarest first; they must not be changed while they are looked at."""
        for rarity in sorted(self._buckets):
            yield rarity, self._buckets[rarity]

    def held_by(self, peer: int) -> Mapping[Task, None]:
        """Return the tasks that a peer without the whole manifest announced."""
        return self._held.get(peer, {})

    def wished_at(self, peer: int) -> Mapping[Task, None]:
        """Return the tasks that are wished for at a peer."""
        return self._wished.get(peer, {})

    # --- tasks come and go --------------------------------------------------------------------------------------------

    def uniform(self, task: Task) -> list[Task]:
        """Divide a task that is in no pool so that every peer holds all or nothing of each part, and note who does."""
        knowing = {peer: holdings for peer, holdings in self._holdings.items() if _counts(holdings, task)}
        if not knowing:
            task.holders = set()
            return [task]
        groups: dict[frozenset[int], dict[BlockId, Wanted]] = {}
        for id_, wanted in task.wanted.items():
            who = frozenset([p for p, holdings in knowing.items() if holdings.holds(task.page, wanted.position)])
            groups.setdefault(who, {})[id_] = wanted
        return [
            replace(task, wanted=wanted, holders=set(who), peers=[], refused=dict(task.refused))
            for who, wanted in groups.items()
        ]

    def add(self, task: Task) -> None:
        """Put in a task that nobody is asked for, one that `uniform` returned."""
        self._enter(task)
        self._size += 1
        if not task.job.pages:
            places = self._by_page.setdefault(task.page, {})
            for id_, wanted in task.wanted.items():
                places[wanted.position] = (task, id_)

    def remove(self, task: Task) -> None:
        """Take out a task."""
        self._leave(task)
        self._size -= 1
        for wanted in task.wanted.values():
            self._forget_place(task, wanted.position)

    def shrink(self, task: Task, wanted: Wanted) -> None:
        """A block, taken out of `wanted` by the caller, came although nobody had been asked for it alone."""
        self._forget_place(task, wanted.position)
        if not task.wanted:
            self._leave(task)
            self._size -= 1

    def hurry(self, task: Task, ids: Iterable[BlockId], urgency: int, number: int) -> Task:
        """Cut urgent blocks out of a task, wished for nowhere; return the task of their own that they make."""
        part = replace(task, holders=set(task.holders), wished_at=None, peers=[], urgency=urgency, number=number)
        self._carve(task, ids, part)
        if not task.wanted:
            self._leave(task)
            self._size -= 1
        return part

    # --- wishes -------------------------------------------------------------------------------------------------------

    def wish(self, task: Task, peer: int) -> None:
        """A task is wished for at a peer from now on, and nowhere else."""
        self._leave(task)
        task.wished_at = peer
        self._enter(task)

    def unwish(self, task: Task) -> None:
        """A task is wished for nowhere."""
        self._leave(task)
        task.wished_at = None
        self._enter(task)

    # --- holdings -----------------------------------------------------------------------------------------------------

    def holdings_grew(self, peer: int, grown: Grown) -> Growth:
        """A peer announced more; what it holds only in part is cut apart."""
        growth = Growth()
        for task, ids in self._touched(peer, grown).items():
            if task.job.root in self._holdings[peer].complete:
                continue
            if task.wished_at is not None:
                growth.unwished.setdefault(task.wished_at, []).extend(ids)
            if len(ids) < len(task.wanted):
                part = replace(task, wanted={}, holders={*task.holders, peer}, wished_at=None, peers=[])
                growth.carved.append(self._carve(task, ids, part))
                continue
            self._leave(task)
            task.wished_at = None
            task.holders.add(peer)
            self._enter(task)
        return growth

    def holdings_shrank(self, peer: int) -> None:
        """A peer withdrew something, offered a head, became complete, or is gone."""
        holdings = self._holdings.get(peer)
        for task in list(self._held.get(peer, ())):
            if holdings is None or not _counts(holdings, task) or not holdings.holds_all(task.page, task.positions):
                self._leave(task)
                task.holders.discard(peer)
                self._enter(task)

    def _touched(self, peer: int, grown: Grown) -> dict[Task, list[BlockId]]:
        touched: dict[Task, list[BlockId]] = {}
        for page, bits in grown.items():
            places = self._by_page.get(page, {})
            for position in _among(places, bits):
                place = places.get(position)
                if place is not None and peer not in place[0].holders:
                    touched.setdefault(place[0], []).append(place[1])
        return touched

    def _carve(self, task: Task, ids: Iterable[BlockId], part: Task) -> Task:
        part.wanted = {id_: task.wanted.pop(id_) for id_ in ids}
        part.refused = dict(task.refused)
        self.add(part)
        return part

    # --- inside -------------------------------------------------------------------------------------------------------

    def _enter(self, task: Task) -> None:
        if task.wished_at is not None:
            self._wished.setdefault(task.wished_at, {})[task] = None
        else:
            self._buckets.setdefault(_rarity(task), {})[task] = None
        for peer in task.holders:
            self._held.setdefault(peer, {})[task] = None

    def _leave(self, task: Task) -> None:
        if task.wished_at is not None:
            _take_out(self._wished, task.wished_at, task)
        else:
            _take_out(self._buckets, _rarity(task), task)
        for peer in task.holders:
            _take_out(self._held, peer, task)

    def _forget_place(self, task: Task, position: int) -> None:
        places = self._by_page.get(task.page, {})
        if not task.job.pages and position in places:
            del places[position]
            if not places:
                del self._by_page[task.page]


def _among(places: Mapping[int, object], bits: bytes | None) -> Iterable[int]:
    """Return which places may have a one, with no more work than there are places: bits may be a stranger's."""
    if bits is None:
        return list(places)
    return ones(bits) if len(bits) < len(places) else [place for place in places if has_bit(bits, place)]


def _take_out(tasks: dict[int, dict[Task, None]], key: int, task: Task) -> None:
    group = tasks[key]
    del group[task]
    if not group:
        del tasks[key]


def _rarity(task: Task) -> int:
    if task.job.pages:
        return PAGES_RARITY
    return URGENT_RARITY if task.urgency else len(task.holders)


def _counts(holdings: Holdings, task: Task) -> bool:
    return not task.job.pages and task.job.root not in holdings.complete and holdings.knows(task.page)
