"""When which address is dialled."""

import random

import pytest

from p2psync.ids import PeerAddress
from p2psync.swarm.peers import (
    BUSY_RETRY_S,
    CLOSE_PEERS,
    CLOSE_RETRY_S,
    FIRST_RETRY_S,
    HEARSAY_TRIES,
    JITTER,
    LONGEST_RETRY_S,
    MAX_ADDRESSES,
    MAX_BANS,
    MAX_HEARSAY,
    MAX_RETRY_S,
    MET_OF_A_PARTY,
    MOST_TRIES,
    PATIENT_TRIES,
    RESERVED_DIALS,
    STEADY_S,
    Origin,
    PeerBook,
)

HERE, THERE = PeerAddress("here", 1), PeerAddress("there", 2)
DEVICE = b"d" * 32


def book(*addresses: PeerAddress) -> PeerBook:
    made = PeerBook(random.Random(0))
    made.add(addresses, 0.0)
    return made


def wait_after_failure(peers: PeerBook, now: float) -> float:
    peers.failed(HERE, "no", now)
    return dict(peers.records())[HERE].next_try - now


def test_a_new_address_is_due_at_once():
    assert book(HERE, THERE).due(0.0, []) == [HERE, THERE]


def test_an_address_that_is_being_dialled_is_not_due():
    peers = book(HERE)
    peers.dialling(HERE)
    assert peers.due(1e9, []) == []
    peers.failed(HERE, "no", 0.0)
    assert peers.due(1e9, []) == [HERE]


def test_every_other_dial_is_to_whoever_has_been_due_for_longest():
    first, second, last = [PeerAddress("x", number) for number in range(1, 4)]
    peers = book(first, second, last)
    fail_often(peers, first, 1)
    fail_often(peers, second, 1)
    assert peers.due(100.0, [])[0] == first
    peers.dialling(first)
    assert peers.due(100.0, [])[0] == last


def fail_often(peers: PeerBook, address: PeerAddress, times: int) -> None:
    for _ in range(times):
        peers.failed(address, "no", 0.0)


def meet_others(peers: PeerBook, count: int) -> None:
    for number in range(1, count + 1):
        address = PeerAddress(f"other {number}", 1)
        peers.add([address], 0.0)
        peers.linked(address, b"%032d" % number)


def is_steady(waits: list[float], bound: float) -> bool:
    return len(set(waits)) == len(waits) and all(bound * (1 - JITTER) <= wait <= bound * (1 + JITTER) for wait in waits)


def test_waits_for_what_the_user_named_grow_from_half_a_second_to_a_bound_for_ever():
    peers = book(HERE)
    peers.add([HERE], 0.0, Origin.USER)
    peers.add([HERE], 0.0)  # a tracker names it as well
    waits = [wait_after_failure(peers, 100.0) for _ in range(2000)]
    assert waits[0] <= FIRST_RETRY_S * (1 + JITTER)
    assert is_steady(waits[6:], MAX_RETRY_S)


def test_an_address_that_never_worked_is_tried_ever_less_often_and_then_forgotten():
    peers = book(HERE)
    waits = [wait_after_failure(peers, 100.0) for _ in range(MOST_TRIES - 1)]
    assert is_steady(waits[11:], LONGEST_RETRY_S)
    peers.failed(HERE, "no", 0.0)
    assert list(peers.records()) == []


def test_whoever_was_met_is_looked_for_much_at_first_and_for_ever():
    peers = book(HERE)
    peers.linked(HERE, DEVICE)
    waits = [wait_after_failure(peers, 100.0) for _ in range(2 * MOST_TRIES)]
    assert is_steady(waits[6:PATIENT_TRIES], MAX_RETRY_S)
    assert is_steady(waits[PATIENT_TRIES:], CLOSE_RETRY_S)


def test_whoever_was_met_before_many_others_is_looked_for_much_at_first_and_then_forgotten():
    peers = book(HERE)
    peers.linked(HERE, DEVICE)
    meet_others(peers, CLOSE_PEERS)
    waits = [wait_after_failure(peers, 100.0) for _ in range(MOST_TRIES - 1)]
    assert is_steady(waits[6:PATIENT_TRIES], MAX_RETRY_S)
    assert is_steady(waits[PATIENT_TRIES:], LONGEST_RETRY_S)
    peers.failed(HERE, "no", 0.0)
    assert HERE not in dict(peers.records())


def test_one_host_displaces_not_all_who_were_met():
    peers = book(HERE)
    peers.linked(HERE, DEVICE)
    for port in range(1, 2 * CLOSE_PEERS):
        peers.add([PeerAddress("hostile", port)], 0.0)
        peers.linked(PeerAddress("hostile", port), DEVICE)
    fail_often(peers, HERE, MOST_TRIES)
    assert HERE in dict(peers.records())


def test_of_one_host_the_latest_count_as_met():
    peers = book()
    addresses = [PeerAddress("host", port) for port in range(1, MET_OF_A_PARTY + 2)]
    for address in addresses:
        peers.add([address], 0.0)
        peers.linked(address, DEVICE)
    assert [address for address, record in peers.records() if record.met is None] == addresses[:1]


