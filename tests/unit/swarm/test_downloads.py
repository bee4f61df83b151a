"""What is fetched for several callers: what one waits for too late is fetched for it again."""

import random
import threading

import trio
from trio.testing import wait_all_tasks_blocked

from p2psync.blocks.block import block_id
from p2psync.blocks.need import Run
from p2psync.budget import DEFAULT_MEMORY
from p2psync.ids import BlockId
from p2psync.store.memory import MemoryStore
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.downloads import Downloads
from p2psync.swarm.link import Link, Shared
from p2psync.wire.messages import Blocks, Have
from tests.unit.swarm.test_intake import Silent

ROOT, PAGE = BlockId(b"r" * 32), BlockId(b"p" * 32)
DATA = b"content" * 1000
BLOCK = block_id(DATA)


class Slow(MemoryStore):
    """A store that writes when it may."""

    def __init__(self):
        super().__init__()
        self.may = threading.Event()

    def write(self, blocks):
        assert self.may.wait(10)
        return super().write(blocks)


async def one_run():
    yield [Run(PAGE, [0], [BLOCK], [len(DATA)])]


async def test_a_block_that_is_wanted_again_while_it_is_being_written_is_asked_for_again(nursery):
    store = Slow()
    threaded = ThreadedStore(store, trio.CapacityLimiter(1))
    downloads = Downloads(
        threaded, random.Random(0), on_written=lambda _: None, on_wrong=lambda _: None, budget=DEFAULT_MEMORY
    )
    link = Link(Silent(), Shared(), number=1)
    link.holdings.offer(ROOT)
    link.holdings.hear(Have(complete=[ROOT]))
    downloads.link_up(link)
    done = []

    async def fetch(name):
        await downloads.fetch_runs(ROOT, one_run(), in_order=False, urgency=0)
        done.append(name)

    nursery.start_soon(downloads.run)
    nursery.start_soon(fetch, "first")
    await wait_all_tasks_blocked()
    downloads.heard_blocks(link, Blocks([(BLOCK, DATA)]))
    nursery.start_soon(fetch, "second")
    await wait_all_tasks_blocked()
    assert downloads.owed(link).in_flight_bytes == 0
    store.may.set()
    with trio.fail_after(10):
        while not downloads.owed(link).in_flight_bytes:
            await trio.lowlevel.checkpoint()
        downloads.heard_blocks(link, Blocks([(BLOCK, DATA)]))
        while len(done) < 2:
            await trio.lowlevel.checkpoint()
    assert done == ["first", "second"]
    nursery.cancel_scope.cancel()


async def test_what_came_of_a_block_that_is_not_needed_any_more_counts_as_wasted_also_when_the_link_is_gone():
    threaded = ThreadedStore(MemoryStore(), trio.CapacityLimiter(1))
    downloads = Downloads(threaded, random.Random(0), on_written=lambda _: None, on_wrong=lambda _: None)
    link = Link(Silent(), Shared(), number=1)
    downloads.link_up(link)
    link._connection._reassembly.place(BLOCK, len(DATA), 0, 400)
    assert downloads.wasted_bytes == 0
    link._connection._reassembly.cancel([BLOCK])
    assert downloads.wasted_bytes == 400
    downloads.link_down(link)
    assert downloads.wasted_bytes == 400
