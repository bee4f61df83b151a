"""Tells linked peers of each other, and the address book of what they tell."""

import random
from collections.abc import Iterable, Sequence

from p2psync.discovery.exchange import PeerExchange
from p2psync.ids import PeerAddress
from p2psync.swarm.link import Link
from p2psync.swarm.peers import PeerBook
from p2psync.wire.messages import Feature, Peers


class Acquaintances:
    """Peer exchange over a swarm's links."""

    def __init__(self, book: PeerBook, rng: random.Random) -> None:
        self._book = book
        self._exchange = PeerExchange(rng)

    def link_up(self, link: Link, now: float) -> None:
        """A link is up."""
        reads = Feature.PEERS in link.hello.features
        self._exchange.link_up(link.number, link.host, reads=reads, now=now)

    def link_down(self, link: Link) -> None:
        """A link is down."""
        self._exchange.link_down(link.number)

    def tell(self, links: Iterable[Link], now: float) -> None:
        """Tell every peer that is due of those it has not been told of."""
        links = list(links)
        addresses = {link.number: _seen_at(link) for link in links}
        linked = [address for address in addresses.values() if address is not None]
        for link in links:
            if news := self._exchange.news(link.number, linked, addresses[link.number], now):
                link.send(Peers(news))

    def parting_words(self, link: Link, links: Iterable[Link], now: float) -> list[Peers]:
        """Return what to tell a peer that finds no room here: where it may find some."""
        self.link_up(link, now)
        linked = [address for address in map(_seen_at, links) if address is not None]
        news = self._exchange.news(link.number, linked, _seen_at(link), now)
        self.link_down(link)
        return [Peers(news)] if news else []

    def heard(self, link: Link, addresses: Sequence[PeerAddress], now: float) -> None:
        """A peer told of others.

        Raises:
            RemoteProtocolError: It does so too often.
        """
        self._book.add_hearsay(self._exchange.heard(link.number, addresses, now), link.device, now)


def _seen_at(link: Link) -> PeerAddress | None:
    """Return where a peer accepts links, its name resolved; what a name means may differ from place to place."""
    return None if link.address is None else PeerAddress(link.host, link.address.port)