def test_those_saved_were_met_the_first_last_and_before_all_who_are_met_now():
    saved = [PeerAddress("saved", number) for number in range(1, CLOSE_PEERS + 2)]
    peers = book()
    peers.add(saved, 0.0, Origin.SAVED)
    for address in saved:
        fail_often(peers, address, PATIENT_TRIES)
    assert len(peers) == len(saved)
    for address in saved:
        fail_often(peers, address, MOST_TRIES)
    assert [address for address, _ in peers.records()] == saved[:-1]
    meet_others(peers, 1)
    for address in saved[:-1]:
        fail_often(peers, address, 1)
    assert saved[-2] not in dict(peers.records())
    assert saved[0] in dict(peers.records())


def test_a_source_that_names_an_address_anew_ends_its_longest_wait():
    peers = book(HERE)
    fail_often(peers, HERE, MOST_TRIES - 1)
    assert peers.due(MAX_RETRY_S, []) == []
    peers.add([HERE], 0.0)
    assert peers.due(MAX_RETRY_S, []) == [HERE]


def test_a_good_link_that_the_other_side_dialled_is_a_new_history_too():
    peers = book(HERE)
    peers.linked(HERE, DEVICE)
    fail_often(peers, HERE, 2 * PATIENT_TRIES)
    peers.parted(HERE, lived_s=STEADY_S / 2)
    assert wait_after_failure(peers, 0.0) > MAX_RETRY_S * (1 + JITTER)
    peers.parted(HERE, lived_s=STEADY_S)
    assert wait_after_failure(peers, 0.0) <= FIRST_RETRY_S * (1 + JITTER)


def test_an_address_learnt_again_keeps_its_history():
    peers = book(HERE)
    peers.failed(HERE, "no", 0.0)
    peers.add([HERE], 0.0)
    assert peers.due(0.0, []) == []


def test_an_address_whose_device_is_linked_is_left_alone_until_the_link_ends():
    peers = book(HERE)
    peers.linked(HERE, DEVICE)
    assert peers.due(1.0, [DEVICE]) == []
    assert peers.due(1.0, []) == [HERE]


def test_after_a_good_link_the_first_retry_is_quick():
    peers = book(HERE)
    for _ in range(10):
        peers.failed(HERE, "no", 0.0)
    peers.ended(HERE, "gone", lived_s=STEADY_S, now=100.0)
    assert peers.due(101.0, []) == [HERE]


def test_links_that_end_early_are_retried_later_and_later():
    peers = book(HERE)
    for _ in range(10):
        peers.ended(HERE, "gone", lived_s=1.0, now=0.0)
    assert peers.due(MAX_RETRY_S * (1 - JITTER) - 0.1, []) == []


def test_who_has_links_enough_is_put_off_and_not_doubted():
    peers = book(HERE)
    fail_often(peers, HERE, HEARSAY_TRIES)
    peers.put_off(HERE, 0.0)
    peers.add([HERE], 0.0)
    assert peers.due(BUSY_RETRY_S * (1 - JITTER) - 0.1, []) == []
    assert peers.due(BUSY_RETRY_S * (1 + JITTER), []) == [HERE]
    assert peers.count_living() == 1


def test_addresses_that_fail_again_and_again_do_not_count_as_peers():
    peers = book(HERE, THERE)
    for _ in range(HEARSAY_TRIES):
        assert peers.count_living() == 2
        peers.failed(HERE, "no", 0.0)
    assert peers.count_living() == 1
    peers.dialling(HERE)
    assert peers.count_living() == 2


def test_a_banned_address_does_not_come_back():
    peers = book(HERE)
    peers.ban(DEVICE, HERE, "it lies")
    peers.add([HERE], 1.0)
    assert peers.due(1e9, []) == []
    assert peers.is_banned(DEVICE)
    assert peers.bans == {DEVICE: "it lies"}


def test_the_latest_bans_are_remembered():
    peers = book()
    for number in range(MAX_BANS + 1):
        peers.ban(b"%032d" % number, PeerAddress("here", number + 1), "it lies")
    assert len(peers.bans) == MAX_BANS
    assert not peers.is_banned(b"%032d" % 0)
    peers.add([PeerAddress("here", 1), PeerAddress("here", 2)], 1.0)
    assert peers.due(1e9, []) == [PeerAddress("here", 1)]


def test_our_own_address_does_not_come_back():
    peers = book(HERE)
    peers.forget(HERE)
    peers.add([HERE], 1.0)
    assert peers.due(1e9, []) == []


def test_addresses_beyond_the_limit_are_ignored():
    peers = book(*(PeerAddress("x", n) for n in range(1, MAX_ADDRESSES + 10)))
    assert len(list(peers.records())) == MAX_ADDRESSES


def test_the_first_of_every_list_are_dialled_first():
    peers = book(*(PeerAddress("x", n) for n in range(1, 100)))
    peers.add([HERE, THERE], 1.0)
    assert set(peers.due(1.0, [])[:4]) == {PeerAddress("x", 1), PeerAddress("x", 2), HERE, THERE}


