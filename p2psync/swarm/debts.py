"""Which peer owes which task, and who would send it sooner. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field

from p2psync.ids import BlockId
from p2psync.swarm.tasks import Task, Wanted
from p2psync.wire import limits

STEAL_GAIN = 1.5
STEAL_MARGIN_S = 1.5
"""What another would send later by less is left to it: much of that is on its way, and would come twice (STATE.md)."""
DUPLICATE_GAIN = 2.0
"""A task is asked a second time only if the idle peer would be so many times earlier."""
DUPLICATE_MARGIN_S = 0.25
"""And by this much: below it the duplicate is mostly waste."""
UNMEASURED_PATIENCE_S = 2.0
"""A peer without a measured rate is taken to be prompt for so long; the next one asked instead for half of it."""
UNMEASURED_RATE_BYTES_PER_S = 1 << 20
MUTE_BYTES_PER_S = limits.LIFE_SIGN_BYTES / limits.SNUB_S
"""Whoever owes and sends less is on the way to being snubbed."""


def nothing() -> tuple[BlockId, int]:
    """Return that no block is coming in parts."""
    return BlockId(b""), 0


@dataclass(eq=False, slots=True)
class Debtor:
    """A peer as one that may owe: what, how fast it sends, and whether it can be relied on."""

    tasks: dict[Task, None] = field(default_factory=dict)
    in_flight_bytes: int = 0
    in_flight_blocks: int = 0
    rate_bytes_per_s: float = 0.0
    name: bytes = b""
    arriving: Callable[[], tuple[BlockId, int]] = nothing
    """Returns the block that comes from it in parts, and how many of its bytes are here."""
    deals: bool = False
    """It sends what is wished for in an order of its own."""
    snubbed: bool = False
    mute: bool = False
    """It was asked, sent next to nothing, and another peer was asked instead."""
    chokes_us: bool = False
    """It answers nothing at present."""
    fruitless_at: int = -1
    """The state of the pool in which nothing was found for it."""

    @property
    def supposed_rate(self) -> float:
        """Bytes a second that it sends, as far as is known."""
        return self.rate_bytes_per_s or UNMEASURED_RATE_BYTES_PER_S

    @property
    def remaining_s(self) -> float:
        """When it will have sent all that it owes, if it goes on as it did."""
        return self.in_flight_bytes / self.supposed_rate

    def coming(self) -> tuple[Task, int] | None:
        """Return the task that it owes of which a block is coming, and how much of that is here, if there is one."""
        id_, arrived_bytes = self.arriving()
        return (
            next(((task, arrived_bytes) for task in self.tasks if id_ in task.wanted), None) if arrived_bytes else None
        )

    @property
    def sends(self) -> bool:
        """What it owes is on its way."""
        return self.rate_bytes_per_s >= MUTE_BYTES_PER_S

    @property
    def is_doubtful(self) -> bool:
        """It is asked only for what nobody else has."""
        return self.snubbed or self.mute


class Debts:
    """All that is owed.

    Attributes:
        peers: Every linked peer.
    """

    def __init__(self) -> None:
        self.peers: dict[int, Debtor] = {}

    def assign(self, peer: int, task: Task, now: float) -> list[BlockId]:
        """A peer owes a task from now on; return its blocks."""
        state = self.peers[peer]
        task.asked_at = now
        task.peers.append(peer)
        state.tasks[task] = None
        state.in_flight_bytes += task.size_bytes
        state.in_flight_blocks += len(task.wanted)
        return list(task.wanted)

    def repay(self, peer: int, task: Task, wanted: Wanted) -> None:
        """A peer no longer owes a block, which is not among those wanted of the task any more."""
        state = self.peers[peer]
        state.in_flight_bytes -= wanted.length
        state.in_flight_blocks -= 1
        if not task.wanted:
            del state.tasks[task]

    def forgive(self, peer: int, task: Task) -> None:
        """A peer no longer owes a task."""
        state = self.peers[peer]
        del state.tasks[task]
        state.in_flight_bytes -= task.size_bytes
        state.in_flight_blocks -= len(task.wanted)


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
