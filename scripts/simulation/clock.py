"""Virtual time: events in the order of their times."""

import heapq
from collections.abc import Callable
from itertools import count


class Clock:
    """Runs what was put off, as soon as it is due.

    Attributes:
        now: Seconds since the beginning.
        events: How many have been run.
        is_stopped: Nothing more is run.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.events = 0
        self.is_stopped = False
        self._due: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._next_order = count().__next__

    def at(self, when: float, act: Callable[..., None], *arguments: object) -> None:
        """Run something at a time that is not over."""
        heapq.heappush(self._due, (when, self._next_order(), act, arguments))

    def after(self, seconds: float, act: Callable[..., None], *arguments: object) -> None:
        """Run something in a while."""
        heapq.heappush(self._due, (self.now + seconds, self._next_order(), act, arguments))

    def run(self, *watchers: Callable[[], None]) -> None:
        """Run event after event, and each time all watchers, until none is left or one has stopped it."""
        due, pop, events = self._due, heapq.heappop, 0
        while due and not self.is_stopped:
            self.now, _, act, arguments = pop(due)
            events += 1
            act(*arguments)
            for watch in watchers:
                watch()
        self.events += events
