"""What an announce and its answer say, whatever carries them (BEP 3, 7, 15, 21, 23, 31).

`Announce` is a tuple, not a dataclass: a tracker makes one for every packet, and a tuple costs a fifth.
"""

import enum
from dataclasses import dataclass
from typing import NamedTuple

from p2psync.errors import RemoteProtocolError
from p2psync.ids import InfoHash, PeerAddress, PeerId

DEFAULT_NUMWANT = -1
_MAX_TEXT_BYTES = 200
UNKNOWN_LEFT = 2**64 - 1


class TrackerRefusalError(RemoteProtocolError):
    """The tracker answered, and said no.

    Attributes:
        retry_after_s: Seconds after which it may be asked again, None if never (BEP 31), 0 if it did not say.
    """

    def __init__(self, reason: str, *, retry_after_s: int | None = 0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


def one_line(text: bytes) -> str:
    """Return a stranger's text, not much of it, and nothing in it that could move a terminal's cursor."""
    return "".join(char if char.isprintable() else " " for char in text[:_MAX_TEXT_BYTES].decode("utf-8", "replace"))


class Event(enum.IntEnum):
    """Why a client announces; the numbers are those of BEP 15, and 4 is what libtorrent sends for BEP 21."""

    NONE = 0
    COMPLETED = 1
    STARTED = 2
    STOPPED = 3
    PAUSED = 4


class Announce(NamedTuple):
    """One announce.

    Attributes:
        port: Where the peer listens.
        uploaded: Bytes, as the client claims; likewise `downloaded` and `left`.
        left: 0 for a seed; `UNKNOWN_LEFT` where the client did not say.
        numwant: How many peers it wants; negative to leave that to the tracker.
        key: What tells this client from another that learned its peer id; 0 if it sent none.
        compact: False if it asks for a list of dictionaries.
        no_peer_id: True if those need no peer ids.
        claimed_ip: 4 or 16 bytes it wants to be known by, or empty.
        access_key: What stands before `announce` in the tracker's URL, where some trackers want a key.
    """

    info_hash: InfoHash
    peer_id: PeerId
    port: int
    uploaded: int = 0
    downloaded: int = 0
    left: int = UNKNOWN_LEFT
    event: int = Event.NONE
    numwant: int = DEFAULT_NUMWANT
    key: int = 0
    compact: bool = True
    no_peer_id: bool = False
    claimed_ip: bytes = b""
    access_key: bytes = b""


class SwarmCounts(NamedTuple):
    """What a scrape tells of one swarm (BEP 48, 21).

    Attributes:
        complete: Seeds.
        downloaded: Downloads that were ever completed.
        incomplete: All other peers.
        downloaders: Those that still download, without partial seeds.
    """

    complete: int = 0
    downloaded: int = 0
    incomplete: int = 0
    downloaders: int = 0


@dataclass(frozen=True, slots=True)
class TrackerAnswer:
    """What a tracker answered to an announce, as a client reads it.

    Attributes:
        interval_s: Seconds until the next announce is due.
        min_interval_s: Seconds before which none is welcome; 0 if the tracker did not say.
        warning: A sentence for the user, or empty.
        external_ip: 4 or 16 bytes: the address the tracker saw (BEP 24), or empty.
    """

    interval_s: int
    min_interval_s: int = 0
    peers: tuple[PeerAddress, ...] = ()
    complete: int = 0
    incomplete: int = 0
    warning: str = ""
    tracker_id: bytes = b""
    external_ip: bytes = b""
