"""Virtual time: events in the order of their times."""

import heapq
from collections.abc import Callable
from itertools import count


class Clock:
    """Runs what was put off, as soon as it is due.

    Attributes:
        now: Seconds since the beginning.
        events: How many have been run.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.events = 0
        self._due: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._order = count()

    def at(self, when: float, act: Callable[..., None], *arguments: object) -> None:
        """Run something at a time that is not over."""
        heapq.heappush(self._due, (when, next(self._order), act, arguments))

    def after(self, seconds: float, act: Callable[..., None], *arguments: object) -> None:
        """Run something in a while."""
        self.at(self.now + seconds, act, *arguments)

    def step(self) -> bool:
        """Run the next event; return False if there is none."""
        if not self._due:
            return False
        self.now, _, act, arguments = heapq.heappop(self._due)
        self.events += 1
        act(*arguments)
        return True
