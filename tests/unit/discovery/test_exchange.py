import random

import pytest

from p2psync.discovery.exchange import BURST, FASTEST_S, MAX_TOLD, TELL_INTERVAL_S, PeerExchange
from p2psync.errors import RemoteProtocolError
from p2psync.ids import PeerAddress
from p2psync.wire.limits import PEERS_PER_MESSAGE

A, B, C = (PeerAddress(f"10.0.0.{n}", 4000) for n in (1, 2, 3))


def address(number):
    return PeerAddress(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 4000)


def exchange(*, host="10.0.0.1", reads=True):
    made = PeerExchange(random.Random(0))
    made.link_up(1, host, reads=reads, now=100.0)
    return made


def test_a_newcomer_is_told_at_once_of_all_but_itself():
    assert sorted(exchange().news(1, [A, B, C], A, 100.0)) == [B, C]


def test_not_everybody_is_told_in_the_same_order():
    others = [PeerAddress(f"10.0.1.{number}", 1) for number in range(20)]
    made = exchange()
    made.link_up(2, "10.0.0.2", reads=True, now=100.0)
    assert made.news(1, others, None, 100.0) != made.news(2, others, None, 100.0)


def test_nobody_is_told_twice_of_the_same_or_too_soon():
    made = exchange()
    assert made.news(1, [A, B], A, 100.0) == [B]
    assert made.news(1, [A, B, C], A, 100.0 + TELL_INTERVAL_S - 0.1) == []
    assert made.news(1, [A, B, C], A, 100.0 + TELL_INTERVAL_S) == [C]


def test_silence_costs_no_time():
    made = exchange()
    assert made.news(1, [A], A, 100.0) == []
    assert made.news(1, [A, B], A, 100.1) == [B]


def test_who_does_not_read_it_is_not_told():
    assert exchange(reads=False).news(1, [A, B], A, 100.0) == []


@pytest.mark.parametrize(
    ("host", "told"), [("10.0.0.1", "10.0.0.2"), ("93.184.216.34", "8.8.8.8"), ("127.0.0.1", "127.0.0.1")]
)
def test_what_is_of_use_is_told(host, told):
    assert exchange(host=host).news(1, [PeerAddress(told, 7)], A, 100.0)


@pytest.mark.parametrize(
    ("host", "told"), [("10.0.0.1", "127.0.0.1"), ("93.184.216.34", "10.0.0.2"), ("10.0.0.1", "nas.example")]
)
def test_what_is_of_no_use_is_neither_told_nor_believed(host, told):
    assert exchange(host=host).news(1, [PeerAddress(told, 7)], A, 100.0) == []
    assert exchange(host=host).heard(1, [PeerAddress(told, 7)], 100.0) == []


def test_of_many_some_are_told_and_other_links_hear_of_others():
    many = [address(n) for n in range(1, 500)]
    made = exchange()
    made.link_up(2, "10.0.0.9", reads=True, now=100.0)
    one, other = made.news(1, many, A, 100.0), made.news(2, many, A, 100.0)
    assert len(one) == len(set(one)) == PEERS_PER_MESSAGE
    assert set(one) != set(other)


def test_what_was_told_is_not_remembered_for_ever():
    made, now = exchange(), 100.0
    for start in range(1, MAX_TOLD + 200, PEERS_PER_MESSAGE):
        made.news(1, [address(n) for n in range(start, start + PEERS_PER_MESSAGE)], A, now)
        now += TELL_INTERVAL_S
    assert len(made._links[1].told) == MAX_TOLD


def test_who_tells_as_often_as_we_do_may_go_on():
    made = exchange()
    for turn in range(100):
        made.heard(1, [B], 100.0 + turn * TELL_INTERVAL_S)


def test_who_tells_too_often_breaks_the_protocol():
    made = exchange()
    for _ in range(BURST):
        made.heard(1, [B], 100.0)
    with pytest.raises(RemoteProtocolError):
        made.heard(1, [B], 100.0 + FASTEST_S / 2)


def test_each_address_of_a_message_counts_once():
    assert exchange().heard(1, [B, B, C, B], 100.0) == [B, C]
