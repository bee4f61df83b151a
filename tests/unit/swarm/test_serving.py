"""What is sent for blocks of which a link may not hold the whole, because many links share the memory."""

import random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from p2psync.blocks.block import block_id
from p2psync.store.memory import MemoryStore
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.frame_size import MIN_FRAME_BYTES, FrameRoom
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.outbox import Outbox
from p2psync.swarm.serving import Serving
from p2psync.swarm.throttle import Limits, Throttle
from p2psync.swarm.turnstile import Turnstile
from p2psync.swarm.uploads import Dealt, WantQueue
from p2psync.wire.messages import Blocks, Message, Missing, Part, Want
from tests.sim.hosts import in_place

LONG = random.Random(1).randbytes(5 * MIN_FRAME_BYTES // 2)
SHORT = b"short"


class Rotting(MemoryStore):
    """What was begun to be read changes at once."""

    def read_first(self, ids, enough_bytes, whole_bytes):
        self._blocks = {id_: bytearray(data) for id_, data in self._blocks.items()}
        found = super().read_first(ids, enough_bytes, whole_bytes)
        for data in self._blocks.values():
            data[-1] ^= 1
        return found


def serve(outbox: Outbox, send) -> Serving:
    limit = Throttle(Limits(), upward=True, host="")
    return Serving(WantQueue(Dealt(), Holdings()), outbox, Turnstile(), FrameRoom(room_bytes=1), limit, send)


async def sent(store: MemoryStore, blocks: list[bytes], last: type) -> list:
    """Return what wants for `blocks` are answered with where room is short, up to the first message of kind `last`."""
    store.write([(block_id(block), block) for block in blocks])
    outbox = Outbox()
    serving = serve(outbox, pytest.fail)
    serving.hear(Want([block_id(block) for block in blocks]))
    messages = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serving.run, ThreadedStore(store, trio.CapacityLimiter(1)))
        with trio.fail_after(10):
            while not messages or not isinstance(messages[-1], last):
                for message in await outbox.take():
                    messages.append(message)
                    serving.sent(message, 0, 0.0)
        nursery.cancel_scope.cancel()
    return messages


async def test_a_block_is_read_and_sent_in_stretches_where_there_is_no_room_for_all_of_it():
    *parts, rest = await sent(MemoryStore(), [LONG, SHORT], Blocks)
    assert all(isinstance(part, Part) and len(part.payload) <= MIN_FRAME_BYTES for part in parts)
    assert {(part.id, part.total) for part in parts} == {(block_id(LONG), len(LONG))}
    assert [part.offset for part in parts] == [0, MIN_FRAME_BYTES, 2 * MIN_FRAME_BYTES]
    assert b"".join(part.payload for part in parts) == LONG
    assert rest == Blocks([(block_id(SHORT), SHORT)])


async def test_a_block_that_turns_out_to_be_another_is_missing_before_it_is_complete():
    *parts, missing = await sent(Rotting(), [LONG], Missing)
    assert sum(len(part.payload) for part in parts) == 2 * MIN_FRAME_BYTES
    assert missing == Missing([block_id(LONG)])


async def test_a_want_that_comes_while_the_last_frame_before_a_choke_leaves_is_answered(autojump_clock):
    store, outbox = MemoryStore(), Outbox()
    store.write([(block_id(block), block) for block in (SHORT, b"other")])
    serving = serve(outbox, outbox.put)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serving.run, ThreadedStore(store, trio.CapacityLimiter(1), run_sync=in_place))
        serving.hear(Want([block_id(SHORT)]))
        (leaving,) = await outbox.take()
        serving.choke(True)
        await wait_all_tasks_blocked()
        serving.choke(False)
        serving.hear(Want([block_id(b"other")]))
        await wait_all_tasks_blocked()
        serving.sent(leaving, 0, 0.0)
        with trio.fail_after(1):
            answer: Message = leaving
            while answer != Blocks([(block_id(b"other"), b"other")]):
                answer = (await outbox.take())[-1]
                serving.sent(answer, 0, 0.0)
        nursery.cancel_scope.cancel()
