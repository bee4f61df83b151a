"""What is being fetched, as plain records: jobs of callers, tasks of peers. Pure."""

from dataclasses import dataclass, field
from typing import NamedTuple

from p2psync.ids import BlockId


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
    length: int


@dataclass(eq=False, slots=True)
class Task:
    """Blocks that are asked from a peer in one go.

    Attributes:
        wanted: Those that have not been received.
        peers: Who was asked, in this order: at most two, besides those that are mute; nobody while it is unassigned.
        holders: Peers with incomplete manifests that announced it, all of it; kept while it is unassigned.
        refused: Peers that said MISSING, and until when they are believed.
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
    refused: dict[int, float] = field(default_factory=dict)
    wished_at: int | None = None
    asked_at: float = 0.0
    number: int = 0
    urgency: int = 0

    @property
    def turn(self) -> tuple[bool, int, int]:
        """Where it stands among tasks that are asked for in an order: pages, then what is most urgent."""
        return not self.job.pages, -self.urgency, self.number

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
