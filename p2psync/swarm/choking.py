"""Chokes and unchokes links as the choker says."""

import random
from collections.abc import Iterable

from p2psync.ids import BlockId
from p2psync.swarm.choker import MIN_SLOTS, ROUND_S, Candidate, Choker
from p2psync.swarm.link import Link
from p2psync.wire.messages import Feature


class Choking:
    """The choker of a swarm among strangers; without `enabled` it does nothing."""

    def __init__(self, rng: random.Random, *, enabled: bool) -> None:
        self._choker = Choker(rng)
        self._enabled = enabled
        self._since: dict[int, float] = {}
        self._moved: dict[int, _Moved] = {}
        self._next_round = 0.0

    def link_up(self, link: Link, links: Iterable[Link], now: float) -> None:
        """A link is up, one of `links`: if others fill the slots, it waits for the next round."""
        self._since[link.number] = now
        self._moved[link.number] = _Moved(now)
        served = [other for other in links if other is not link and not other.is_choked]
        if self._enabled and _understands(link) and len(served) >= MIN_SLOTS:
            link.choke(True)

    def link_down(self, link: Link) -> None:
        """A link is down."""
        del self._since[link.number], self._moved[link.number]

    def tick(self, links: Iterable[Link], root: BlockId, now: float, *, complete: bool) -> None:
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
        judged = [link for link in links if _understands(link) and root not in link.holdings.complete]
        chosen = self._choker.choose([self._candidate(link, now) for link in judged], now, complete=complete)
        for link in judged:
            link.choke(link.number not in chosen)

    def _candidate(self, link: Link, now: float) -> Candidate:
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


def _understands(link: Link) -> bool:
    return Feature.CHOKE in link.hello.features
