"""What a node tells whoever runs it: the events of the command-line contract (DESIGN.md, section 7)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from p2psync.node.peer_table import PeerRow


@dataclass(frozen=True, slots=True)
class Listening:
    """The port is open."""

    event: ClassVar[str] = "listening"
    listen: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A share serves; `link` is the one to hand out, `write_link` the one to keep."""

    event: ClassVar[str] = "ready"
    link: str
    read_link: str
    write_link: str
    store_link: str
    root: str
    seq: int
    listen: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Offering(Ready):
    """A share serves what its first scan has found so far; `ready` follows when it is over. The same fields."""

    event: ClassVar[str] = "offering"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the work stands; at most twice a second while something moves, and once when it stops.

    Attributes:
        state: What is being done, one of `sync.events.Activity`.
        done_bytes: Bytes of files that are right, or staged.
        total_bytes: Bytes of files that there are to be.
        fetched_bytes: Payload received so far.
        uploaded_bytes: Payload sent so far.
        copies_sent: The same divided by the folder's size: an origin's figure of merit, best near 1.
        peers: Live links.
        scanned_files: Files that the scan has looked at.
        waiting_for: A sentence on what is waited for, empty if nothing is.
    """

    event: ClassVar[str] = "progress"
    state: str
    done_bytes: int
    total_bytes: int
    fetched_bytes: int
    uploaded_bytes: int
    peers: int
    scanned_files: int
    waiting_for: str
    copies_sent: float


@dataclass(frozen=True, slots=True)
class Matched:
    """The folder matches the newest head."""

    event: ClassVar[str] = "matched"
    root: str
    files: int
    bytes: int
    fetched_bytes: int
    reused_bytes: int
    uploaded_bytes: int
    displaced: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Published:
    """A local change has become a head; `uploaded_bytes` had been sent by then, what is sent since is mostly of it."""

    event: ClassVar[str] = "published"
    root: str
    seq: int
    files: int
    bytes: int
    uploaded_bytes: int


@dataclass(frozen=True, slots=True)
class LocalAddition:
    """The user's own file, which the folder does not know; left alone."""

    event: ClassVar[str] = "local_addition"
    path: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something failed; the rest proceeds, unless the command ends with it.

    Attributes:
        kind: The error family: `path`, `disk`, `integrity`, `unreachable`, `usage`.
        message: A sentence that says what to do.
    """

    event: ClassVar[str] = "error"
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence worth knowing that is no error."""

    event: ClassVar[str] = "note"
    message: str


@dataclass(frozen=True, slots=True)
class PeersSeen:
    """Asks who is linked, for the live view alone: scripts ask with `p2psync peers`."""

    peers: Callable[[], Sequence[PeerRow]]


NodeEvent = Listening | Offering | Ready | Progress | Matched | Published | LocalAddition | Problem | Note
"""What `--json` prints."""
Shown = NodeEvent | PeersSeen
"""What a display is given."""
