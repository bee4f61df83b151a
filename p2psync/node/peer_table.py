"""What each peer has, gives and takes, as rows to show; and why nothing comes. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from p2psync.manifest.head import Standing
from p2psync.swarm.statistics import LinkStatistics, SwarmStatistics
from p2psync.sync.events import Activity
from p2psync.words import counted, shown_path

STANDING_STILL_BYTES_PER_S = 1000.0
"""What comes in below this is no transfer."""


@dataclass(frozen=True, slots=True)
class PeerRow:
    """One linked peer; what a process of another version does not tell of it is as if there were none.

    Attributes:
        address: Where it accepts links, empty if unknown.
        device: The first 16 hex digits of its device id.
        direction: `out` if we dialled it, `in` if it dialled us.
        agent: What program it says it is.
        held: How much of our version it holds, from 0 to 1; None if that is not known.
        received_bytes: What it gave us so far, control messages included.
        sent_bytes: What it was given.
        down_bytes_per_s: What it gives now.
        up_bytes_per_s: What it is given now.
        down_limit: The limit for receiving from it, None without one.
        up_limit: The limit for sending to it.
        down_exempt: There is a limit for receiving, which does not hold for it: it is local.
        up_exempt: The same for sending.
        owes_bytes: What it was asked for and has not sent.
        wished_blocks: What is left to it to send when it likes.
        chokes_us: It serves others first, and us not at all at present.
        wants_blocks: What it asked us for and has not got.
        state: A few words on what goes on.
    """

    address: str = ""
    device: str = ""
    direction: str = ""
    agent: str = ""
    held: float | None = None
    received_bytes: int = 0
    sent_bytes: int = 0
    down_bytes_per_s: int = 0
    up_bytes_per_s: int = 0
    down_limit: float | None = None
    up_limit: float | None = None
    down_exempt: bool = False
    up_exempt: bool = False
    owes_bytes: int = 0
    wished_blocks: int = 0
    chokes_us: bool = False
    wants_blocks: int = 0
    state: str = ""


_FIELDS = frozenset(field.name for field in fields(PeerRow))


def read_row(told: Mapping[str, Any]) -> PeerRow:
    """Return the row that another process tells of; it may be of another version, with more fields or fewer."""
    return PeerRow(**{name: value for name, value in told.items() if name in _FIELDS})


def peer_rows(numbers: SwarmStatistics, pages: int) -> list[PeerRow]:
    """Return a row a peer, who moves most first; `pages` is how many our manifest has, 0 if that is not known."""
    links = sorted(numbers.links, key=lambda link: -(link.down_bytes_per_s + link.up_bytes_per_s))
    return [_row(link, pages) for link in links]


def explain_standstill(activity: Activity, numbers: SwarmStatistics, unfinished: Callable[[], Sequence[bytes]]) -> str:
    """Say in a sentence why nothing comes although peers are there; empty if something does, or nothing is wanted.

    Args:
        activity: What is being done.
        numbers: The swarm's.
        unfinished: Gives the paths of files that lack blocks.
    """
    links = numbers.links
    if activity not in (Activity.MANIFEST, Activity.FETCHING) or not links:
        return ""
    if sum(link.down_bytes_per_s for link in links) >= STANDING_STILL_BYTES_PER_S:
        return ""
    if numbers.disk_is_behind:
        return f"waiting for the disk here: {_megabytes(numbers.unwritten_bytes)} are received and not written"
    if any(map(_is_held_back, links)):
        return ""
    owing = [link for link in links if _to_come(link)]
    if owing:
        owed = sum(map(_to_come, owing))
        return f"waiting for {_names(owing)}: {_megabytes(owed)} are asked for and do not come"
    lacking = unfinished if activity is Activity.FETCHING else list
    return _why_nobody_is_asked(links, lacking()) if numbers.unassigned_tasks else ""


def _why_nobody_is_asked(links: Sequence[LinkStatistics], unfinished: Sequence[bytes]) -> str:
    chokers = [link for link in links if link.chokes_us and (link.complete or link.pages)]
    if chokers:
        return f"waiting for {_names(chokers)}: others are served first there (--reciprocal)"
    lacking = "the one linked peer does not" if len(links) == 1 else f"none of the {len(links)} linked peers does"
    return f"waiting for somebody who has what is missing{_of(unfinished)}: {lacking}"


def _of(paths: Sequence[bytes]) -> str:
    if not paths:
        return ""
    more = f" and {counted(len(paths) - 1, 'more file')}" if len(paths) > 1 else ""
    return f" of {shown_path(min(paths))}{more}"


def _row(link: LinkStatistics, pages: int) -> PeerRow:
    return PeerRow(
        address=_name(link) if link.address else "",
        device=link.device.hex()[:16],
        direction="out" if link.dialled else "in",
        agent=link.agent,
        held=_held(link, pages),
        received_bytes=link.received_bytes,
        sent_bytes=link.sent_bytes,
        down_bytes_per_s=round(link.down_bytes_per_s),
        up_bytes_per_s=round(link.up_bytes_per_s),
        down_limit=link.down_limit,
        up_limit=link.up_limit,
        down_exempt=link.down_exempt,
        up_exempt=link.up_exempt,
        owes_bytes=link.in_flight_bytes,
        wished_blocks=link.wished_blocks,
        chokes_us=link.chokes_us,
        wants_blocks=link.wanted_blocks,
        state=_state(link),
    )


def _held(link: LinkStatistics, pages: int) -> float | None:
    if link.complete:
        return 1.0
    if not pages:
        return None
    return round(min(link.pages / pages, 0.999), 3)


def _state(link: LinkStatistics) -> str:
    owes, wants = _to_come(link) > 0, link.wanted_blocks > 0
    words = [
        (link.snubbed, "owes blocks and sends none"),
        (owes and wants, "trades with us"),
        (_is_held_back(link), "held back by our limit"),
        (link.in_flight_bytes > 0, "sends to us"),
        (owes, "sends what it has sent to nobody"),
        (wants and link.chokes_us, "is sent to, and chokes us"),
        (wants, "is sent to"),
        (link.chokes_us, "chokes us: others come first there"),
        (link.is_choked, "is choked: others come first"),
        (link.standing is Standing.OLDER, "has an older version"),
        (link.standing is None and not link.complete, "has offered nothing yet"),
    ]
    return next((state for holds, state in words if holds), "idle")


def _is_held_back(link: LinkStatistics) -> bool:
    """Say whether what a peer owes would come if our limit let us read it; the next is read when that allows."""
    return _to_come(link) > 0 and link.is_paused and link.down_limit is not None


def _to_come(link: LinkStatistics) -> int:
    """Return how many bytes a peer is to send: those it was asked for, and those of which the order is left to it."""
    return link.in_flight_bytes + link.wished_bytes


def _names(links: Sequence[LinkStatistics]) -> str:
    return _name(links[0]) if len(links) == 1 else f"{len(links)} peers"


def _name(link: LinkStatistics) -> str:
    return str(link.address or "a peer without an address")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
