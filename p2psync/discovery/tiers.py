"""The order in which trackers are asked (BEP 12)."""

import random
from collections.abc import Iterator, Sequence


class Tiers:
    """Tiers of tracker URLs: shuffled within a tier once, and the one that answered comes first in its tier."""

    def __init__(self, tiers: Sequence[Sequence[str]], rng: random.Random) -> None:
        self._tiers = [rng.sample(list(dict.fromkeys(tier)), len(set(tier))) for tier in tiers if tier]

    def __iter__(self) -> Iterator[str]:
        """Yield every URL once, best first; what is promoted meanwhile changes the next iteration only."""
        yield from dict.fromkeys(url for tier in self._tiers for url in tier)

    def promote(self, url: str) -> None:
        """Put a tracker that answered at the front of its tiers."""
        for tier in self._tiers:
            if url in tier:
                tier.remove(url)
                tier.insert(0, url)
