"""What we tell others that we hold."""

from p2psync.blocks.need import PageHolding
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.offer import HAVE_BYTES, Offer
from p2psync.wire.buffers import BufferPool
from p2psync.wire.connection import Connection
from p2psync.wire.messages import Have, Hello

ROOT, PAGE, OTHER = b"r" * 32, b"p" * 32, b"o" * 32


def offer(**pages: PageHolding) -> Offer:
    made = Offer(b"head", ROOT)
    made.hold({name.encode() * 32: holding for name, holding in pages.items()})
    list(made.changes())
    return made


def test_a_complete_manifest_is_said_in_one_id():
    assert list(Offer(b"head", ROOT, complete=True).everything()) == [Have(complete=[ROOT])]


def test_pages_of_which_nothing_is_held_are_not_mentioned():
    assert list(offer(p=PageHolding(9, b"\0\0")).everything()) == []


def test_a_block_that_was_fetched_is_told_once():
    made = offer(p=PageHolding(9, b"\0\0"))
    made.add(PAGE, 8)
    made.add(PAGE, 8)
    assert list(made.changes()) == [Have(whole=[], partial=[(PAGE, b"\x00\x80")])]
    assert list(made.changes()) == []


def test_the_last_block_makes_a_page_whole():
    made = offer(p=PageHolding(2, b"\x80"))
    made.add(PAGE, 1)
    assert list(made.changes()) == [Have(whole=[PAGE], partial=[])]


def test_blocks_of_pages_that_nobody_told_of_are_not_announced():
    made = offer()
    made.add(PAGE, 0)
    assert list(made.changes()) == []


def test_what_turns_out_to_be_held_adds_to_what_was_fetched():
    made = offer(p=PageHolding(4, b"\0"))
    made.add(PAGE, 0)
    made.hold({PAGE: PageHolding(4, b"\x70")})
    assert list(made.changes()) == [Have(whole=[PAGE], partial=[])]


def test_a_long_statement_is_cut_into_messages_within_the_limit_and_nothing_is_lost():
    made = Offer(b"head", ROOT)
    pages = {n.to_bytes(32, "big"): PageHolding(80_000, b"\xff" * 9_999 + b"\x00") for n in range(100)}
    made.hold(pages)
    haves, heard = list(made.everything()), Holdings()
    connection = Connection(accepting=True, buffers=BufferPool())
    connection.send(Hello())
    for have in haves:
        heard.hear(have)
        assert sum(map(len, connection.send(have))) < HAVE_BYTES * 1.1
    assert len(haves) > 3
    assert all(sum(heard.holds(page, at) for at in range(80_000)) == 79_992 for page in pages)
