"""A limited number of places for those of whom little is known yet."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import trio

from p2psync.discovery.reach import party_of

Place = TypeVar("Place")


class Places:
    """Places in which somebody proves to be worth more; whoever comes gets one, and another may lose its own.

    Args:
        limit: How many there are.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[trio.CancelScope, str] = {}

    @contextmanager
    def take(self, host: str) -> Iterator[None]:
        """Hold a place for somebody from this host; the block is cut short without an error if it is lost."""
        if len(self._held) >= self._limit:
            dropped = choose_dropped(self._held.items())
            del self._held[dropped]
            dropped.cancel()
        with trio.CancelScope() as place:
            self._held[place] = party_of(host)
            try:
                yield
            finally:
                self._held.pop(place, None)


def choose_dropped(strangers: Iterable[tuple[Place, str]]) -> Place:
    """Return who of the strangers makes room for a new one: the oldest of the party that has most of them here.

    So whoever floods us displaces only itself, without a limit that many honest members behind one address meet.

    Args:
        strangers: Who, and of which party; oldest first, not empty.
    """
    places = list(strangers)
    counts = Counter(party for _, party in places)
    most = max(counts.values())
    return next(place for place, party in places if counts[party] == most)
