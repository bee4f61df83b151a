"""How many frames of payload leave at once. Pure.

One after the other they leave in the same time as all at once, but each arrives sooner and can be passed on sooner, and
fewer streams compete for the line. A frame that takes much longer than others do goes to a slow receiver, and does not
count any more: so slots are found automatically.
"""

from itertools import islice

SLOTS = 4
"""One frame that is leaving, one that is ready, and two for receivers slower than our line. With two in all a host at a
tenth of the line holds up the others (simulated: 1.38 of the bound instead of 1.03); with no limit frames take longer.
"""
START_FRAME_S = 0.03
PATIENCE = 2.0
"""A frame counts for so many times as long as frames take."""
_SHARE_IF_LONGER = 1 / 64
_SHARE_IF_SHORTER = 1 / 8
"""How long frames take is measured by the quick ones: half of the receivers may be slow."""


class Slots:
    """The frames that are leaving, by when they began to."""

    def __init__(self) -> None:
        self._begun: dict[int, float] = {}
        self._number = 0
        self._frame_s = START_FRAME_S

    def wait_s(self, now: float) -> float:
        """Return how long the next frame must wait if none leaves meanwhile; 0 if it may begin."""
        if len(self._begun) < SLOTS:
            return 0.0
        begun = next(islice(reversed(self._begun.values()), SLOTS - 1, None))  # they stand in the order of their times
        return max(0.0, begun + PATIENCE * self._frame_s - now)

    def begin(self, now: float) -> int:
        """A frame begins to leave; return its number."""
        self._number += 1
        self._begun[self._number] = now
        return self._number

    def end(self, number: int, now: float) -> None:
        """A frame has left, or never will."""
        longer_s = min(now - self._begun.pop(number), 2 * PATIENCE * self._frame_s) - self._frame_s
        self._frame_s += longer_s * (_SHARE_IF_LONGER if longer_s > 0 else _SHARE_IF_SHORTER)
