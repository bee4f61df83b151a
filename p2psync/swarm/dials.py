"""Which addresses to dial now, and when to look again. Pure."""

from collections.abc import Callable, Iterable

from p2psync.ids import DeviceId, PeerAddress
from p2psync.swarm.peers import PeerBook

MAX_DIALS = 16
"""At once: a list of dead addresses must not hold up the live one behind them for long."""
PROMPT_S = 1.0
"""A dial that takes longer leads to nobody, most likely: it counts no more as a link that will be there soon."""
LONGEST_NAP_S = 5.0


class Dials:
    """The dials that are under way.

    Args:
        book: Says what is due.
        room: Returns how many links are to be looked for besides those that so many dials will soon lead to.
    """

    def __init__(self, book: PeerBook, room: Callable[[int], int]) -> None:
        self._book = book
        self._room = room
        self._begun: dict[PeerAddress, float] = {}

    def begin(self, now: float, linked: Iterable[DeviceId]) -> list[PeerAddress]:
        """Return the addresses to dial at once; `end` must follow for each. Devices that are linked are left alone."""
        free, wanted = MAX_DIALS - len(self._begun), self._room(self._prompt(now))
        chosen = self._book.due(now, linked, room=free)[:wanted] if free > 0 and wanted > 0 else []
        for address in chosen:
            self._book.dialling(address)
            self._begun[address] = now
        return chosen

    def end(self, address: PeerAddress) -> None:
        """A dial has led to somebody, or failed."""
        del self._begun[address]

    def nap_s(self, now: float) -> float:
        """Return how long nothing will be due, if nothing changes."""
        if len(self._begun) == MAX_DIALS:
            return LONGEST_NAP_S
        # What is due by now and is not dialled waits for room, or its device is linked: who changes that looks again.
        waits = [
            record.next_try - now for _, record in self._book.records() if not record.busy and record.next_try > now
        ]
        return min([PROMPT_S if self._prompt(now) else LONGEST_NAP_S, *waits])

    def _prompt(self, now: float) -> int:
        return sum(now - begun < PROMPT_S for begun in self._begun.values())
