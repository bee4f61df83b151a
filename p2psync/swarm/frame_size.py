"""How much payload a frame carries: by how long frames take to leave, and how much memory there is for them. Pure."""

from p2psync.budget import DEFAULT_MEMORY
from p2psync.wire import limits

MIN_FRAME_BYTES = 64 << 10
START_FRAME_BYTES = 128 << 10
FRAME_S = 0.05
"""A frame should leave within this, so that on a slow uplink our own wants are not stuck behind a megabyte, and others
can pass a block on soon."""
FRAMES_A_LINK = 3
"""What a link holds that is sent to as fast as it can read: two frames that wait, and the record that is leaving."""


class FrameSize:
    """How much payload a frame should carry, by how long frames take to leave."""

    def __init__(self) -> None:
        self.limit_bytes = START_FRAME_BYTES

    def sent(self, payload_bytes: int, took_s: float) -> None:
        """One frame with so much payload left in `took_s`."""
        if took_s > FRAME_S:
            self.limit_bytes = max(MIN_FRAME_BYTES, self.limit_bytes // 2)
        elif took_s < FRAME_S / 4 and 2 * payload_bytes > self.limit_bytes:
            self.limit_bytes = min(limits.FRAME_PAYLOAD_BYTES, self.limit_bytes * 2)


class FrameRoom:
    """The memory for what is being sent; all links of a folder share it. The more they are, the shorter their frames.

    Those count as well that are sent nothing at present: frames may still wait for a peer that does not read.

    Args:
        room_bytes: What their frames may take together.
    """

    def __init__(self, room_bytes: int = DEFAULT_MEMORY.sending_bytes) -> None:
        self._room_bytes = room_bytes
        self._links = 0

    @property
    def share_bytes(self) -> int:
        """How much of a block a link may read at a time."""
        return max(MIN_FRAME_BYTES, self._room_bytes // (FRAMES_A_LINK * max(1, self._links)))

    @property
    def frame_bytes(self) -> int:
        """How much a frame may carry at most."""
        return min(limits.FRAME_PAYLOAD_BYTES, self.share_bytes)

    def link_up(self) -> None:
        """One more may be sent to."""
        self._links += 1

    def link_down(self) -> None:
        """One is gone."""
        self._links -= 1
