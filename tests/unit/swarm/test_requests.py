"""What is said to whom: wishes that others have made needless are taken back together, and never too late."""

import random

from p2psync.blocks.need import Run
from p2psync.ids import BlockId
from p2psync.swarm.flow import PeerFlow
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.requests import UNWISH_S, Asked, Letter, Requests
from p2psync.swarm.tasks import Job
from p2psync.wire.messages import Cancel, Have, Want, Wish

ROOT, PAGE = BlockId(b"r" * 32), BlockId(b"p" * 32)
COUNT = 64
IDS = [BlockId(bytes([n]) * 32) for n in range(COUNT)]
SEED, GETTER = 1, 2
BEGAN = 100.0


def requests_with_a_seed_and_a_getter() -> Requests:
    """Return one that wishes for all blocks at a seed."""
    requests = Requests(random.Random(0))
    for number, have in ((SEED, Have(complete=[ROOT])), (GETTER, Have())):
        holdings = Holdings()
        holdings.offer(ROOT)
        holdings.hear(have)
        requests.link_up(number, Asked(bytes([number]), holdings, PeerFlow(BEGAN), deals=True, is_open=lambda: True))
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
    asked = [id_ for _, message in letters if isinstance(message, Want | Wish) for id_ in message.ids]
    assert IDS[1] in asked
    requests.tick(SEED, 0, BEGAN + 1.0, is_paused=False)
    assert IDS[1] not in [id_ for _, ids in cancels(requests.collect()) for id_ in ids]


def test_nothing_is_said_to_who_is_gone():
    requests = requests_with_a_seed_and_a_getter()
    announce(requests, 0, BEGAN)
    announce(requests, 1, BEGAN + UNWISH_S / 3)
    requests.link_down(SEED, BEGAN + UNWISH_S / 2)
    requests.tick(GETTER, 0, BEGAN + 1.0, is_paused=False)
    assert SEED not in [number for number, _ in requests.collect()]
