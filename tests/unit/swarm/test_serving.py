"""What is sent for blocks of which a link may not hold the whole, because many links share the memory."""

import random
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from p2psync.blocks.block import block_id
from p2psync.store.memory import MemoryStore
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.frame_size import MIN_FRAME_BYTES, START_FRAME_BYTES, FrameRoom
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.outbox import Outbox
from p2psync.swarm.serving import Serving
from p2psync.swarm.slots import SLOTS
from p2psync.swarm.throttle import Limits, Throttle
from p2psync.swarm.turnstile import Turnstile
from p2psync.swarm.uploads import Dealt, WantQueue
from p2psync.wire.messages import Blocks, Cancel, Message, Missing, Part, Want
from tests.sim.hosts import in_place

LONG = random.Random(1).randbytes(5 * MIN_FRAME_BYTES // 2)
VERY_LONG = random.Random(2).randbytes(20 * START_FRAME_BYTES)
SHORT = b"short"


class Rotting(MemoryStore):
    """What was begun to be read changes at once."""

    def read_first(self, ids, enough_bytes, whole_bytes):
        self._blocks = {id_: bytearray(data) for id_, data in self._blocks.items()}
        found = super().read_first(ids, enough_bytes, whole_bytes)
        for data in self._blocks.values():
            data[-1] ^= 1
        return found


def serve(outbox: Outbox, send, room_bytes: int = 1) -> Serving:
    limit = Throttle(Limits(), upward=True, host="")
    return Serving(WantQueue(Dealt(), Holdings()), outbox, Turnstile(), FrameRoom(room_bytes), limit, send)


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


@asynccontextmanager
async def serving_from(*blocks: bytes, room_bytes: int, store: type[MemoryStore] = MemoryStore):
    """Serve wants for blocks, read with so much room; all answers leave when they are taken."""
    kept, outbox = store(), Outbox()
    kept.write([(block_id(block), block) for block in blocks])
    serving = serve(outbox, pytest.fail, room_bytes)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serving.run, ThreadedStore(kept, trio.CapacityLimiter(1), run_sync=in_place))
        serving.hear(Want([block_id(block) for block in blocks]))
        await wait_all_tasks_blocked()
        yield serving, outbox
        nursery.cancel_scope.cancel()


async def next_answer(serving: Serving, outbox: Outbox) -> Message:
    with trio.fail_after(1):
        (message,) = await outbox.take()
    serving.sent(message, 0, 0.0)
    await wait_all_tasks_blocked()
    return message


@pytest.mark.parametrize("room_bytes", [1, 1 << 30])
async def test_a_block_that_is_cancelled_while_it_leaves_is_cut_off(autojump_clock, room_bytes):
    async with serving_from(VERY_LONG, SHORT, room_bytes=room_bytes) as (serving, outbox):
        first = await next_answer(serving, outbox)
        assert isinstance(first, Part)
        serving.hear(Cancel([block_id(VERY_LONG)]))
        await wait_all_tasks_blocked()
        assert await next_answer(serving, outbox) == Blocks([(block_id(SHORT), SHORT)])


async def test_nothing_more_is_said_of_a_block_that_was_cut_off(autojump_clock):
    async with serving_from(VERY_LONG, room_bytes=1, store=Rotting) as (serving, outbox):
        await next_answer(serving, outbox)
        serving.hear(Cancel([block_id(VERY_LONG)]))
        with pytest.raises(trio.TooSlowError):
            print(await next_answer(serving, outbox))


@pytest.mark.parametrize("is_whole", [False, True])
async def test_only_a_block_that_was_cut_off_counts_as_one_that_was_not_sent(autojump_clock, is_whole):
    async with serving_from(VERY_LONG, room_bytes=1 << 30) as (serving, outbox):
        for _ in range(20 if is_whole else 10):
            await next_answer(serving, outbox)
        serving.hear(Cancel([block_id(VERY_LONG)]))
        assert serving._wants._dealt.times(block_id(VERY_LONG)) == is_whole


async def test_frames_that_never_leave_give_their_turns_to_others(autojump_clock):
    async with serving_from(VERY_LONG, room_bytes=1 << 30) as (serving, outbox):
        for _ in range(10):
            await next_answer(serving, outbox)
            serving.hear(Cancel([block_id(VERY_LONG)]))
            serving.hear(Want([block_id(VERY_LONG)]))
            await wait_all_tasks_blocked()
        serving.hear(Cancel([block_id(VERY_LONG)]))
        began = trio.current_time()
        for _ in range(SLOTS):
            await serving._turnstile.enter()
        assert trio.current_time() == began


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
