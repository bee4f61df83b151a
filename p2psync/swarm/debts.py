"""Which peer owes which task, and how fast it sends. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field

from p2psync.ids import BlockId
from p2psync.swarm.tasks import Task, Wanted
from p2psync.wire import limits

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
        if not arrived_bytes:
            return None
        return next(((task, arrived_bytes) for task in self.tasks if id_ in task.wanted), None)

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
