"""Swarms of honest peers end complete, without sending anything twice."""

import pytest
import trio

from tests.sim.hosts import SimPeer, all_get, make_folder, running
from tests.sim.net import Net

MIB = 1 << 20


@pytest.fixture
def net(autojump_clock: trio.testing.MockClock) -> Net:
    return Net()


async def test_one_getter_gets_everything_from_one_seed(net):
    folder = make_folder([18_000] * 300 + [MIB, 3 * MIB + 5, 4 * MIB, 1, 70_000])
    seed, getter = SimPeer(net, "seed", folder), SimPeer(net, "getter", folder)
    seed.share()
    async with running(seed, getter):
        await all_get(getter, within_s=30)
    assert seed.swarm.statistics().uploaded_bytes == sum(map(len, folder.blocks.values()))
    assert getter.memory.rewritten == 0


@pytest.mark.parametrize("getters", [2, 4, 8])
async def test_every_getter_serves_the_others(net, getters):
    folder = make_folder([256 << 10] * 128)
    rate = 10 * MIB
    seed = SimPeer(net, "seed", folder, rate=rate)
    others = [SimPeer(net, f"getter {n}", folder, rate=rate) for n in range(getters)]
    seed.share()
    async with running(seed, *others):
        await all_get(*others)
    uploaded = seed.swarm.statistics().uploaded_bytes / folder.size_bytes
    took = max(peer.took_s for peer in others) * rate / folder.size_bytes
    print(f"{getters} getters: seed uploaded {uploaded:.2f} copies, last one done after {took:.2f} F")
    assert uploaded < 5
    assert sum(peer.memory.rewritten for peer in others) <= len(folder.blocks) * 0.02 * getters
