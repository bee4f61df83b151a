"""Telling linked peers what we hold: at once what is new as a whole, gathered what comes block by block."""

from collections.abc import Mapping, ValuesView

import trio

from p2psync.blocks.need import PageHolding
from p2psync.ids import BlockId
from p2psync.swarm.link import Link
from p2psync.swarm.offer import Offer, announce_delay_s
from p2psync.swarm.tasks import Written
from p2psync.wire.messages import Feature, Have, HeadOffer

TELL_COMPLETE_S = 2.0
"""Peers that have everything hear so rarely what we hold: for people to see how far we are."""


class Announcing:
    """What a swarm offers, and who has been told.

    Args:
        links: The live links, as they are at any moment.

    Attributes:
        offer: Our newest manifest and what we hold of it.
    """

    def __init__(self, links: ValuesView[Link]) -> None:
        self.offer = Offer()
        self._links = links
        self._to_announce = trio.Event()
        self._told_complete_at = -TELL_COMPLETE_S

    @property
    def is_wanted(self) -> bool:
        """Whether a linked peer lacks something of our manifest."""
        return any(self.offer.root not in link.holdings.complete for link in self._links)

    def publish(self, offer: Offer) -> None:
        """Offer another manifest from now on."""
        self.offer = offer
        for link in self._links:
            self.introduce(link)

    def introduce(self, link: Link) -> None:
        """Tell one peer everything."""
        if self.offer.head and (not self.offer.provisional or Feature.PROVISIONAL in link.hello.features):
            link.send(HeadOffer(self.offer.head))
            for have in self.offer.everything():
                link.send(have)

    def hold(self, root: BlockId, holdings: Mapping[BlockId, PageHolding]) -> None:
        """More pages are known; without effect if another manifest was published since."""
        if root == self.offer.root:
            self.offer.hold(holdings)
            self._to_announce.set()

    def complete(self, root: BlockId) -> None:
        """Everything is held now; without effect if another manifest was published since."""
        if root == self.offer.root and not self.offer.complete:
            self.offer.complete = True
            for link in self._links:
                link.send(Have(complete=[root]))

    def written(self, written: Written) -> None:
        """A block is held now."""
        if written.job.root == self.offer.root:
            self.offer.add(written.page, written.position)
            self._to_announce.set()

    async def run(self) -> None:
        """Tell peers that lack something, until cancelled."""
        while True:
            self._to_announce = trio.Event()
            await self._to_announce.wait()
            await trio.sleep(announce_delay_s(len(self._links)))
            haves = list(self.offer.changes())
            for link in self._links:
                if self.offer.root not in link.holdings.complete:
                    for have in haves:
                        link.send(have)

    def tick(self, now: float) -> None:
        """Tell peers that lack nothing, from time to time."""
        if now - self._told_complete_at < TELL_COMPLETE_S:
            return
        self._told_complete_at = now
        haves = list(self.offer.changes_for_complete())
        for link in self._links:
            if self.offer.root in link.holdings.complete:
                for have in haves:
                    link.send(have)
