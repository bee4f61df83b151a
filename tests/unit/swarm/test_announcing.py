"""What is held is told, of the manifest that is offered and no other, and not too often to who needs nothing."""

from p2psync.blocks.need import PageHolding
from p2psync.ids import BlockId
from p2psync.swarm.announcing import TELL_COMPLETE_S, Announcing
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.offer import Offer

BEFORE, NOW, PAGE = BlockId(b"b" * 32), BlockId(b"n" * 32), BlockId(b"p" * 32)


def test_only_the_manifest_that_is_offered_is_completed():
    announcing = Announcing({}.values())
    announcing.publish(Offer(b"head", NOW))
    announcing.complete(BEFORE)
    assert not announcing.offer.complete
    announcing.complete(NOW)
    assert announcing.offer.complete


def test_only_of_the_manifest_that_is_offered_more_is_held():
    announcing = Announcing({}.values())
    announcing.publish(Offer(b"head", NOW))
    announcing.hold(BEFORE, {PAGE: PageHolding(8, b"\xff")})
    assert list(announcing.offer.everything()) == []
    announcing.hold(NOW, {PAGE: PageHolding(8, b"\xff")})
    assert [have.whole for have in announcing.offer.everything()] == [[PAGE]]


class Complete:
    """A link to a peer that has everything."""

    def __init__(self):
        self.holdings = Holdings()
        self.holdings.complete.add(NOW)
        self.heard = []

    def send(self, message):
        self.heard.append(message)


def test_who_has_everything_is_told_of_what_is_held_now_and_then():
    link = Complete()
    announcing = Announcing({1: link}.values())
    announcing.offer = Offer(b"head", NOW)
    told = []
    for step in range(8):
        announcing.hold(NOW, {PAGE: PageHolding(8, bytes([0x80 >> step]))})
        announcing.tick(step * TELL_COMPLETE_S / 4)
        told.append(len(link.heard))
    assert told == [1, 1, 1, 1, 2, 2, 2, 2]
