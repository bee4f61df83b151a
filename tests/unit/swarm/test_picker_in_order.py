"""A job that is to be fetched in order."""

import random

import pytest

from p2psync.blocks.need import Run
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.picker import MISSING_RETRY_S, Picker
from p2psync.swarm.selection import LOOK_AHEAD
from p2psync.swarm.tasks import Job
from p2psync.wire.messages import Have

ROOT, PAGE = b"r" * 32, b"p" * 32
BLOCKS = [bytes([number]) * 32 for number in range(40)]
SIZE = 1000


def picker_of(*peers, in_order=True, seed=1):
    """Return a picker with 40 blocks in runs of four, and peers that hold these of them ('all', or positions)."""
    picker = Picker(random.Random(seed))
    for number, held in enumerate(peers, 1):
        holdings = Holdings()
        holdings.offer(ROOT)
        if held == "all":
            holdings.hear(Have(complete=[ROOT]))
        else:
            bits = sum(0x8000000000 >> position for position in held).to_bytes(5, "big")
            holdings.hear(Have(partial=[(PAGE, bits)]))
        picker.add_peer(number, holdings, deals=True)
        picker.holdings_shrank(number)
    job = Job(ROOT, in_order=in_order)
    picker.begin(job)
    picker.add(job, [Run(PAGE, range(at, at + 4), BLOCKS[at : at + 4], [SIZE] * 4) for at in range(0, 40, 4)])
    return picker


def taken(picker, peer, *, now=0.0, limit=4 * SIZE):
    return [BLOCKS.index(id_) for id_ in picker.take(peer, limit, now)]


def test_runs_are_taken_in_their_order_whoever_asks():
    picker = picker_of("all", "all")
    assert [taken(picker, peer)[0] for peer in (1, 2, 1, 2)] == [0, 4, 8, 12]


def test_where_others_fetch_too_each_takes_another_of_the_first_so_that_they_can_give_to_each_other():
    pickers = [picker_of("all", [], seed=seed) for seed in range(50)]
    orders = [[taken(picker, 1)[0] for _ in range(10)] for picker in pickers]
    assert {order[0] for order in orders} == {*range(0, 4 * LOOK_AHEAD, 4)}
    assert all(sorted(order) == [*range(0, 40, 4)] for order in orders)
    assert max(order.index(0) for order in orders) < LOOK_AHEAD


def test_of_the_first_the_rarest_is_taken():
    held = [at for at in range(4 * LOOK_AHEAD) if at not in range(8, 12)]
    assert taken(picker_of("all", held), 1) == [8, 9, 10, 11]


def test_what_a_peer_does_not_hold_is_not_among_the_first():
    picker = picker_of("all", range(8, 20))
    assert sorted(taken(picker, 2) for _ in range(3)) == [[*range(at, at + 4)] for at in (8, 12, 16)]
    assert taken(picker, 2) == []


def test_nothing_is_left_to_the_order_of_a_seed():
    picker = picker_of("all", [1])
    assert picker.wishes.wish(1, 1000, 0.0) == []
    assert picker_of("all", [1], in_order=False).wishes.wish(1, 1000, 0.0) != []


def test_the_rest_of_a_run_keeps_its_place():
    picker = picker_of("all")
    assert [taken(picker, 1, limit=2 * SIZE) for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]


def test_what_was_owed_by_a_peer_that_is_gone_comes_first_again():
    picker = picker_of("all", "all")
    assert (taken(picker, 1), taken(picker, 2)) == ([0, 1, 2, 3], [4, 5, 6, 7])
    picker.drop_peer(1)
    assert taken(picker, 2) == [0, 1, 2, 3]


def test_what_a_peer_misses_comes_first_again_later():
    picker = picker_of("all")
    taken(picker, 1)
    picker.missing(1, BLOCKS[2], 0.0)
    assert taken(picker, 1) == [4, 5, 6, 7]
    assert taken(picker, 1, now=MISSING_RETRY_S + 1) == [2]


@pytest.mark.parametrize("seed", range(20))
def test_pages_come_before_what_is_in_order(seed):
    picker = picker_of("all", [], seed=seed)
    picker.add_pages(Job(ROOT, pages=True, exhausted=True), [b"x" * 32])
    assert picker.take(1, 1 << 20, 0.0) == [b"x" * 32]
