"""One host's end of a link."""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from p2psync.ids import BlockId
from p2psync.swarm.choking import ChokeNotice
from p2psync.swarm.flow import PeerFlow
from p2psync.swarm.frame_size import FrameSize
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.throttle import Throttle
from p2psync.swarm.uploads import WantQueue
from p2psync.wire.messages import Blocks, Missing, Part
from scripts.simulation.network import Wire

if TYPE_CHECKING:
    from scripts.simulation.host import Host


@dataclass(eq=False, slots=True)
class Peering:
    """One host's end of a link.

    Attributes:
        ready: Frames that were read, and wait until the limit allows them.
        is_paying: It sends nothing for now, as the limit has it.
        is_resting: It has nothing to send until a while has passed.
        arriving: The block that comes in parts, and how much of it is here.
    """

    number: int
    host: "Host"
    other: "Host"
    holdings: Holdings
    flow: PeerFlow
    wants: WantQueue
    up_limit: Throttle
    down_limit: Throttle
    notice: ChokeNotice = field(default_factory=ChokeNotice)
    ready: deque[Blocks | Part | Missing] = field(default_factory=deque)
    is_paying: bool = False
    is_resting: bool = False
    arriving: tuple[BlockId, int] = (BlockId(b""), 0)
    heeds_choke: bool = True
    frame_size: FrameSize = field(default_factory=FrameSize)
    is_waiting: bool = False
    turns: deque[int] = field(default_factory=deque)
    out: Wire = field(init=False)
    back: "Peering" = field(init=False)

    @property
    def payload_bytes(self) -> int:
        """Payload received."""
        return self.back.out.delivered_bytes

    @property
    def uploaded_bytes(self) -> int:
        """Payload sent."""
        return self.out.delivered_bytes

    @property
    def is_choked(self) -> bool:
        """The other end is answered nothing."""
        return self.notice.is_choked

    def choke(self, choked: bool) -> None:
        """Choke the other end, or do so no more."""
        self.host.say(self, self.notice.choke(choked))
        if choked:
            self.wants.clear()
            self.ready.clear()
        self.tell_choked()

    def tell_choked(self) -> None:
        """Say so, if all that was on its way has left."""
        if not self.out.waiting:
            self.host.say(self, self.notice.all_left())
