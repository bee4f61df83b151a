"""What an idle peer is asked for that another owes: instead of it, or as well. Pure."""

from collections.abc import Callable
from itertools import islice

from p2psync.ids import BlockId
from p2psync.swarm.debts import Debtor, Debts
from p2psync.swarm.tasks import Task

STEAL_GAIN = 1.5
STEAL_MARGIN_S = 1.5
"""What another would send later by less is left to it: much of that is on its way, and would come twice (STATE.md)."""
DUPLICATE_GAIN = 2.0
"""A task is asked a second time only if the idle peer would be so many times earlier."""
DUPLICATE_MARGIN_S = 0.25
"""And by this much: below it the duplicate is mostly waste."""
UNMEASURED_PATIENCE_S = 2.0
"""A peer without a measured rate is taken to be prompt for so long; the next one asked instead for half of it."""
STOLEN_LOOK_AT = 8
"""Of what a peer owes, so many of the last are thought of."""
UNDER_WAY_TASKS = 2
"""The first that a peer owes may be on their way already: taking them over would bring them twice."""


class Takeover:
    """Finds what would come sooner from another.

    Args:
        debts: Who owes what.
        serves: Says whether a peer can be asked for a task now.
    """

    def __init__(self, debts: Debts, serves: Callable[[int, Task, float], bool]) -> None:
        self._debts = debts
        self._peers = debts.peers
        self._serves = serves

    def steal(self, peer: int, now: float) -> tuple[list[BlockId], dict[int, list[BlockId]]]:
        """Let an idle peer have what another owes and will take long for; return it, and where to cancel it."""
        mine = self._peers[peer]
        if mine.is_doubtful:
            return [], {}
        owing = [each for each in self._peers if len(self._peers[each].tasks) > UNDER_WAY_TASKS]
        for victim in sorted(owing, key=lambda each: -self._peers[each].remaining_s):
            state = self._peers[victim]
            coming = state.coming()
            for task in list(islice(reversed(state.tasks), min(STOLEN_LOOK_AT, len(state.tasks) - UNDER_WAY_TASKS))):
                if not is_much_quicker(mine, state, task):
                    break
                if (coming and task is coming[0]) or task.job.pages or len(task.peers) > 1 or victim == peer:
                    continue
                if self._serves(peer, task, now):
                    self._debts.forgive(victim, task)
                    task.peers.clear()
                    return self._debts.assign(peer, task, now), {victim: list(task.wanted)}
        return [], {}

    def duplicate(self, peer: int, now: float) -> list[BlockId]:
        """Ask an idle peer as well for the oldest task that a slower one owes, or a mute one; return its blocks."""
        mine = self._peers[peer]
        if mine.is_doubtful:
            return []
        candidates = [
            task
            for number, state in self._peers.items()
            if state is not mine
            for coming in [state.coming()]
            for task in state.tasks
            if number == task.peers[-1]
            and not any(self._peers[earlier].sends for earlier in task.peers[:-1])
            and self._serves(peer, task, now)
            and is_quicker(mine, state, coming, task, now)
        ]
        if not candidates:
            return []
        chosen = min(candidates, key=lambda task: task.asked_at)
        for slower in chosen.peers:
            self._peers[slower].mute = not self._peers[slower].sends
        return self._debts.assign(peer, chosen, now)


def is_much_quicker(mine: Debtor, other: Debtor, task: Task) -> bool:
    """Say whether an idle peer would send a task so much sooner than the one that owes it last that it should alone."""
    needed_s = (mine.in_flight_bytes + task.size_bytes) / mine.supposed_rate
    return other.remaining_s >= STEAL_GAIN * needed_s + STEAL_MARGIN_S


def due_bytes_until(task: Task, owing: Debtor, coming: tuple[Task, int] | None) -> int:
    """Return what a peer may send until a task that it owes is here: all it owes, or the rest of one that is coming."""
    if coming is None:
        return owing.in_flight_bytes
    under_way, arrived_bytes = coming
    return (task.size_bytes if task is under_way else owing.in_flight_bytes) - arrived_bytes


def is_quicker(mine: Debtor, other: Debtor, coming: tuple[Task, int] | None, task: Task, now: float) -> bool:
    """Say whether one peer, asked now, would send a task so much sooner than the one that owes it that it should.

    `coming` is `other.coming()`: whoever asks about many tasks finds it once.
    """
    if other.rate_bytes_per_s:
        remaining_s = due_bytes_until(task, other, coming) / other.rate_bytes_per_s
    else:
        patience_s = 0.0 if other.mute else UNMEASURED_PATIENCE_S / 2 ** (len(task.peers) - 1)
        remaining_s = 0.0 if now - task.asked_at < patience_s else float("inf")
    needed_s = task.size_bytes / mine.supposed_rate
    return remaining_s > DUPLICATE_GAIN * needed_s + DUPLICATE_MARGIN_S
