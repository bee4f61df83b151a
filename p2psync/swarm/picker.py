"""What to want from whom next. Pure; STATE.md draws the states of a block.

The unit is a task: the wanted blocks of one run. Rarest first with random ties; one peer a task, until nothing is left
unassigned and an idle peer may be asked for what a slower one owes. What none but seeds hold, while others are after it
too, is wished for instead: the seed sends it in its own order, which gives each of us something else.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import count

from p2psync.blocks.need import Run
from p2psync.ids import BlockId
from p2psync.swarm.debts import Debtor, Debts, nothing
from p2psync.swarm.holdings import Grown, Holdings
from p2psync.swarm.pool import Pool
from p2psync.swarm.selection import Selection
from p2psync.swarm.takeover import Takeover
from p2psync.swarm.tasks import Job, Task, Wanted, Written
from p2psync.swarm.wishes import Wishes

MISSING_RETRY_S = 20.0
"""A peer that said MISSING may be asked for the same block again after this."""
UNKNOWN_LENGTH = 32 << 10
"""What a page is taken to have until it is here."""
PAGES_PER_TASK = 16


class Picker:
    """All tasks of one folder, and which peer owes which.

    A block is unassigned, then in flight, then received, then written and forgotten; `missing`, `release` and `refetch`
    lead back.

    Attributes:
        wishes: What is left to seeds to send when they like.
    """

    def __init__(self, rng: random.Random) -> None:
        self._debts = Debts()
        self._peers = self._debts.peers
        self._holdings: dict[int, Holdings] = {}
        self._pool = Pool(self._holdings)
        self._tasks: dict[BlockId, Task] = {}
        self._received: dict[BlockId, Wanted] = {}
        # Added while received: the write may be too early for whoever waits for them now.
        self._late: dict[BlockId, tuple[Job, BlockId, Wanted]] = {}
        self._jobs: set[Job] = set()
        self._changes = 0
        self._numbers = count()
        self._selection = Selection(self._pool, self._holdings, rng, self._serves)
        self._takeover = Takeover(self._debts, self._serves)
        self.wishes = Wishes(self._pool, self._debts, self._holdings, self._serves, self._selection.from_somewhere)

    # --- peers --------------------------------------------------------------------------------------------------------

    def add_peer(
        self,
        peer: int,
        holdings: Holdings,
        *,
        name: bytes = b"",
        deals: bool = False,
        arriving: Callable[[], tuple[BlockId, int]] = nothing,
    ) -> None:
        """A link is up; `holdings` is read whenever a choice is made.

        Args:
            peer: Number of the link.
            holdings: What the peer announced.
            name: What everybody calls the peer: all divide what they wish for among several seeds alike.
            deals: It takes wishes.
            arriving: Returns the block that comes from it in parts, and how many of its bytes are here.
        """
        self._peers[peer] = Debtor(name=name, deals=deals, arriving=arriving)
        self._holdings[peer] = holdings
        self.wishes.holdings_changed()

    def drop_peer(self, peer: int) -> None:
        """A link is down; what it owed is unassigned again."""
        self.release(peer)
        del self._peers[peer], self._holdings[peer]
        self.holdings_shrank(peer)

    def in_flight(self, peer: int) -> tuple[int, int]:
        """Return how many bytes and blocks a peer owes."""
        state = self._peers[peer]
        return state.in_flight_bytes, state.in_flight_blocks

    def measured(self, peer: int, rate_bytes_per_s: float, *, snubbed: bool) -> None:
        """Take note of how fast a peer is; also lets it be considered again for what it refused long ago."""
        state = self._peers[peer]
        state.rate_bytes_per_s, state.snubbed, state.fruitless_at = rate_bytes_per_s, snubbed, -1
        state.mute = state.mute and not state.sends

    def choked(self, peer: int, *, chokes: bool) -> None:
        """A peer answers nothing any more, and what it owed is unassigned again; or it answers again."""
        self._peers[peer].chokes_us = chokes
        self._changes += 1
        if chokes:
            self.release(peer)

    def holdings_grew(self, peer: int, grown: Grown) -> dict[int, list[BlockId]]:
        """A peer announced more; return what need not be wished for any more, and by whom."""
        had_unheld = bool(self._pool.unheld)
        growth = self._pool.holdings_grew(peer, grown)
        self._peers[peer].fruitless_at = -1
        # Else a seed that has nothing to deal out any more would not be asked for the rest.
        self._changes += bool(growth.unwished) or had_unheld > bool(self._pool.unheld)
        for task in growth.carved:
            self._tasks.update(dict.fromkeys(task.wanted, task))
        return growth.unwished

    def holdings_shrank(self, peer: int) -> list[BlockId]:
        """A peer withdrew something, offered a head, became complete, or is gone; return what it need not send."""
        self._changes += 1
        self._pool.holdings_shrank(peer)
        self.wishes.holdings_changed()
        unwished: list[BlockId] = []
        for task in list(self._pool.wished_at(peer)):
            if task.job.root not in self._holdings[peer].complete:
                unwished += task.wanted
                self._pool.unwish(task)
        return unwished

    # --- what is wanted -----------------------------------------------------------------------------------------------

    def add(self, job: Job, runs: Iterable[Run]) -> dict[int, list[BlockId]]:
        """Add file blocks to a job; blocks that are under way already are left out, and made as urgent as it is.

        Returns what is no longer wished for, as it is urgent, by the peer where it was.
        """
        unwished: dict[int, list[BlockId]] = {}
        for run in runs:
            if job.urgency:
                self._hurry(run.ids, job.urgency, unwished)
            rows = zip(run.ids, run.positions, run.lengths, strict=True)
            self._add_task(job, run.page, {id_: Wanted(position, length) for id_, position, length in rows})
        return unwished

    def add_pages(self, job: Job, ids: Sequence[BlockId]) -> None:
        """Add a root or pages, whose lengths nobody knows, to a job."""
        for at in range(0, len(ids), PAGES_PER_TASK):
            self._add_task(job, job.root, {id_: Wanted(0, UNKNOWN_LENGTH) for id_ in ids[at : at + PAGES_PER_TASK]})

    def begin(self, job: Job) -> None:
        """Until the job is finished or forgotten, more may be added to it."""
        self._jobs.add(job)
        self.wishes.is_in_order = any(each.in_order for each in self._jobs)

    def forget(self, job: Job) -> dict[int, list[BlockId]]:
        """Drop a job with all its tasks; return what to cancel at whom."""
        cancels: dict[int, list[BlockId]] = {}
        self._jobs.discard(job)
        self.wishes.is_in_order = any(each.in_order for each in self._jobs)
        ids = [id_ for id_, task in self._tasks.items() if task.job is job]
        for task in {self._tasks[id_]: None for id_ in ids}:
            if not task.wanted:
                continue  # all received: nobody owes it, and who sent it may be gone
            for peer in task.peers:
                cancels.setdefault(peer, []).extend(task.wanted)
                self._debts.forgive(peer, task)
            if task.wished_at is not None:
                cancels.setdefault(task.wished_at, []).extend(task.wanted)
            if not task.peers:
                self._pool.remove(task)
        for id_ in ids:
            del self._tasks[id_]
            self._received.pop(id_, None)
        self._late = {id_: late for id_, late in self._late.items() if late[0] is not job}
        for id_ in ids:
            self.ask_again(id_)
        return cancels

    def keeps_order(self, id_: BlockId) -> bool:
        """Say whether a block that is asked for should come before those that are asked for later."""
        return self._tasks[id_].keeps_order

    @property
    def unassigned_tasks(self) -> int:
        """Tasks that nobody is asked for at present."""
        return len(self._pool)

    def urgent_tasks(self, urgency: int) -> int:
        """Return how many of them are so urgent, or more."""
        return sum(task.urgency >= urgency for task in self._pool.urgent)

    @property
    def is_endgame(self) -> bool:
        """Something is owed, and nothing is or will be unassigned."""
        return bool(self._tasks) and not self._pool and all(job.exhausted for job in self._jobs)

    # --- choosing -----------------------------------------------------------------------------------------------------

    def take(self, peer: int, limit_bytes: int, now: float) -> list[BlockId]:
        """Assign the best task that a peer can serve to it, cut to about `limit_bytes`; return its blocks, or none."""
        state = self._peers[peer]
        if state.fruitless_at == self._changes:
            return []
        if self.wishes.is_in_order:
            choice = self._selection.next_in_order(peer, now)
        else:
            choice = self._selection.rarest(peer, now, deals=self.wishes.is_dealing(peer))
        if choice is None:
            state.fruitless_at = self._changes
            return []
        task = self._split(choice, limit_bytes)
        task.job.unassigned -= len(task.wanted)
        return self._debts.assign(peer, task, now)

    def steal(self, peer: int, now: float) -> tuple[list[BlockId], dict[int, list[BlockId]]]:
        """Let an idle peer have what another owes and will take long for; return it, and where to cancel it."""
        return ([], {}) if self.wishes.is_dealing(peer) else self._takeover.steal(peer, now)

    def duplicate(self, peer: int, now: float) -> list[BlockId]:
        """In the endgame: ask an idle peer as well for what a slower one owes, or a mute one; return it."""
        return self._takeover.duplicate(peer, now) if self.is_endgame else []

    # --- what comes of it ---------------------------------------------------------------------------------------------

    def received(self, peer: int, id_: BlockId) -> list[int] | None:
        """A block arrived; return the other peers to cancel it at, or None if nobody waits for it."""
        task = self._tasks.get(id_)
        wanted = None if task is None else task.wanted.pop(id_, None)
        if task is None or wanted is None:
            return None
        self._received[id_] = wanted
        owing = list(task.peers)
        for other in owing:
            self._debts.repay(other, task, wanted)
        if not owing:
            task.job.unassigned -= 1
            self._pool.shrink(task, wanted)
            if task.wished_at is not None:
                owing = [task.wished_at]
                self._changes += not self.wishes.has(task.wished_at)  # it may be asked for the rest now
        return [other for other in owing if other != peer]

    def written(self, id_: BlockId) -> Written | None:
        """A received block is safe; return what it was, or None if its job was forgotten."""
        wanted = self._received.pop(id_, None)
        if wanted is None:
            return None
        task = self._tasks.pop(id_)
        task.job.pending -= 1
        return Written(task.job, task.page, wanted.position)

    def ask_again(self, id_: BlockId) -> bool:
        """Unassign a block again that was added while it was being written; return whether there is one."""
        late = self._late.pop(id_, None)
        if late is None:
            return False
        job, page, wanted = late
        job.pending -= 1
        self._add_task(job, page, {id_: wanted})
        return True

    def refetch(self, id_: BlockId) -> None:
        """A received block was not what its id says: it is unassigned again."""
        wanted = self._received.pop(id_, None)
        if wanted is not None:
            task = self._tasks[id_]
            self._pool_task(Task(task.job, task.page, {id_: wanted}, number=task.number, urgency=task.urgency))

    def missing(self, peer: int, id_: BlockId, now: float) -> None:
        """A peer does not hold what it was asked for; others are asked, and it only later."""
        task = self._tasks.get(id_)
        if task is None or id_ not in task.wanted or peer not in (*task.peers, task.wished_at):
            return
        if len(task.peers) > 1:  # the other peer still owes all of it
            self._debts.forgive(peer, task)
            task.peers.remove(peer)
            task.refused = {**task.refused, peer: now + MISSING_RETRY_S}
            return
        wanted = task.wanted.pop(id_)
        if task.peers:
            self._debts.repay(peer, task, wanted)
        else:
            task.job.unassigned -= 1
            self._pool.shrink(task, wanted)
        part = task.part({id_: wanted}, set())
        part.refused = {**task.refused, peer: now + MISSING_RETRY_S}
        self._pool_task(part)

    def release(self, peer: int) -> list[BlockId]:
        """Unassign all that a peer owes; return what to cancel there."""
        ids: list[BlockId] = []
        for task in list(self._peers[peer].tasks):
            ids += task.wanted
            self._debts.forgive(peer, task)
            task.peers.remove(peer)
            if not task.peers:
                self._pool_task(task)
        for task in list(self._pool.wished_at(peer)):
            ids += task.wanted
            self._pool.unwish(task)
        return ids

    # --- inside -------------------------------------------------------------------------------------------------------

    def _add_task(self, job: Job, page: BlockId, wanted: dict[BlockId, Wanted]) -> None:
        fresh = {id_: row for id_, row in wanted.items() if id_ not in self._tasks}
        for id_ in [id_ for id_ in wanted if id_ in self._received and id_ not in self._late]:
            self._late[id_] = job, page, wanted[id_]
            job.pending += 1
        if fresh:
            job.pending += len(fresh)
            self._pool_task(Task(job, page, fresh, number=next(self._numbers), urgency=job.urgency))

    def _hurry(self, ids: Iterable[BlockId], urgency: int, unwished: dict[int, list[BlockId]]) -> None:
        """Let blocks of less urgent tasks be asked for soon; what is on its way is left to whoever was asked."""
        late: dict[Task, list[BlockId]] = {}
        for id_ in ids:
            task = self._tasks.get(id_)
            if task is not None and id_ in task.wanted and task.urgency < urgency:
                late.setdefault(task, []).append(id_)
        self._changes += bool(late)
        for task, some in late.items():
            if task.peers:
                task.urgency = urgency
                continue
            if task.wished_at is not None:
                unwished.setdefault(task.wished_at, []).extend(some)
            self._tasks.update(dict.fromkeys(some, self._pool.hurry(task, some, urgency, next(self._numbers))))

    def _pool_task(self, task: Task) -> None:
        self._changes += 1
        task.job.unassigned += len(task.wanted)
        for part in self._pool.uniform(task):
            self._tasks.update(dict.fromkeys(part.wanted, part))
            self._pool.add(part)

    def _serves(self, peer: int, task: Task, now: float) -> bool:
        return self._can_serve(peer, task) and not self._is_refused(peer, task, now)

    def _can_serve(self, peer: int, task: Task) -> bool:
        holdings = self._holdings[peer]
        if task.job.root in holdings.complete or (task.job.pages and holdings.root == task.job.root):
            return True
        if task.peers:  # holders are kept for unassigned tasks only
            return not task.job.pages and holdings.holds_all(task.page, task.positions)
        return peer in task.holders

    def _is_refused(self, peer: int, task: Task, now: float) -> bool:
        if task.refused.get(peer, now) > now:
            return True
        if not self._peers[peer].is_doubtful:
            return False
        return any(
            not (other.is_doubtful or other.chokes_us)
            and task.refused.get(number, now) <= now
            and self._can_serve(number, task)
            for number, other in self._peers.items()
        )

    def _split(self, task: Task, limit_bytes: int) -> Task:
        """Take the first blocks of a task, up to about `limit_bytes`, out of the pool; the rest of it stays there."""
        ids = task.first_within(limit_bytes)
        self._pool.remove(task)
        if len(ids) == len(task.wanted):
            return task
        wanted = {id_: task.wanted.pop(id_) for id_ in ids}
        part = task.part(wanted, set())
        self._tasks.update(dict.fromkeys(ids, part))
        self._pool.add(task)
        return part
