"""What a node says of a peer that holds what is missing and does not send it; each is played by a script."""

import pytest
import trio

from p2psync.node.peer_table import STANDING_STILL_BYTES_PER_S, explain_standstill, peer_rows
from p2psync.swarm.limiter import Rates
from p2psync.sync.events import Activity
from tests.sim import raw_peer
from tests.sim.hosts import ScriptedHost, SimPeer, make_folder, running
from tests.sim.net import Net


@pytest.fixture
def folder():
    return make_folder([64 << 10] * 64)


async def claim_everything(peer, folder, *features):
    """Return the body of the HELLO that was heard."""
    await peer.hello(features=list(features))
    hello = await peer.read_until(raw_peer.HELLO)
    await peer.send(raw_peer.HEAD, folder.head)
    await peer.send_control(raw_peer.HAVE, {b"complete": folder.root})
    return hello


async def serve_the_manifest(peer, folder):
    """Send root and pages; return when blocks of files are wanted."""
    while (ids := await peer.read_wanted()) and {*ids} <= {folder.root, *folder.pages}:
        await peer.send_blocks([(id_, folder.blocks[id_]) for id_ in ids])


async def seen_of(folder, script, *, within_s, is_so):
    """Let one get from a scripted seed, beside one that has nothing; return what is said when all stands still."""
    net = Net()
    getter, idler, seed = SimPeer(net, "getter", folder), SimPeer(net, "idler", folder), ScriptedHost(net, "s", script)
    async with running(getter, idler, seed) as nursery:
        nursery.start_soon(getter.get)
        with trio.fail_after(within_s):
            while True:
                await trio.sleep(0.5)
                numbers = getter.swarm.statistics()
                rows = {row.device: row for row in peer_rows(numbers, len(folder.pages))}
                row = rows.get(seed.host.device.hex()[:16])
                if row and is_so(row) and row.down_bytes_per_s < STANDING_STILL_BYTES_PER_S:
                    break
        nursery.cancel_scope.cancel()
    return row, explain_standstill(Activity.FETCHING, numbers, lambda: [])


async def test_a_seed_that_was_left_to_choose_and_stalls_is_named(autojump_clock, folder):
    async def script(peer):
        await claim_everything(peer, folder, b"wish")
        await serve_the_manifest(peer, folder)

    row, sentence = await seen_of(folder, script, within_s=7, is_so=lambda row: row.wished_blocks)
    assert (row.wished_blocks, row.owes_bytes, row.state) == (64, 0, "sends what it has sent to nobody")
    assert "4.2 MB are asked for and do not come" in sentence
    assert "waiting for s:1" in sentence


async def test_a_seed_that_chokes_us_is_named_and_told_from_one_that_lacks_what_is_missing(autojump_clock, folder):
    async def script(peer):
        await claim_everything(peer, folder)
        await serve_the_manifest(peer, folder)
        await peer.send(raw_peer.CHOKE, b"\1")
        while True:
            await peer.read_wanted()

    row, sentence = await seen_of(folder, script, within_s=7, is_so=lambda row: row.chokes_us)
    assert row.state == "chokes us: others come first there"
    assert "waiting for s:1: others are served first there" in sentence


async def test_who_is_local_and_left_out_of_the_limits_is_shown_so(autojump_clock, folder):
    net = Net()
    sharer = SimPeer(net, "10.0.0.1", folder, limits=Rates(up=1e6, lan=False))
    getter = SimPeer(net, "10.0.0.2", folder)
    sharer.share()
    async with running(sharer, getter) as nursery:
        await getter.get()
        (row,) = peer_rows(sharer.swarm.statistics(), 1)
        assert (row.up_limit, row.up_exempt, row.down_exempt) == (None, True, False)
        sharer.limits.set(Rates(up=1e6))
        (row,) = peer_rows(sharer.swarm.statistics(), 1)
        assert (row.up_limit, row.up_exempt) == (1e6, False)
        nursery.cancel_scope.cancel()
