"""What a swarm tells about itself: events as they happen, and a snapshot on request."""

from collections.abc import Mapping
from dataclasses import dataclass

from p2psync.ids import DeviceId, PeerAddress
from p2psync.manifest.head import Standing


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A link is up."""

    device: DeviceId
    address: PeerAddress | None


@dataclass(frozen=True, slots=True)
class LinkDown:
    """A link ended; `ending` is a sentence."""

    device: DeviceId
    address: PeerAddress | None
    ending: str


@dataclass(frozen=True, slots=True)
class PeerBanned:
    """A peer did what no honest one does; there will be no link with it again."""

    device: DeviceId
    reason: str


SwarmEvent = LinkUp | LinkDown | PeerBanned


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """One live link.

    Attributes:
        address: Where the peer accepts links, if known.
        dialled: We dialled it, not it us.
        agent: What program it says it is.
        standing: How its head compares with the newest we had seen when it came; None if it offered none.
        complete: It holds everything of our manifest.
        pages: How many pages it announced, if it is not complete; those of which it holds a part count by that part.
        received_bytes: All that came over it, unencrypted.
        sent_bytes: The same for what was sent.
        uploaded_bytes: Payload that it was sent.
        down_bytes_per_s: Payload received, in the last seconds.
        up_bytes_per_s: Payload sent, in the last seconds.
        up_limit: The lowest limit that holds for sending to it, in bytes a second; None without one.
        down_limit: The same for receiving.
        up_exempt: There is a limit for sending, which does not hold for it: it is local.
        down_exempt: The same for receiving.
        in_flight_bytes: What it owes us.
        wished_blocks: How many blocks are left to it to send when it likes (`wishes`); it owes those too.
        wished_bytes: Their size.
        chokes_us: It answers none of our wants at present, and has said so.
        wanted_blocks: How many blocks it waits for.
        is_paused: We do not read from it at present: our disk lags behind, or a limit is reached.
        is_choked: We serve others before it (`reciprocal`).
        snubbed: It owes us and does not send.
    """

    device: DeviceId
    address: PeerAddress | None
    dialled: bool
    agent: str
    standing: Standing | None
    complete: bool
    pages: float
    received_bytes: int
    sent_bytes: int
    uploaded_bytes: int
    down_bytes_per_s: float
    up_bytes_per_s: float
    up_limit: float | None
    down_limit: float | None
    up_exempt: bool
    down_exempt: bool
    in_flight_bytes: int
    wished_blocks: int
    wished_bytes: int
    chokes_us: bool
    wanted_blocks: int
    is_paused: bool
    is_choked: bool
    snubbed: bool


@dataclass(frozen=True, slots=True)
class AddressStatistics:
    """One address that is tried; `last_failure` is a sentence, empty if it never failed."""

    address: PeerAddress
    failures: int
    last_failure: str


@dataclass(frozen=True, slots=True)
class SwarmTotals:
    """What a swarm counts, at one moment; costs nothing to ask for.

    Attributes:
        linked: Live links.
        known: Addresses that are tried.
        wasted_bytes: Payload that nobody waited for any more when it came, or of which not all came.
        uploaded_bytes: Payload sent to others.
        wrong_blocks: Blocks that were not what their id says.
        unassigned_tasks: Runs of blocks that nobody is asked for at present.
        unwritten_bytes: Received, and not written yet.
        disk_is_behind: They are so many that others wait for the disk here.
        bans: Banned devices, each with the reason.
    """

    linked: int
    known: int
    wasted_bytes: int
    uploaded_bytes: int
    wrong_blocks: int
    unassigned_tasks: int
    unwritten_bytes: int
    disk_is_behind: bool
    bans: Mapping[DeviceId, str]


@dataclass(frozen=True, slots=True)
class SwarmStatistics(SwarmTotals):
    """The same with every link and every address."""

    links: tuple[LinkStatistics, ...]
    addresses: tuple[AddressStatistics, ...]
