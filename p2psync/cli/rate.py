"""How fast a count grows by whole blocks: many in a second on a fast line, one in many seconds on a slow one."""

import itertools
from collections import deque

WINDOW_S = 5.0
"""What happened before says little about what comes."""
FORGET_S = 120.0
"""A block of 4 MiB comes within that at 35 kB/s; what is further apart belongs to two transfers."""
PATIENCE_S = 1.0
"""Counts are looked at twice a second, so between two blocks this much may be chance."""


class Rate:
    """Bytes a second, from the time between the steps that a count, at first 0, is seen to make."""

    def __init__(self) -> None:
        self._count = 0
        self._steps: deque[tuple[float, int]] = deque()
        """When, and what the count was from then on; the first is where measuring begins."""

    def begin(self, count: int, now: float) -> None:
        """Bytes are on their way from now on, unless they were already; else measuring begins with the first step."""
        if not self._steps:
            self._count = count
            self._steps.append((now, count))

    def update(self, count: int, now: float) -> None:
        """Take in the count of this moment."""
        if self._steps and now - self._steps[-1][0] > FORGET_S:
            self._steps.clear()
        if count != self._count:
            self._count = count
            self._steps.append((now, count))
        while len(self._steps) > 2 and self._steps[1][0] <= self._steps[-1][0] - WINDOW_S:
            self._steps.popleft()

    def stop(self) -> None:
        """Nothing is on its way any more."""
        self._steps.clear()

    def bytes_per_s(self, now: float) -> float:
        """Return the rate; 0.0 before it can be known, and once the next step is long overdue."""
        times = [time for time, _ in self._steps]
        longest = max((after - before for before, after in itertools.pairwise(times)), default=0.0)
        if not longest or (overdue := now - times[-1] - longest) > longest + PATIENCE_S:
            return 0.0
        return (self._steps[-1][1] - self._steps[0][1]) / (times[-1] - times[0] + max(0.0, overdue))
