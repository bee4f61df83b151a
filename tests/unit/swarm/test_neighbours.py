"""How many links a host looks for, takes in and gives up."""

import random
from dataclasses import dataclass, field

import pytest

from p2psync.ids import BlockId
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.neighbours import (
    IDLE_S,
    KEPT_LINKS,
    MESH_PEERS,
    SPARE_LINKS,
    TRIAL_S,
    WANTED_LINKS,
    Neighbours,
)
from p2psync.wire.limits import MAX_LINKS

ROOT = BlockId(b"r" * 32)
MANY = 1000
LATER = TRIAL_S + 1


@dataclass
class Linked:
    number: int
    holdings: Holdings = field(default_factory=Holdings)
    payload_bytes: int = 0
    uploaded_bytes: int = 0


def seed(number: int) -> Linked:
    linked = Linked(number)
    linked.holdings.complete.add(ROOT)
    return linked


def linked_with(links: list[Linked]) -> Neighbours:
    neighbours = Neighbours(random.Random(0))
    for link in links:
        neighbours.link_up(link.number, 0.0)
    return neighbours


def given_up(links: list[Linked], now: float = LATER, *, complete: bool = False, known: int = MANY) -> set[int | None]:
    """Return what may be given up: chance is tried often."""
    chosen: set[int | None] = set()
    for chance in range(200):
        neighbours = Neighbours(random.Random(chance))
        for link in links:
            neighbours.link_up(link.number, 0.0)
        chosen.add(neighbours.tick(links, ROOT, now, complete=complete, known=known))
    return chosen


def test_in_a_small_swarm_everybody_is_dialled_and_taken_in_and_nobody_given_up():
    links = [Linked(number) for number in range(MESH_PEERS - 1)]
    neighbours = linked_with(links)
    assert neighbours.room_to_dial(16, MESH_PEERS) > 0
    assert not neighbours.is_full(MESH_PEERS, complete=False)
    assert given_up(links, known=MESH_PEERS) == {None}


@pytest.mark.parametrize(
    ("links", "under_way", "room"),
    [
        (0, 0, WANTED_LINKS // 2),
        (0, 3, WANTED_LINKS // 2 - 3),
        (0, WANTED_LINKS, 0),
        (WANTED_LINKS - 1, 0, 1),
        (WANTED_LINKS, 0, 0),
        (KEPT_LINKS, 0, 0),
    ],
)
def test_in_a_large_swarm_half_of_what_is_lacking_is_dialled_at_a_time(links, under_way, room):
    neighbours = linked_with([Linked(number) for number in range(links)])
    assert neighbours.room_to_dial(under_way, MANY) == room


def test_a_host_that_lacks_something_is_full_when_it_has_links_enough_and_a_seed_takes_in_more():
    links = [Linked(number) for number in range(KEPT_LINKS + SPARE_LINKS)]
    neighbours = linked_with(links)
    assert neighbours.is_full(MANY, complete=False)
    assert not linked_with(links[1:]).is_full(MANY, complete=False)
    assert not neighbours.is_full(MANY, complete=True)
    assert linked_with([Linked(number) for number in range(MAX_LINKS)]).is_full(1, complete=True)


def test_nothing_is_given_up_while_there_are_not_too_many_links():
    assert given_up([Linked(number) for number in range(KEPT_LINKS)]) == {None}


def test_of_too_many_links_any_that_had_its_time_is_given_up():
    links = [Linked(number) for number in range(KEPT_LINKS + 1)]
    assert given_up(links) == set(range(KEPT_LINKS + 1))
    assert given_up(links, TRIAL_S / 2) == {None}


def test_the_only_seed_is_kept_and_one_of_several_is_not():
    links = [Linked(number) for number in range(KEPT_LINKS)]
    assert KEPT_LINKS not in given_up([*links, seed(KEPT_LINKS)])
    assert KEPT_LINKS in given_up([*links, seed(KEPT_LINKS), seed(KEPT_LINKS + 1)])


def test_links_over_which_nothing_moves_are_given_up_first():
    links = [Linked(number, payload_bytes=number) for number in range(KEPT_LINKS + 1)]
    neighbours = linked_with(links)
    neighbours.tick(links, ROOT, IDLE_S, complete=False, known=MANY)  # all but the first have moved something by now
    assert neighbours.tick(links, ROOT, IDLE_S + 1, complete=False, known=MANY) == 0


def test_who_has_everything_gives_up_only_links_with_others_that_have():
    links = [Linked(number) for number in range(KEPT_LINKS + 1)]
    assert given_up(links, complete=True) == {None}
    assert given_up([*links, seed(20), seed(21)], complete=True) == {20, 21}


def test_where_links_are_of_no_use_another_is_looked_for_one_at_a_time():
    links = [Linked(number) for number in range(WANTED_LINKS)]
    neighbours = linked_with(links)
    neighbours.tick(links, ROOT, IDLE_S - 1, complete=False, known=MANY)
    assert neighbours.room_to_dial(0, MANY) == 0
    neighbours.tick(links, ROOT, IDLE_S + 1, complete=False, known=MANY)
    assert [neighbours.room_to_dial(under_way, MANY) for under_way in (0, 1)] == [1, 0]
    neighbours.link_up(100, IDLE_S + 1)
    assert neighbours.room_to_dial(0, MANY) == 0
    neighbours.tick([*links, Linked(100)], ROOT, IDLE_S + 2, complete=False, known=MANY)
    assert neighbours.room_to_dial(0, MANY) == 0


def test_who_has_everything_looks_for_nobody_in_place_of_who_is_silent():
    links = [seed(number) for number in range(WANTED_LINKS)]
    neighbours = linked_with(links)
    neighbours.tick(links, ROOT, 10 * IDLE_S, complete=True, known=MANY)
    assert neighbours.room_to_dial(0, MANY) == 0