@pytest.mark.parametrize("host", ["hostile", "2a00:1:2:3::{:x}"])
def test_who_names_one_address_of_its_own_after_another_hides_nobody(host):
    peers = book()
    for number in range(1, MAX_ADDRESSES + 1):
        address = PeerAddress(host.format(number), number)
        peers.add([address], 0.0)
        peers.linked(address, DEVICE)
    peers.add([HERE, THERE], 1.0)
    assert set(peers.due(1.0, [])[:6]) >= {HERE, THERE}
    assert {HERE, THERE} <= dict(peers.records()).keys()
    assert len(peers) == MAX_ADDRESSES


def test_the_end_of_a_long_list_makes_room_for_another():
    peers = book(*(PeerAddress("x", n) for n in range(1, 10 * MAX_ADDRESSES)))
    peers.add([HERE, THERE], 1.0)
    known = [address for address, _ in peers.records()]
    assert len(known) == MAX_ADDRESSES
    assert {HERE, THERE, PeerAddress("x", 1)} <= set(known)
    assert PeerAddress("x", MAX_ADDRESSES) not in known


def test_whoever_was_found_does_not_make_room():
    peers = book(*(PeerAddress("x", n) for n in range(1, MAX_ADDRESSES + 1)))
    last, dialled = PeerAddress("x", MAX_ADDRESSES), PeerAddress("x", MAX_ADDRESSES - 1)
    peers.linked(last, DEVICE)
    peers.dialling(dialled)
    peers.add([PeerAddress("y", n) for n in range(1, MAX_ADDRESSES + 1)], 1.0)
    assert {last, dialled} <= {address for address, _ in peers.records()}


LIAR, HONEST = b"l" * 32, b"h" * 32


def hearsay(count, start=0):
    return [PeerAddress(f"dead {number}", 1) for number in range(start, start + count)]


def test_what_peers_tell_is_dialled_after_all_else():
    peers = book()
    peers.add_hearsay([THERE], HONEST, 0.0)
    peers.add([HERE], 0.0)
    assert peers.due(0.0, []) == [HERE, THERE]


def test_hearsay_never_fills_the_dials_that_are_reserved():
    peers = book()
    peers.add_hearsay(hearsay(100), LIAR, 0.0)
    assert len(peers.due(0.0, [], room=16)) == 16 - RESERVED_DIALS
    assert peers.due(0.0, [], room=RESERVED_DIALS) == []
    peers.add([HERE], 0.0)
    assert peers.due(0.0, [], room=RESERVED_DIALS) == [HERE]


def test_one_peer_is_believed_so_many_addresses_only():
    peers = book()
    for start in range(0, 10 * MAX_HEARSAY, 50):
        peers.add_hearsay(hearsay(50, start), LIAR, 0.0)
    assert len(list(peers.records())) == MAX_HEARSAY
    peers.add_hearsay([HERE], HONEST, 0.0)
    assert HERE in dict(peers.records())


def test_hearsay_that_does_not_work_is_forgotten_and_may_be_told_again():
    peers = book()
    peers.add_hearsay([HERE], LIAR, 0.0)
    for _ in range(HEARSAY_TRIES):
        assert HERE in dict(peers.records())
        peers.failed(HERE, "no", 0.0)
    assert list(peers.records()) == []
    peers.add_hearsay([HERE], HONEST, 0.0)
    assert peers.due(0.0, []) == [HERE]


def test_hearsay_that_worked_once_is_kept_as_any_other():
    peers = book()
    peers.add_hearsay([HERE], HONEST, 0.0)
    peers.linked(HERE, DEVICE)
    for _ in range(2 * HEARSAY_TRIES):
        peers.failed(HERE, "no", 0.0)
    assert HERE in dict(peers.records())


def test_what_others_name_too_is_no_hearsay():
    peers = book()
    peers.add_hearsay([HERE], LIAR, 0.0)
    peers.add([HERE], 0.0)
    for _ in range(2 * HEARSAY_TRIES):
        peers.failed(HERE, "no", 0.0)
    assert HERE in dict(peers.records())


def test_hearsay_changes_nothing_about_what_is_known_or_banned():
    peers = book(HERE)
    peers.ban(DEVICE, THERE, "lies")
    peers.add_hearsay([HERE, THERE], LIAR, 0.0)
    assert [(address, record.told_by) for address, record in peers.records()] == [(HERE, None)]


def test_hearsay_makes_room_first():
    peers = book()
    for number in range(MAX_ADDRESSES // MAX_HEARSAY):
        peers.add_hearsay(hearsay(MAX_HEARSAY, number * MAX_HEARSAY), bytes([number]) * 32, 0.0)
    named = [PeerAddress(f"named {number}", 1) for number in range(500)]
    peers.add(named, 0.0)
    assert len(list(peers.records())) == MAX_ADDRESSES
    assert set(named) <= dict(peers.records()).keys()
