"""What is wished for at seeds: what none but seeds hold, for them to send in an order that suits the swarm. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from p2psync.ids import BlockId
from p2psync.swarm.debts import Debts
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.pool import Pool
from p2psync.swarm.takeover import DUPLICATE_GAIN, DUPLICATE_MARGIN_S, UNMEASURED_PATIENCE_S
from p2psync.swarm.tasks import Task
from p2psync.wire import limits

WISHED_TASKS = 1024
"""Tasks that are wished for at one peer: enough that it always finds some that it has sent to nobody."""
PORTION_BLOCKS = 16
"""What is wished for is divided among seeds by so many blocks of a page."""


class Wishes:
    """Chooses what to wish for, and at whom.

    Args:
        pool: Where the wishes are kept.
        debts: The peers.
        holdings: What they announced.
        serves: Says whether a peer can be asked for a task now.
        order: Puts tasks in the order in which they should be asked for.

    Attributes:
        is_in_order: Blocks are needed in an order, so nothing is left to seeds.
    """

    def __init__(
        self,
        pool: Pool,
        debts: Debts,
        holdings: Mapping[int, Holdings],
        serves: Callable[[int, Task, float], bool],
        order: Callable[[Mapping[Task, None]], Iterator[Task]],
    ) -> None:
        self.is_in_order = False
        self._pool = pool
        self._peers = debts.peers
        self._holdings = holdings
        self._serves = serves
        self._order = order
        self._lacked: dict[BlockId, bool] = {}

    def holdings_changed(self) -> None:
        """Somebody came, went, or has another root, or all of it."""
        self._lacked.clear()

    def has(self, peer: int) -> bool:
        """Say whether something is wished for at a peer."""
        return bool(self._pool.wished_at(peer))

    def deals(self, peer: int) -> bool:
        """Say whether a peer may be told wishes: it has all, somebody else has not, and the order is left to it."""
        if self.is_in_order or not self._peers[peer].deals:
            return False
        for root in self._holdings[peer].complete:
            if root not in self._lacked:
                self._lacked[root] = any(root not in holdings.complete for holdings in self._holdings.values())
            if self._lacked[root]:
                return True
        return False

    def at(self, peer: int) -> tuple[int, int]:
        """Return how many blocks are wished for at a peer, and their bytes."""
        tasks = self._pool.wished_at(peer)
        return sum(len(task.wanted) for task in tasks), sum(task.size_bytes for task in tasks)

    def is_dealing(self, peer: int) -> bool:
        """Say whether a peer still has something to send in its own order: it is asked for nothing else meanwhile."""
        return self.deals(peer) and bool(self._pool.unheld or self._pool.wished_at(peer))

    def wish(self, peer: int, limit_blocks: int, now: float) -> list[BlockId]:
        """Choose what a peer may send in an order of its own, if it deals and others are after the same manifest."""
        if not self.deals(peer) or not self._pool.unheld:
            return []
        wished = self._pool.wished_at(peer)
        room = min(limits.WANTED_IDS, limit_blocks) - sum([len(task.wanted) for task in wished])
        if len(wished) > WISHED_TASKS // 2 or room <= 0:
            return []
        unheld = list(self._order(self._pool.unheld))
        ids = self._wish_for(self._portion(peer, unheld)[: WISHED_TASKS - len(wished)], peer, room, now)
        if not ids and not wished:  # whose portion the rest is does not serve it
            ids = self._wish_for(unheld[:WISHED_TASKS], peer, room, now)
        return ids

    def take_over(self, peer: int, now: float) -> tuple[list[BlockId], dict[int, list[BlockId]]]:
        """Let a dealer that has nothing to do have wishes of another's: its own portion, else half.

        The last one is taken only from who would be much later with it, or has had it for long.

        Returns:
            What was taken over, and whom to cancel it at.
        """
        if not self.deals(peer) or self._pool.unheld or self._pool.wished_at(peer):
            return [], {}
        other = max(self._peers, key=lambda each: len(self._pool.wished_at(each)))
        tasks = list(self._pool.wished_at(other))
        if len(tasks) == 1 and not self._is_late(other, peer, tasks[0], now):
            return [], {}
        taken = self._portion(peer, tasks) or tasks[len(tasks) // 2 :]
        ids = self._wish_for(taken, peer, limits.WANTED_IDS, now)
        return ids, {other: ids} if ids else {}

    def _wish_for(self, tasks: Iterable[Task], peer: int, room: int, now: float) -> list[BlockId]:
        ids: list[BlockId] = []
        for task in tasks:
            if len(ids) < room and self._serves(peer, task, now):
                task.asked_at = now
                self._pool.wish(task, peer)
                ids += task.wanted
        return ids

    def _is_late(self, other: int, peer: int, task: Task, now: float) -> bool:
        """Say whether a peer should rather send what another, which has nothing else to send, is wished to send."""
        if now - task.asked_at >= UNMEASURED_PATIENCE_S:
            return True
        theirs_s, mine_s = (task.size_bytes / self._peers[each].supposed_rate for each in (other, peer))
        return theirs_s > DUPLICATE_GAIN * mine_s + DUPLICATE_MARGIN_S

    def _portion(self, peer: int, tasks: Iterable[Task]) -> list[Task]:
        """Return what one of the seeds is wished to send first; all who wish divide it alike."""
        others = (each for each in self._peers if self.deals(each) and not self._peers[each].is_doubtful)
        seeds = sorted((self._peers[each].name, each) for each in {peer, *others})
        at = seeds.index((self._peers[peer].name, peer))
        return [task for task in tasks if _portion_number(task) % len(seeds) == at]


def _portion_number(task: Task) -> int:
    """Return a number that all peers have alike for about the same blocks."""
    position = next(iter(task.wanted.values())).position
    return task.page[0] + position // PORTION_BLOCKS
