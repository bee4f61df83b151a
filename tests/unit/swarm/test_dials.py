"""How many addresses are dialled at a time."""

import random

from p2psync.ids import PeerAddress
from p2psync.swarm.dials import LONGEST_NAP_S, MAX_DIALS, PROMPT_S, Dials
from p2psync.swarm.peers import RESERVED_DIALS, PeerBook


def dials(count: int, wanted: int, *, hearsay: bool = False) -> Dials:
    book = PeerBook(random.Random(0))
    addresses = [PeerAddress("x", number) for number in range(1, count + 1)]
    if hearsay:
        book.add_hearsay(addresses, b"t" * 32, 0.0)
    else:
        book.add(addresses, 0.0)
    return Dials(book, lambda under_way: wanted - under_way)


def test_so_many_are_dialled_as_links_are_wanted():
    made = dials(100, wanted=5)
    assert len(made.begin(0.0, [])) == 5
    assert made.begin(0.1, []) == []
    assert dials(100, wanted=-1).begin(0.0, []) == []  # there are more than are wanted


def test_when_one_has_led_to_nobody_another_is_dialled():
    made = dials(100, wanted=5)
    made.end(made.begin(0.0, [])[0])
    assert len(made.begin(0.1, [])) == 1


def test_dials_that_take_long_hold_up_no_others_but_are_never_too_many():
    made = dials(100, wanted=5)
    counts = [len(made.begin(step * PROMPT_S, [])) for step in range(5)]
    assert counts == [5, 5, 5, 1, 0]
    assert sum(counts) == MAX_DIALS
    assert made.nap_s(5 * PROMPT_S) == LONGEST_NAP_S


def test_who_waits_for_dials_looks_again_when_they_take_long():
    made = dials(5, wanted=5)
    made.begin(0.0, [])
    assert made.nap_s(0.0) == PROMPT_S
    assert made.nap_s(PROMPT_S) == LONGEST_NAP_S


def test_what_is_due_and_not_dialled_wakes_nobody_and_what_will_be_due_does():
    book = PeerBook(random.Random(0))
    book.add([PeerAddress("linked", 1), PeerAddress("dead", 2)], 0.0)
    book.linked(PeerAddress("linked", 1), b"d" * 32)
    made = Dials(book, lambda under_way: 5)
    assert made.begin(0.0, [b"d" * 32]) == [PeerAddress("dead", 2)]
    made.end(PeerAddress("dead", 2))
    assert made.nap_s(0.0) == LONGEST_NAP_S
    book.failed(PeerAddress("dead", 2), "it does not answer", 0.0)
    assert 0.3 < made.nap_s(0.0) < 0.7


def test_what_peers_told_is_dialled_too_where_few_links_are_wanted_but_never_fills_all_dials():
    made = dials(100, wanted=5, hearsay=True)
    assert [len(made.begin(step * PROMPT_S, [])) for step in range(3)] == [5, MAX_DIALS - RESERVED_DIALS - 5, 0]


def test_dead_addresses_before_a_live_one_in_a_list_do_not_hide_it():
    book = PeerBook(random.Random(0))
    *dead, live = [PeerAddress("x", number) for number in range(1, 102)]
    book.add([*dead, live], 0.0)
    made = Dials(book, lambda under_way: 30)
    now, dialled, under_way = 0.0, set(), []
    while live not in dialled and now < 300:
        ended, under_way = [dial for dial in under_way if dial[0] <= now], [dial for dial in under_way if dial[0] > now]
        for _, address in ended:
            made.end(address)
            book.failed(address, "it does not answer", now)
        begun = made.begin(now, [])
        dialled.update(begun)
        under_way += [(now + 10.0, address) for address in begun]
        now += PROMPT_S
    assert live in dialled
