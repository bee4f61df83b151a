"""Who understands that the order does not matter is told so of the blocks of files, and of nothing else."""

import pytest

from tests.sim import raw_peer
from tests.sim.hosts import ScriptedHost, SimPeer, all_get, make_folder, running
from tests.sim.net import Net
from tests.sim.test_why_waiting import claim_everything


@pytest.mark.parametrize(("features", "kind"), [([], raw_peer.WANT), ([b"any"], raw_peer.WANT_ANY)])
async def test_blocks_of_files_are_wanted_in_no_order_where_that_is_understood(autojump_clock, features, kind):
    net, folder = Net(), make_folder([64 << 10] * 64)
    asked, hellos = set(), []

    async def script(peer):
        hellos.append(await claim_everything(peer, folder, *features))
        while frame := await peer.read():
            if frame[0] in (raw_peer.WANT, raw_peer.WANT_ANY):
                ids = [frame[1][at : at + 32] for at in range(0, len(frame[1]), 32)]
                asked.update((id_ in (folder.root, *folder.pages), frame[0]) for id_ in ids)
                for id_ in ids:
                    await peer.send_blocks([(id_, folder.blocks[id_])])

    getter = SimPeer(net, "getter", folder)
    async with running(getter, ScriptedHost(net, "seed", script)):
        await all_get(getter, within_s=10)
    assert asked == {(True, raw_peer.WANT), (False, kind)}
    assert b"3:any" in hellos[0]
