import trio
import trio.testing

from p2psync.blocks.block import block_id
from p2psync.store.memory import MemoryStore
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.intake import Intake
from p2psync.swarm.link import Link, Shared
from tests.sim.hosts import in_place

BUDGET_BYTES = 32 << 20


class Deaf:
    """An owner that does nothing about what it hears."""

    def wrote(self, good, wrong): ...

    def write_failed(self, error): ...


class Silent:
    """A stream on which nothing is ever said."""

    device = bytes(32)
    remote_host = ""


async def test_room_for_more_is_told_to_every_link_that_waits_for_it(nursery):
    store = MemoryStore()
    intake = Intake(ThreadedStore(store, trio.CapacityLimiter(1)), Deaf(), BUDGET_BYTES)
    link = Link(Silent(), Shared(), number=1)
    blocks = [bytes([number]) * (4 << 20) for number in range(BUDGET_BYTES // (4 << 20))]
    for data in blocks:
        intake.put(link, block_id(data), data)
    with trio.fail_after(10):
        async with trio.open_nursery() as waiting:
            for _ in range(5):
                waiting.start_soon(intake.wait_room)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(intake.run)
    assert len(store) > 0


async def test_it_is_behind_when_most_of_what_may_wait_waits():
    for budget_bytes in (8 << 20, 32 << 20):
        intake = Intake(ThreadedStore(MemoryStore(), trio.CapacityLimiter(1)), Deaf(), budget_bytes)
        seen = []
        for _ in range(4):
            data = bytes(budget_bytes // 4)
            intake.put(Link(Silent(), Shared(), number=1), block_id(data), data)
            seen.append(intake.is_behind)
        assert seen == [False, False, True, True]


async def test_who_waits_for_room_waits_until_there_is_some(autojump_clock):
    intake = Intake(ThreadedStore(MemoryStore(), trio.CapacityLimiter(1)), Deaf(), BUDGET_BYTES)
    data = bytes(4 << 20)
    for _ in range(BUDGET_BYTES // len(data)):
        intake.put(Link(Silent(), Shared(), number=1), block_id(data), data)
    with trio.move_on_after(60) as patience:
        await intake.wait_room()
    assert patience.cancelled_caught


class Judge(Deaf):
    """An owner that remembers who was wrong."""

    def __init__(self):
        self.blamed, self.good = [], []

    def wrote(self, good, wrong):
        self.good += good
        self.blamed += [link.number for link, _ in wrong]


async def test_only_who_sent_wrong_bytes_is_blamed_if_another_sent_the_right_ones_at_once(nursery):
    judge, data = Judge(), b"right"
    store = ThreadedStore(MemoryStore(), trio.CapacityLimiter(1), run_sync=in_place)
    intake = Intake(store, judge, BUDGET_BYTES)
    liar, honest = (Link(Silent(), Shared(), number=number) for number in (1, 2))
    intake.put(liar, block_id(data), b"wrong")
    intake.put(honest, block_id(data), data)
    nursery.start_soon(intake.run)
    await trio.testing.wait_all_tasks_blocked()
    assert (judge.blamed, judge.good) == ([1], [block_id(data)])
