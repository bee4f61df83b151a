"""A seed that is silent for a while, and then honest again, is asked for what nobody else gives."""

import pytest
import trio

from tests.sim import raw_peer
from tests.sim.hosts import ScriptedHost, SimPeer, make_folder, running
from tests.sim.net import Net
from tests.sim.raw_peer import RawPeer
from tests.sim.test_bad_peers import claim_everything

SILENT_S = 10.0
"""Long enough to be snubbed, not long enough to be dropped."""
FOLDER = make_folder([64 << 10] * 64)


async def choke(peer: RawPeer) -> None:
    await claim_everything(peer, FOLDER)
    await peer.send(raw_peer.CHOKE, b"\1")
    while frame := await peer.read():
        if frame[0] == raw_peer.PING:
            await peer.send(raw_peer.PONG)


def lack(lost: set[bytes]):
    """Return a peer that is honest, and lacks some of what it announced."""

    async def script(peer: RawPeer) -> None:
        await claim_everything(peer, FOLDER)
        while True:
            for id_ in await peer.read_wanted():
                if id_ in lost:
                    await peer.send(raw_peer.MISSING, id_)
                else:
                    await peer.send_blocks([(id_, FOLDER.blocks[id_])])

    return script


@pytest.mark.parametrize(
    "script",
    [choke, lack({list(FOLDER.blocks)[7]}), lack(set(FOLDER.blocks))],
    ids=["chokes", "lacks a block", "lacks all"],
)
async def test_who_was_silent_is_asked_again_for_what_nobody_else_gives(autojump_clock, script):
    net = Net()
    seed, getter = SimPeer(net, "seed", FOLDER), SimPeer(net, "getter", FOLDER)
    seed.share()
    async with running(seed, getter, ScriptedHost(net, "other", script)):
        await trio.sleep(3)
        net.cut(seed.host)

        async def heal():
            await trio.sleep(SILENT_S)
            net.heal(seed.host)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(heal)
            with trio.fail_after(60):
                await getter.get()
