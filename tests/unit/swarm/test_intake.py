import trio
import trio.testing

from p2psync.blocks.block import block_id
from p2psync.store.memory import MemoryStore
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.intake import Intake
from p2psync.swarm.link import Link, Shared

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
