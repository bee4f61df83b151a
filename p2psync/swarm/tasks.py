"""What is being fetched, as plain records: jobs of callers, tasks of peers. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from p2psync.ids import BlockId

NOBODY: Mapping[int, float] = MappingProxyType({})
"""Most tasks are refused by none."""


@dataclass(eq=False, slots=True)
class Job:
    """What one caller waits for.

    Attributes:
        root: The manifest that the blocks belong to.
        pages: The blocks are the root or pages themselves: whoever offers the head holds them.
        pending: Blocks that were added and are not written yet.
        unassigned: Blocks of them that nobody is asked for at present.
        exhausted: Nothing more will be added.
        in_order: Its blocks are asked for in the order in which they were added, not rarest first.
        urgency: Above 0 they are so too, and before those of all jobs of a lower one.
    """

    root: BlockId
    pages: bool = False
    pending: int = 0
    unassigned: int = 0
    exhausted: bool = False
    in_order: bool = False
    urgency: int = 0

    @property
    def is_done(self) -> bool:
        """Everything that will ever be asked for is written."""
        return self.exhausted and not self.pending


class Wanted(NamedTuple):
    """One block of a task."""

    position: int
    length: int


class Written(NamedTuple):
    """A block that is safe in the store."""

    job: Job
    page: BlockId
    position: int


@dataclass(eq=False, slots=True)
class Task:
    """Blocks that are asked from a peer in one go.

    Attributes:
        wanted: Those that have not been received.
        peers: Who was asked, in this order: at most two, besides those that are mute; nobody while it is unassigned.
        holders: Peers with incomplete manifests that announced it, all of it; kept while it is unassigned.
        refused: Peers that said MISSING, and until when they are believed; parts of a task share it.
        wished_at: The peer that may send it when it likes, while it is unassigned.
        asked_at: When it was assigned or wished for last.
        number: Its place in the order in which tasks were added.
        urgency: That of its job, or of a later one that wants the same blocks sooner.
    """

    job: Job
    page: BlockId
    wanted: dict[BlockId, Wanted]
    peers: list[int] = field(default_factory=list)
    holders: set[int] = field(default_factory=set)
    refused: Mapping[int, float] = field(default_factory=lambda: NOBODY)
    wished_at: int | None = None
    asked_at: float = 0.0
    number: int = 0
    urgency: int = 0

    @property
    def turn(self) -> tuple[bool, int, int]:
        """Where it stands among tasks that are asked for in an order: pages, then what is most urgent."""
        return not self.job.pages, -self.urgency, self.number

    @property
    def keeps_order(self) -> bool:
        """It is waited for, or what comes after it is of no use before."""
        return self.job.pages or self.job.in_order or self.urgency > 0

    def part(self, wanted: dict[BlockId, Wanted], holders: set[int]) -> "Task":
        """Return a task of some of its blocks, which nobody is asked for."""
        return Task(
            self.job,
            self.page,
            wanted,
            holders=holders,
            refused=self.refused,
            asked_at=self.asked_at,
            number=self.number,
            urgency=self.urgency,
        )

    @property
    def size_bytes(self) -> int:
        """Bytes still to be received."""
        return sum([wanted.length for wanted in self.wanted.values()])

    @property
    def positions(self) -> list[int]:
        """Positions in the page of the blocks still to be received."""
        return [wanted.position for wanted in self.wanted.values()]

    def first_within(self, limit_bytes: int) -> list[BlockId]:
        """Return the first blocks that fit into `limit_bytes`, at least one."""
        taken: list[BlockId] = []
        for id_, wanted in self.wanted.items():
            limit_bytes -= wanted.length
            if taken and limit_bytes < 0:
                break
            taken.append(id_)
        return taken
