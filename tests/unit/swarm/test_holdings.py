"""What a peer is believed to hold."""

import pytest

from p2psync.errors import RemoteProtocolError
from p2psync.swarm.holdings import Holdings
from p2psync.wire import limits
from p2psync.wire.messages import Have

PAGE, OTHER, ROOT = b"p" * 32, b"o" * 32, b"r" * 32


def test_the_first_block_of_a_page_is_the_highest_bit():
    holdings = Holdings()
    holdings.hear(Have(partial=[(PAGE, b"\x80\x01")]))
    assert [at for at in range(20) if holdings.holds(PAGE, at)] == [0, 15]


def test_bits_add_up():
    holdings = Holdings()
    assert holdings.hear(Have(partial=[(PAGE, b"\xc0")])) == {PAGE: b"\xc0"}
    assert holdings.hear(Have(partial=[(PAGE, b"\x70")])) == {PAGE: b"\x30"}
    assert holdings.holds_all(PAGE, [0, 1, 2, 3])
    assert not holdings.holds_all(PAGE, [3, 4])


def test_a_whole_page_needs_no_bits():
    holdings = Holdings()
    holdings.hear(Have(partial=[(PAGE, b"\xc0")]))
    assert holdings.hear(Have(whole=[PAGE])) == {PAGE: None}
    assert holdings.hear(Have(partial=[(PAGE, b"\xc0")])) == {PAGE: b""}
    assert holdings.holds_all(PAGE, [12345])
    assert holdings.pages == 1


def test_what_is_gone_is_void_and_what_comes_with_it_counts():
    holdings = Holdings()
    holdings.hear(Have(complete=[ROOT], whole=[PAGE], partial=[(OTHER, b"\xff")]))
    holdings.hear(Have(gone=[ROOT, PAGE, OTHER], partial=[(OTHER, b"\x80")]))
    assert not holdings.complete
    assert not holdings.knows(PAGE)
    assert [at for at in range(8) if holdings.holds(OTHER, at)] == [0]


def test_a_new_head_voids_everything():
    holdings = Holdings()
    holdings.hear(Have(complete=[ROOT], whole=[PAGE], partial=[(OTHER, b"\xff")]))
    holdings.offer(b"n" * 32)
    assert (holdings.root, holdings.complete, holdings.pages) == (b"n" * 32, set(), 0)


def test_a_page_whose_number_of_blocks_changes_is_refused():
    holdings = Holdings()
    holdings.hear(Have(partial=[(PAGE, b"\x80")]))
    with pytest.raises(RemoteProtocolError, match="number of blocks"):
        holdings.hear(Have(partial=[(PAGE, b"\x80\x00")]))


def test_more_pages_than_a_peer_may_announce_are_refused():
    holdings = Holdings()
    ids = [n.to_bytes(32, "big") for n in range(limits.MAX_ANNOUNCED_PAGES + 1)]
    holdings.hear(Have(whole=ids[:-1]))
    with pytest.raises(RemoteProtocolError, match="pages announced"):
        holdings.hear(Have(whole=[ids[-1]]))


def test_more_complete_manifests_than_a_peer_may_announce_are_refused():
    holdings = Holdings()
    roots = [n.to_bytes(32, "big") for n in range(limits.MAX_COMPLETE_ROOTS + 1)]
    holdings.hear(Have(complete=roots[1:]))
    with pytest.raises(RemoteProtocolError, match="complete manifests"):
        holdings.hear(Have(complete=roots[:1]))


def test_more_bits_than_a_peer_may_announce_are_refused_and_withdrawn_ones_do_not_count():
    holdings = Holdings()
    half = bytes(limits.MAX_ANNOUNCED_BITS_BYTES // 2)
    for _ in range(3):
        holdings.hear(Have(partial=[(PAGE, half)]))
        holdings.hear(Have(gone=[PAGE]))
    holdings.hear(Have(partial=[(PAGE, half), (OTHER, half)]))
    holdings.offer(ROOT)
    holdings.hear(Have(partial=[(PAGE, half), (OTHER, half)]))
    with pytest.raises(RemoteProtocolError, match="bits announced"):
        holdings.hear(Have(partial=[(ROOT, b"\x80")]))


def test_only_what_takes_something_back_or_completes_a_root_upsets():
    holdings = Holdings()
    holdings.hear(Have(complete=[ROOT], whole=[PAGE], partial=[(OTHER, b"\x80")]))
    assert not holdings.is_upset_by(Have(complete=[ROOT], whole=[OTHER], gone=[b"?" * 32]))
    for upsetting in (Have(complete=[OTHER]), Have(gone=[ROOT]), Have(gone=[PAGE]), Have(gone=[b"?" * 32, OTHER])):
        assert holdings.is_upset_by(upsetting)
