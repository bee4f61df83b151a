"""How long nothing more is read from a link after what it brought."""

import pytest
import trio

from p2psync.ids import BlockId
from p2psync.swarm.pace import Pace
from p2psync.wire import limits
from p2psync.wire.messages import Blocks, Have, Ping

IDS = [BlockId(at.to_bytes(32, "big")) for at in range(16_000)]
BITS = [(id_, b"\x80") for id_ in IDS[:12_000]]


@pytest.mark.parametrize(
    ("messages", "pause_s"),
    [
        ([Ping()] * limits.CONTROL_BURST, 0),
        ([Ping()] * 100, 0.2),
        ([Blocks(())] * 100, 0),
        ([Have(whole=IDS[:3000])], 0),  # of 768,000 blocks
        ([Have(whole=IDS)], 0.126),
        ([Have(gone=IDS)], 0.13),
        ([Have(gone=IDS[:1])] * 5, 0),
        ([Have(gone=IDS[:1])] * 16, 0.096),
        ([Have(complete=IDS[:1])] * 16, 0.096),
        ([Have(complete=IDS)], 0.13),
        ([Have(partial=BITS)], 0.094),
        ([Have(partial=BITS)] * 4, 0.376),
        ([Have(partial=BITS)] * 40, limits.MAX_CONTROL_PAUSE_S),
    ],
)
async def test_a_message_counts_by_the_work_that_it_is(messages, pause_s, autojump_clock):
    began = trio.current_time()
    await Pace().wait(messages)
    assert trio.current_time() - began == pytest.approx(pause_s)


async def test_all_links_wait_for_one_turn(autojump_clock):
    began, pace = trio.current_time(), Pace()
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(pace.wait, [Ping()] * 100)
    assert trio.current_time() - began == pytest.approx(10 * 0.2)
