"""Whom to serve where not all deserve it alike: who gives is given to, and by chance some others. Pure.

The cooperative default serves everybody. In a folder among strangers (`reciprocal`) there are as many slots as the
uplink fills: while we lack something they go to whoever sends us most, later to whoever takes fastest and so can pass
it on. One slot goes round among the others, so that newcomers can show what they are worth.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

ROUND_S = 10.0
"""Time between two choices: long enough for TCP to show a rate (BEP 3)."""
LUCKY_ROUNDS = 3
"""How long the lucky one stays: a newcomer needs that to get something to give."""
NEWCOMER_S = 60.0
NEWCOMER_TICKETS = 3
"""Who came so lately is drawn so many times as often: it has nothing to give yet."""
SLOT_BYTES_PER_S = 16 << 10
"""The n-th slot is opened if the n-th fastest peer takes n times this: 8 slots at 1 MB/s, 25 at 10 MB/s."""
MIN_SLOTS = 3
MAX_SLOTS = 60


@dataclass(frozen=True, slots=True)
class Candidate:
    """A peer that lacks something.

    Attributes:
        number: Its link.
        gives_bytes_per_s: What it sends us.
        takes_bytes_per_s: What it is sent.
        since: When its link came up.
    """

    number: int
    gives_bytes_per_s: float
    takes_bytes_per_s: float
    since: float


class Choker:
    """Chooses anew every round."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._lucky: int | None = None
        self._rounds = 0

    def choose(self, candidates: Sequence[Candidate], now: float, *, complete: bool) -> frozenset[int]:
        """Return whom to serve until the next round.

        Args:
            candidates: All that lack something.
            now: In seconds.
            complete: We lack nothing ourselves.
        """
        slots = slots_for([peer.takes_bytes_per_s for peer in candidates])

        def worth(peer: Candidate) -> tuple[float, float]:
            return (0.0 if complete else peer.gives_bytes_per_s), peer.takes_bytes_per_s

        order = list(candidates)
        self._rng.shuffle(order)  # among equals, as at the start, chance decides
        order.sort(key=worth, reverse=True)
        best = {peer.number for peer in order[: slots - 1]}
        lucky = self._draw([peer for peer in order if peer.number not in best], now)
        return frozenset(best if lucky is None else best | {lucky})

    def _draw(self, others: Sequence[Candidate], now: float) -> int | None:
        """Return the lucky one of those that no slot went to; it stays for some rounds."""
        self._rounds += 1
        stays = self._rounds % LUCKY_ROUNDS != 1 and any(peer.number == self._lucky for peer in others)
        if not stays:
            tickets = [NEWCOMER_TICKETS if now - peer.since < NEWCOMER_S else 1 for peer in others]
            fresh = [peer.number for peer in others]
            self._lucky = self._rng.choices(fresh, tickets)[0] if fresh else None
        return self._lucky


def slots_for(rates_bytes_per_s: Sequence[float]) -> int:
    """Return how many peers to serve at a time, by what each takes: more would only divide the uplink further."""
    filled = 0
    for rate in sorted(rates_bytes_per_s, reverse=True):
        if rate < (filled + 1) * SLOT_BYTES_PER_S:
            break
        filled += 1
    return max(MIN_SLOTS, min(MAX_SLOTS, filled + 1))
