"""What is left to seeds: whom it is told, what ends it, and what a seed makes of it."""

import random
import weakref

import pytest

from p2psync.blocks.need import Run
from p2psync.ids import BlockId
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.picker import Picker
from p2psync.swarm.takeover import UNMEASURED_PATIENCE_S
from p2psync.swarm.tasks import Job
from p2psync.swarm.uploads import REST_FRAMES, REST_LOOK_S, REST_S, Dealt, WantQueue
from p2psync.wire.messages import Have, Want, WantAny, Wish

ROOT, PAGE = BlockId(b"r" * 32), BlockId(b"p" * 32)
COUNT = 64
IDS = [BlockId(bytes([n]) * 32) for n in range(COUNT)]
SEED, OTHER_SEED, GETTER = 1, 2, 3
MIB = 1 << 20


def holdings_of(*, complete: bool) -> Holdings:
    holdings = Holdings()
    holdings.offer(ROOT)
    holdings.hear(Have(complete=[ROOT]) if complete else Have())
    return holdings


def picker_with(*seeds: int, deals: bool = True, getter: bool = True) -> Picker:
    """Return a picker that wants all blocks and is linked to seeds, and to one who has nothing yet."""
    picker = Picker(random.Random(0))
    for peer in seeds:
        picker.add_peer(peer, holdings_of(complete=True), name=bytes([peer]), deals=deals)
    if getter:
        picker.add_peer(GETTER, holdings_of(complete=False))
    job = Job(ROOT, exhausted=True)
    picker.begin(job)
    for at in range(0, COUNT, 8):
        positions = list(range(at, at + 8))
        picker.add(job, [Run(PAGE, positions, IDS[at : at + 8], [1000] * 8)])
    return picker


