"""Chokes and unchokes links as the choker says, and says so to the peer when it is time. Pure."""

import random
from collections.abc import Iterable
from typing import Protocol

from p2psync.ids import BlockId
from p2psync.swarm.choker import MIN_SLOTS, ROUND_S, Candidate, Choker
from p2psync.swarm.neighbours import Linked
from p2psync.wire.messages import Choke


class Served(Linked, Protocol):
    """What a link that is served or choked has."""

    @property
    def heeds_choke(self) -> bool: ...  # noqa: D102
    @property
    def is_choked(self) -> bool: ...  # noqa: D102
    def choke(self, choked: bool) -> None: ...  # noqa: D102


class Choking:
    """The choker of a swarm among strangers; without `enabled` it does nothing."""

    def __init__(self, rng: random.Random, *, enabled: bool) -> None:
        self._choker = Choker(rng)
        self._enabled = enabled
        self._since: dict[int, float] = {}
        self._moved: dict[int, _Moved] = {}
        self._next_round = 0.0

    def link_up(self, link: Served, links: Iterable[Served], now: float) -> None:
        """A link is up, one of `links`: if others fill the slots, it waits for the next round."""
        self._since[link.number] = now
        self._moved[link.number] = _Moved(now)
        served = [other for other in links if other is not link and not other.is_choked]
        if self._enabled and link.heeds_choke and len(served) >= MIN_SLOTS:
            link.choke(True)

    def link_down(self, link: Served) -> None:
        """A link is down."""
        del self._since[link.number], self._moved[link.number]

    def tick(self, links: Iterable[Served], root: BlockId, now: float, *, complete: bool) -> None:
        """Choose anew if a round is over.

        Args:
            links: All that are up; those whose programs know no choking are left alone.
            root: Our manifest; who has all of it needs no slot.
            now: In seconds.
            complete: We have all of it ourselves.
        """
        if not self._enabled or now < self._next_round:
            return
        self._next_round = now + ROUND_S
        judged = [link for link in links if link.heeds_choke and root not in link.holdings.complete]
        chosen = self._choker.choose([self._candidate(link, now) for link in judged], now, complete=complete)
        for link in judged:
            link.choke(link.number not in chosen)

    def _candidate(self, link: Served, now: float) -> Candidate:
        gives, takes = self._moved[link.number].rates(link.payload_bytes, link.uploaded_bytes, now)
        return Candidate(link.number, gives, takes, since=self._since[link.number])


class _Moved:
    """What moved over a link, as means over the last two rounds: over less, chance would show more than worth."""

    def __init__(self, now: float) -> None:
        self._before = self._last = (now, 0, 0)

    def rates(self, received: int, sent: int, now: float) -> tuple[float, float]:
        """Return bytes a second that came and went; a round is over."""
        began, received_then, sent_then = self._before
        self._before, self._last = self._last, (now, received, sent)
        seconds = max(now - began, 1.0)
        return (received - received_then) / seconds, (sent - sent_then) / seconds


class ChokeNotice:
    """When to tell one peer that it is choked, or is no more.

    What is on its way comes before the news, so that nobody else is asked for it meanwhile.

    Attributes:
        is_choked: None of its wants is answered.
    """

    def __init__(self) -> None:
        self.is_choked = False
        self._is_told = False

    @property
    def is_owed(self) -> bool:
        """It is choked and has not been told so."""
        return self.is_choked and not self._is_told

    def choke(self, choked: bool) -> list[Choke]:
        """Choke or unchoke; return what to say at once."""
        if choked == self.is_choked:
            return []
        self.is_choked, was_told, self._is_told = choked, self._is_told, False
        if choked:
            return []
        # What it asked for is dropped all the same: it must ask again.
        return [Choke(False)] if was_told else [Choke(True), Choke(False)]

    def all_left(self) -> list[Choke]:
        """Nothing is on its way any more; return what to say."""
        if not self.is_owed:
            return []
        self._is_told = True
        return [Choke(True)]
