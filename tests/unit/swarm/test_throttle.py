"""Limits over real TLS connections on loopback."""

import random

import pytest
import trio

from p2psync.blocks.block import block_id
from p2psync.blocks.need import Run
from p2psync.ids import BlockId, PeerAddress
from p2psync.keys import keys_from_seed
from p2psync.manifest.head import Standing
from p2psync.store.memory import MemoryStore
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.context import SwarmContext
from p2psync.swarm.endpoint import Endpoint, Membership
from p2psync.swarm.heads import JudgedHead
from p2psync.swarm.limiter import Rates
from p2psync.swarm.swarm import Swarm
from p2psync.swarm.tcp import bound_addresses, open_listeners
from p2psync.swarm.throttle import Limits
from p2psync.swarm.tls import device_id, load_device_key

KEYS = keys_from_seed(b"k" * 32)
BLOCK_BYTES = 1 << 20


class Node:
    """A swarm behind a real port; what it holds is in memory."""

    def __init__(self, seed, rates):
        self.key = load_device_key(seed * 32)
        self.limits = Limits(rates)
        self.store = MemoryStore()
        self.endpoint = Endpoint()
        self.membership = Membership(KEYS, self.key, lambda stream: self.swarm.accept(stream, host=stream.remote_host))
        self.endpoint.join(self.membership)
        context = SwarmContext(
            device=device_id(self.key.public_key()),
            judge=lambda head: JudgedHead(Standing.NEWER, 1, BlockId(head)),
            dial=lambda address: self.endpoint.dial(address, self.membership),
            limits=self.limits,
        )
        self.swarm = Swarm(ThreadedStore(self.store, trio.CapacityLimiter(2)), context, random.Random(seed))

    async def run(self, nursery):
        listeners = await open_listeners(PeerAddress("127.0.0.1", 0))
        await nursery.start(self.swarm.run)
        await nursery.start(self.endpoint.serve, listeners)
        return bound_addresses(listeners)[0]


async def fetch_rate(sharer_rates, getter_rates, blocks):
    """Move blocks between two nodes; return bytes a second."""
    contents = {block_id(data): data for data in (random.Random(n).randbytes(BLOCK_BYTES) for n in range(blocks))}
    root, page = block_id(b"root"), block_id(b"page")
    sharer, getter = Node(b"s", sharer_rates), Node(b"g", getter_rates)
    sharer.store.write(list(contents.items()))

    async def runs():
        yield [Run(page, [n], [id_], [BLOCK_BYTES]) for n, id_ in enumerate(contents)]

    async with trio.open_nursery() as nursery:
        address = await sharer.run(nursery)
        await getter.run(nursery)
        sharer.swarm.publish(root, root, complete=True)
        getter.swarm.add_addresses([address])
        await getter.swarm.next_head()
        began = trio.current_time()
        with trio.fail_after(30):
            await getter.swarm.fetch_runs(root, runs())
        took_s = trio.current_time() - began
        nursery.cancel_scope.cancel()
    return blocks * BLOCK_BYTES / took_s


LIMIT = 10e6


@pytest.mark.parametrize(
    ("sharer", "getter"),
    [
        (Rates(up=LIMIT), Rates()),
        (Rates(), Rates(down=LIMIT)),
        (Rates(peer_up=LIMIT), Rates(down=2 * LIMIT)),
        (Rates(up=2 * LIMIT), Rates(peer_down=LIMIT)),
    ],
)
async def test_ten_megabytes_a_second_are_met_to_two_percent(sharer, getter):
    assert await fetch_rate(sharer, getter, blocks=40) == pytest.approx(LIMIT, rel=0.02)


async def test_where_the_local_network_is_left_out_nothing_is_limited():
    rates = Rates(up=LIMIT, down=LIMIT, peer_up=LIMIT, peer_down=LIMIT, lan=False)
    assert await fetch_rate(rates, rates, blocks=40) > 2 * LIMIT