def announce(picker: Picker, peer: int, *positions: int) -> dict[int, list[BlockId]]:
    bits = sum(1 << (COUNT - 1 - position) for position in positions)
    holdings = picker._holdings[peer]
    return picker.holdings_grew(peer, holdings.hear(Have(partial=[(PAGE, bits.to_bytes(COUNT // 8, "big"))])))


def test_all_that_only_a_seed_holds_is_wished_for_and_not_asked_for():
    picker = picker_with(SEED)
    assert set(picker.wishes.wish(SEED, 1000, 0.0)) == set(IDS)
    assert picker.take(SEED, MIB, 0.0) == []
    assert picker.in_flight(SEED) == (0, 0)


@pytest.mark.parametrize(("deals", "getter"), [(False, True), (True, False)])
def test_a_seed_that_takes_no_wishes_or_has_no_other_getter_is_asked_as_ever(deals, getter):
    picker = picker_with(SEED, deals=deals, getter=getter)
    assert picker.wishes.wish(SEED, 1000, 0.0) == []
    assert picker.take(SEED, MIB, 0.0)


def test_what_somebody_announces_is_wished_for_no_more_and_asked_of_them():
    picker = picker_with(SEED)
    picker.wishes.wish(SEED, 1000, 0.0)
    assert announce(picker, GETTER, 3, 4, 20) == {SEED: [IDS[3], IDS[4], IDS[20]]}
    asked = picker.take(GETTER, MIB, 0.0) + picker.take(GETTER, MIB, 0.0)
    assert sorted(asked) == [IDS[3], IDS[4], IDS[20]]


def test_once_nothing_is_left_to_wish_for_a_seed_is_asked_for_the_rest():
    picker = picker_with(SEED)
    picker.wishes.wish(SEED, 1000, 0.0)
    announce(picker, GETTER, *range(COUNT - 1))
    assert picker.take(SEED, MIB, 0.0) == []
    assert picker.received(SEED, IDS[COUNT - 1]) == []
    assert picker.take(SEED, MIB, 0.0)


def test_a_wish_that_another_peer_fulfils_is_cancelled():
    picker = picker_with(SEED)
    picker.wishes.wish(SEED, 1000, 0.0)
    assert picker.received(GETTER, IDS[0]) == [SEED]


def test_seeds_are_told_disjoint_wishes_that_all_getters_divide_alike():
    told = []
    for seeds in ((SEED, OTHER_SEED), (OTHER_SEED, SEED)):
        picker = picker_with(*seeds)
        told.append({seed: set(picker.wishes.wish(seed, 1000, 0.0)) for seed in seeds})
    assert told[0] == told[1]
    assert told[0][SEED] | told[0][OTHER_SEED] == set(IDS)
    assert not told[0][SEED] & told[0][OTHER_SEED]
    assert all(told[0].values())


def test_an_idle_seed_takes_over_from_another_but_the_last_one_only_after_a_while():
    picker = picker_with(SEED, OTHER_SEED)
    picker.wishes.wish(SEED, 1000, 0.0)
    mine = picker.wishes.wish(OTHER_SEED, 1000, 0.0)
    for id_ in mine:
        picker.received(OTHER_SEED, id_)
    taken, cancels = picker.wishes.take_over(OTHER_SEED, 0.0)
    assert taken
    assert cancels == {SEED: taken}
    left = set(IDS) - set(mine) - set(taken)
    while len(left) > 8:
        for id_ in taken:
            picker.received(OTHER_SEED, id_)
        taken, _ = picker.wishes.take_over(OTHER_SEED, 0.0)
        left -= set(taken)
    for id_ in taken:
        picker.received(OTHER_SEED, id_)
    assert picker.wishes.take_over(OTHER_SEED, 0.1) == ([], {})
    assert set(picker.wishes.take_over(OTHER_SEED, UNMEASURED_PATIENCE_S)[0]) == left


@pytest.mark.parametrize(("rate", "is_taken"), [(100_000, True), (5_000_000, False)])
def test_the_last_wish_is_taken_over_at_once_from_a_seed_that_sends_slowly(rate, is_taken):
    picker = Picker(random.Random(0))
    for seed in (SEED, OTHER_SEED):
        picker.add_peer(seed, holdings_of(complete=True), name=bytes([seed]), deals=True)
    picker.add_peer(GETTER, holdings_of(complete=False))
    job = Job(ROOT, exhausted=True)
    picker.begin(job)
    picker.add(job, [Run(PAGE, [0], IDS[:1], [100_000])])
    slow, quick = [SEED, OTHER_SEED] if picker.wishes.wish(SEED, 1000, 0.0) else [OTHER_SEED, SEED]
    picker.wishes.wish(slow, 1000, 0.0)
    picker.measured(slow, rate, snubbed=False)
    picker.measured(quick, 1_000_000, snubbed=False)
    assert picker.wishes.take_over(quick, 0.1) == ((IDS[:1], {slow: IDS[:1]}) if is_taken else ([], {}))


def test_a_seed_that_is_dropped_or_snubbed_leaves_its_wishes_to_others():
    picker = picker_with(SEED, OTHER_SEED)
    wished = picker.wishes.wish(SEED, 1000, 0.0)
    assert picker.release(SEED) == wished
    picker.measured(SEED, 0.0, snubbed=True)
    assert picker.wishes.wish(SEED, 1000, 0.0) == []
    assert set(picker.wishes.wish(OTHER_SEED, 1000, 0.0)) | set(picker.wishes.take_over(OTHER_SEED, 9.0)[0])


def test_a_seed_gives_each_peer_something_else_until_everything_was_sent():
    dealt = Dealt()
    queues = [WantQueue(dealt, Holdings()) for _ in range(4)]
    for queue in queues:
        queue.ask(Wish(IDS))
    sent = []
    while len(sent) < COUNT:
        for queue in queues:
            ids = queue.first(4, MIB, 0.0)
            queue.drop(ids)
            sent += ids
    assert sorted(sent) == sorted(IDS)
    assert all(queues[0].first(4, MIB, REST_S))


@pytest.mark.parametrize("kind", [Want, WantAny, Wish])
def test_what_was_just_sent_to_one_peer_is_sent_to_another_that_wishes_for_it_only_after_a_while(kind):
    dealt = Dealt()
    first, second = WantQueue(dealt, Holdings()), WantQueue(dealt, Holdings())
    first.ask(kind(IDS[:1]))
    assert first.first(10, MIB, 5.0) == IDS[:1]
    second.ask(Wish(IDS[:1]))
    assert second.rest_s(5.0) == REST_LOOK_S
    assert second.first(10, MIB, 5.0) == []
    assert second.rest_s(5.0 + REST_S - 0.01) == pytest.approx(0.01)
    assert second.first(10, MIB, 5.0 + REST_S) == IDS[:1]


def test_where_frames_take_long_what_was_sent_rests_for_longer():
    queue = WantQueue(Dealt(), Holdings())
    for _ in range(100):
        queue.frame_left(2.0)
    queue.ask(Wish(IDS[:1]))
    queue.first(1, MIB, 0.0)
    rest_s = REST_S + REST_FRAMES * 2.0
    assert queue.first(1, MIB, 0.97 * rest_s) == []
    assert queue.first(1, MIB, rest_s) == IDS[:1]


def test_nothing_rests_that_was_sent_to_a_peer_that_has_all():
    dealt, receiver = Dealt(), holdings_of(complete=False)
    dealt.note(IDS[:1], receiver, 0.0)
    queue = WantQueue(dealt, Holdings())
    queue.ask(Wish(IDS[:1]))
    assert queue.first(1, MIB, 0.0) == []
    receiver.hear(Have(complete=[ROOT]))
    assert queue.rest_s(0.0) == 0
    assert queue.first(1, MIB, 0.0) == IDS[:1]


def test_what_is_wanted_or_was_sent_to_nobody_does_not_wait_for_the_rest():
    dealt, receiver = Dealt(), Holdings()
    dealt.note(IDS[:2], receiver, 5.0)
    queue = WantQueue(dealt, Holdings())
    assert queue.rest_s(5.0) == float("inf")
    queue.ask(Wish(IDS[:3]))
    assert queue.rest_s(5.0) == 0
    assert queue.first(10, MIB, 5.0) == IDS[2:3]
    queue.drop(IDS[2:3])
    assert queue.rest_s(5.0) > 0
    queue.ask(Want(IDS[:1]))
    assert queue.rest_s(5.0) == 0
    assert queue.first(10, MIB, 5.0) == IDS[:1]


def test_nothing_rests_that_was_sent_to_a_peer_that_is_gone_and_what_it_announced_is_not_kept():
    dealt, receiver = Dealt(), Holdings()
    dealt.note(IDS[:1], receiver, 0.0)
    queue = WantQueue(dealt, Holdings())
    queue.ask(Wish(IDS[:1]))
    assert queue.first(1, MIB, 0.0) == []
    announced = weakref.ref(receiver)
    del receiver
    assert announced() is None
    assert queue.first(1, MIB, 0.0) == IDS[:1]


def test_of_what_was_sent_long_ago_comes_first_what_was_sent_least():
    dealt = Dealt()
    dealt.note(IDS[:2], Holdings(), 0.0)
    dealt.note(IDS[:1], Holdings(), 0.0)
    queue = WantQueue(dealt, Holdings())
    queue.ask(Wish(IDS[:2]))
    assert queue.first(1, 1, REST_S) == IDS[1:2]


def test_wishes_are_chosen_few_at_a_time_by_how_long_blocks_are():
    queue = WantQueue(Dealt(), Holdings())
    queue.ask(Wish(IDS))
    for _ in range(30):
        queue.answered(queue.first(1, 1, 0.0), [bytes(1000)])
    assert 3 <= len(queue.first(128, 4096, 0.0)) <= 4


def test_what_was_cancelled_is_not_sent():
    queue = WantQueue(Dealt(), Holdings())
    queue.ask(Wish(IDS[:3]))
    queue.drop(IDS[:2])
    assert queue.first(10, MIB, 0.0) == [IDS[2]]
