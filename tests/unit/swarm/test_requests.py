"""What is said to whom: wishes that others have made needless are taken back together, and never too late."""

import random

from p2psync.blocks.need import Run
from p2psync.ids import BlockId
from p2psync.swarm.debts import nothing
from p2psync.swarm.flow import PeerFlow
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.requests import UNWISH_S, Asked, Letter, Requests
from p2psync.swarm.tasks import Job
from p2psync.wire.messages import Cancel, Have, Message, Want, WantAny, Wish

ROOT, PAGE = BlockId(b"r" * 32), BlockId(b"p" * 32)
COUNT = 64
IDS = [BlockId(bytes([n]) * 32) for n in range(COUNT)]
SEED, GETTER = 1, 2
BEGAN = 100.0


def asked(number: int, holdings: Holdings, *, deals: bool = False, picks: bool = True, arriving=nothing) -> Asked:
    return Asked(bytes([number]), holdings, PeerFlow(BEGAN), deals, picks, is_open=lambda: True, arriving=arriving)


def requests_with_a_seed_and_a_getter(arriving=nothing) -> Requests:
    """Return one that wishes for all blocks at a seed."""
    requests = Requests(random.Random(0))
    for number, have in ((SEED, Have(complete=[ROOT])), (GETTER, Have())):
        holdings = Holdings()
        holdings.offer(ROOT)
        holdings.hear(have)
        requests.link_up(number, asked(number, holdings, deals=True, arriving=arriving))
    job = Job(ROOT, exhausted=True)
    requests.picker.begin(job)
    requests.picker.add(job, [Run(PAGE, list(range(COUNT)), IDS, [1000] * COUNT)])
    requests.refill_all(BEGAN)
    assert [type(message) for _, message in requests.collect()] == [Wish]
    return requests


def announce(requests: Requests, position: int, now: float) -> list[Letter]:
    """Let the getter announce a block, and answer nothing; return what is said."""
    bits = 1 << (COUNT - 1 - position)
    grown = requests.picker._holdings[GETTER].hear(Have(partial=[(PAGE, bits.to_bytes(COUNT // 8, "big"))]))
    requests.holdings_grew(GETTER, grown, now)
    return requests.collect()


def cancels(letters: list[Letter]) -> list[tuple[int, list[BlockId]]]:
    return [(number, list(message.ids)) for number, message in letters if isinstance(message, Cancel)]


def test_what_many_announcements_make_needless_is_taken_back_in_one_message():
    requests = requests_with_a_seed_and_a_getter()
    announce(requests, 0, BEGAN)
    assert cancels(announce(requests, 1, BEGAN + UNWISH_S / 3)) == []
    assert cancels(announce(requests, 2, BEGAN + UNWISH_S / 2)) == []
    assert cancels(announce(requests, 3, BEGAN + 1.1 * UNWISH_S)) == [(SEED, IDS[1:4])]


def test_what_nobody_announces_after_is_taken_back_with_the_next_measurement():
    requests = requests_with_a_seed_and_a_getter()
    announce(requests, 0, BEGAN)
    announce(requests, 1, BEGAN + UNWISH_S / 3)
    requests.tick(GETTER, 0, BEGAN + 0.5, is_paused=False)
    assert cancels(requests.collect()) == [(SEED, [IDS[1]])]


def test_a_seed_is_not_told_that_it_need_not_send_what_it_was_asked_for_since():
    requests = requests_with_a_seed_and_a_getter()
    announce(requests, 0, BEGAN)
    announce(requests, 1, BEGAN + UNWISH_S / 3)
    requests.link_down(GETTER, BEGAN + UNWISH_S / 2)
    letters = requests.collect()
    assert [type(message) for number, message in letters if number == SEED][:1] == [Cancel]
    asked = [id_ for _, message in letters if isinstance(message, Want | WantAny | Wish) for id_ in message.ids]
    assert IDS[1] in asked
    requests.tick(SEED, 0, BEGAN + 1.0, is_paused=False)
    assert IDS[1] not in [id_ for _, ids in cancels(requests.collect()) for id_ in ids]


def test_a_block_that_is_coming_already_is_not_taken_back():
    requests = requests_with_a_seed_and_a_getter(arriving=lambda: (IDS[0], 500))
    assert cancels(announce(requests, 0, BEGAN)) == []
    assert cancels(announce(requests, 1, BEGAN + 1.1 * UNWISH_S)) == [(SEED, [IDS[1]])]


def test_nothing_is_said_to_who_is_gone():
    requests = requests_with_a_seed_and_a_getter()
    announce(requests, 0, BEGAN)
    announce(requests, 1, BEGAN + UNWISH_S / 3)
    requests.link_down(SEED, BEGAN + UNWISH_S / 2)
    requests.tick(GETTER, 0, BEGAN + 1.0, is_paused=False)
    assert SEED not in [number for number, _ in requests.collect()]


def wants(*jobs: Job, picks: bool) -> list[tuple[type[Message], list[BlockId]]]:
    """Return what a peer that has everything is asked for where one block of each job is missing."""
    requests = Requests(random.Random(0))
    holdings = Holdings()
    holdings.offer(ROOT)
    holdings.hear(Have(complete=[ROOT]))
    requests.link_up(1, asked(1, holdings, picks=picks))
    for position, job in enumerate(jobs):
        requests.picker.begin(job)
        if job.pages:
            requests.picker.add_pages(job, [IDS[position]])
        else:
            requests.picker.add(job, [Run(PAGE, [position], [IDS[position]], [1000])])
    requests.refill_all(BEGAN)
    return [(type(message), sorted(message.ids)) for _, message in requests.collect()]


def test_what_is_waited_for_is_wanted_in_order_and_all_else_in_none():
    asked = wants(Job(ROOT), Job(ROOT, pages=True), Job(ROOT), Job(ROOT, urgency=1), picks=True)
    assert asked == [(Want, [IDS[1], IDS[3]]), (WantAny, [IDS[0], IDS[2]])]


def test_what_is_fetched_in_order_is_wanted_in_order():
    assert wants(Job(ROOT, in_order=True), picks=True) == [(Want, IDS[:1])]


def test_who_does_not_understand_wants_in_no_order_is_sent_none():
    assert wants(Job(ROOT), Job(ROOT, pages=True), picks=False) == [(Want, IDS[:2])]
