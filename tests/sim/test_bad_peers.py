"""What misbehaving members can and cannot do to a getter; each is played by a script that speaks raw bytes."""

import pytest
import trio

from p2psync.ids import PeerAddress
from p2psync.swarm.peers import BUSY_RETRY_S, JITTER
from p2psync.swarm.statistics import LinkDown
from p2psync.swarm.swarm import GREETING_LIMIT
from p2psync.wire import limits
from tests.sim import raw_peer
from tests.sim.hosts import MadeUpFolder, ScriptedHost, SimPeer, all_get, make_folder, running
from tests.sim.net import Host, Net
from tests.sim.raw_peer import RawPeer

MIB = 1 << 20
DUPLICATE = "another link to the same device stays"


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def folder() -> MadeUpFolder:
    return make_folder([256 << 10] * 64 + [3 * MIB])


async def claim_everything(peer: RawPeer, folder: MadeUpFolder, *, complete: bool = True) -> None:
    await peer.hello()
    await peer.read_until(raw_peer.HELLO)
    await peer.send(raw_peer.HEAD, folder.head)
    if complete:
        await peer.send_control(raw_peer.HAVE, {b"complete": folder.root})


async def serve_honestly(peer: RawPeer, folder: MadeUpFolder) -> None:
    while True:
        for id_ in await peer.read_wanted():
            data = folder.blocks[id_]
            if len(data) <= MIB:
                await peer.send_blocks([(id_, data)])
                continue
            for at in range(0, len(data), MIB):
                head = id_ + len(data).to_bytes(4, "big") + at.to_bytes(4, "big")
                await peer.send(raw_peer.PART, head + data[at : at + MIB])


def endings(peer: SimPeer, of: ScriptedHost) -> list[str]:
    return [e.ending for e in peer.events if isinstance(e, LinkDown) and e.device == of.host.device]


async def get_beside(net, folder, script, *, within_s: float) -> tuple[SimPeer, ScriptedHost]:
    """Get the folder from an honest seed of 8 MiB/s and a scripted peer."""
    seed, getter = SimPeer(net, "seed", folder, rate=8 * MIB), SimPeer(net, "getter", folder)
    bad = ScriptedHost(net, "bad", script)
    seed.share()
    async with running(seed, getter, bad):
        await all_get(getter, within_s=within_s)
    return getter, bad


async def test_a_scripted_honest_peer_is_a_good_source(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything(peer, folder)
        await serve_honestly(peer, folder)

    getter, honest = SimPeer(net, "getter", folder), ScriptedHost(net, "honest", script)
    async with running(getter, honest):
        await all_get(getter, within_s=10)
    assert getter.swarm.statistics().bans == {}


async def test_who_completes_a_version_later_is_asked_for_it_at_once(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything(peer, folder, complete=False)
        with trio.move_on_after(5.3):
            await serve_honestly(peer, folder)  # its pages: of the blocks it has said nothing
        await peer.send_control(raw_peer.HAVE, {b"complete": folder.root})
        with trio.fail_after(0.1):
            wanted = await peer.read_wanted()
        await peer.send_blocks([(id_, folder.blocks[id_]) for id_ in wanted[:1]])
        await serve_honestly(peer, folder)

    getter, late = SimPeer(net, "getter", folder), ScriptedHost(net, "late", script)
    async with running(getter, late):
        await all_get(getter, within_s=15)


async def test_a_liar_is_banned_and_nothing_of_it_is_kept(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything(peer, folder)
        while True:
            await peer.send_blocks([(id_, b"junk") for id_ in await peer.read_wanted()])

    getter, liar = await get_beside(net, folder, script, within_s=8)
    statistics = getter.swarm.statistics()
    assert list(statistics.bans) == [liar.host.device]
    assert statistics.wrong_blocks > 0
    assert liar.dialled_by[getter.host.device] == 1


async def test_a_liar_that_hangs_up_at_once_is_banned_too(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything(peer, folder)
        await peer.send_blocks([((await peer.read_wanted())[0], b"junk")])

    getter, liar = await get_beside(net, folder, script, within_s=8)
    assert list(getter.swarm.statistics().bans) == [liar.host.device]


async def test_a_peer_that_never_answers_costs_little_time(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything(peer, folder)
        while True:
            await peer.read_wanted()

    await get_beside(net, folder, script, within_s=12)


async def test_a_peer_that_never_answers_is_dropped_even_if_it_is_the_only_one(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything(peer, folder)
        while True:
            await peer.read_wanted()

    getter, mute = SimPeer(net, "getter", folder), ScriptedHost(net, "mute", script)
    async with running(getter, mute) as nursery:
        nursery.start_soon(getter.get)
        await trio.sleep(45)
        assert "it owes blocks and sends none" in endings(getter, mute)


async def trickle(peer: RawPeer, data: bytes) -> None:
    for at in range(len(data)):
        await peer.send_raw(data[at : at + 1])
        await trio.sleep(1)


async def test_a_trickle_of_a_block_costs_little_time(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything(peer, folder)
        id_ = (await peer.read_wanted())[0]
        await trickle(peer, b"\x00\x10\x00\x00\x06" + id_ + b"\x00\x10\x00\x00" + bytes(4) + bytes(1000))

    await get_beside(net, folder, script, within_s=12)


async def test_a_trickle_is_dropped_even_if_it_is_the_only_peer(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything(peer, folder)
        id_ = (await peer.read_wanted())[0]
        await trickle(peer, b"\x00\x10\x00\x00\x06" + id_ + b"\x00\x10\x00\x00" + bytes(4) + bytes(1000))

    getter, slow = SimPeer(net, "getter", folder), ScriptedHost(net, "slow", script)
    async with running(getter, slow) as nursery:
        nursery.start_soon(getter.get)
        await trio.sleep(45)
        assert endings(getter, slow)


async def test_a_trickled_hello_is_not_waited_for(autojump_clock, net, folder):
    getter = SimPeer(net, "getter", folder)
    slow = ScriptedHost(net, "slow", lambda peer: trickle(peer, b"\x00\x00\x01\x00\x00" + bytes(255)))
    async with running(getter, slow):
        await trio.sleep(11)
        assert [a.last_failure for a in getter.swarm.statistics().addresses] == ["it did not say HELLO in time"]


async def test_an_honest_peer_of_50_kib_a_second_is_never_dropped(autojump_clock, net):
    folder = make_folder([MIB] * 6 + [4 * MIB])
    seed, getter = SimPeer(net, "seed", folder, rate=50 << 10), SimPeer(net, "getter", folder)
    seed.share()
    async with running(seed, getter):
        await all_get(getter, within_s=folder.size_bytes / (50 << 10) * 1.1 + 5)
        assert {e.ending for e in getter.events if isinstance(e, LinkDown)} <= {DUPLICATE}
    assert getter.swarm.statistics().wasted_bytes == 0


async def test_a_slow_seed_does_not_hold_back_the_end(autojump_clock, net):
    folder = make_folder([MIB] * 40)
    seed, getter = SimPeer(net, "seed", folder, rate=10 * MIB), SimPeer(net, "getter", folder)
    slow = SimPeer(net, "slow", folder, rate=MIB / 4)
    seed.share()
    slow.share()
    async with running(seed, slow, getter):
        await all_get(getter, within_s=5.5)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (b"\xff\xff\xff\xff\x05", "frame"),
        (b"\x00\x00\x00\x00\x00", "without a type"),
        (b"\x00\x00\x00\x01\x00", "HELLO in state READY"),
        (b"\x00\x00\x00\x04\x02abc", "canonical"),
    ],
)
async def test_a_peer_that_breaks_the_protocol_loses_its_link_and_no_more(autojump_clock, net, folder, fault, sentence):
    async def script(peer):
        await claim_everything(peer, folder)
        await peer.send_raw(fault)
        await peer.read_to_end()

    getter, bad = await get_beside(net, folder, script, within_s=8)
    assert sentence in endings(getter, bad)[0]
    assert getter.swarm.statistics().bans == {}


async def test_a_head_with_a_wrong_signature_is_banned(autojump_clock, net, folder):
    async def script(peer):
        await peer.hello()
        await peer.send(raw_peer.HEAD, b"forged")
        await peer.read_to_end()

    getter, bad = await get_beside(net, folder, script, within_s=8)
    assert list(getter.swarm.statistics().bans) == [bad.host.device]


async def test_whoever_is_banned_takes_no_address_along_that_it_only_claims(autojump_clock, net, folder):
    seed, getter = SimPeer(net, "seed", folder), SimPeer(net, "getter", folder)
    seed.share()
    liar = Host("liar")
    liar.name = seed.host.name  # behind the same router
    net.listen(liar, PeerAddress(liar.name, 9))
    async with trio.open_nursery() as nursery:
        await nursery.start(seed.run)
        await nursery.start(getter.run)
        raw = RawPeer(await net.dial(liar, getter.address))
        await raw.read_until(raw_peer.HELLO)
        await raw.hello(port=seed.address.port)
        await raw.send(raw_peer.HEAD, b"forged")
        await raw.read_to_end()
        assert list(getter.swarm.statistics().bans) == [liar.device]
        getter.swarm.add_addresses([seed.address])
        await all_get(getter, within_s=5)
        nursery.cancel_scope.cancel()


async def test_a_peer_that_says_missing_to_everything_is_passed_over(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything(peer, folder)
        while True:
            await peer.send(raw_peer.MISSING, b"".join(await peer.read_wanted()))

    await get_beside(net, folder, script, within_s=8)


async def test_a_peer_that_disconnects_in_the_middle_of_a_block_costs_that_block_only(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything(peer, folder)
        id_ = (await peer.read_wanted())[0]
        await peer.send_raw(b"\x00\x04\x00\x29\x06" + id_ + b"\x00\x04\x00\x00" + bytes(4) + bytes(1000))

    getter, _ = await get_beside(net, folder, script, within_s=8)
    assert getter.memory.rewritten == 0


async def test_blocks_that_nobody_asked_for_end_the_link(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything(peer, folder)
        while True:
            await peer.send_blocks([(bytes(32), bytes(MIB))])

    getter, flood = SimPeer(net, "getter", folder), ScriptedHost(net, "flood", script)
    async with running(getter, flood):
        await trio.sleep(0.4)
        assert "nobody asked for" in endings(getter, flood)[0]
        assert len(getter.memory) == 0


async def test_too_many_wants_end_the_link(autojump_clock, net, folder):
    seed = SimPeer(net, "seed", folder)
    seed.share()

    async def script(peer):
        await peer.hello()
        for n in range(100):
            await peer.send(raw_peer.WANT, b"".join((n * 4096 + i).to_bytes(32, "big") for i in range(4096)))

    greedy = ScriptedHost(net, "greedy", script)
    async with running(seed, greedy):
        await trio.sleep(1)
        assert "wanted at once" in endings(seed, greedy)[0]


async def test_thousands_of_addresses_that_never_answer_do_not_hide_the_one_that_does(autojump_clock, net, folder):
    hole = Host("hole")
    holes = [PeerAddress("hole", port) for port in range(1, 5000)]
    accepted = [net.listen(hole, address) for address in holes]
    net.cut(hole)
    seed, getter = SimPeer(net, "seed", folder), SimPeer(net, "getter", folder)
    seed.share()
    async with trio.open_nursery() as nursery:
        await nursery.start(seed.run)
        await nursery.start(getter.run)
        getter.swarm.add_addresses(holes)
        await trio.sleep(1)
        getter.swarm.add_addresses([seed.address])
        await all_get(getter, within_s=20)
        nursery.cancel_scope.cancel()
    assert len(accepted) == len(holes)


async def test_a_liar_is_not_asked_at_another_of_its_addresses(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything(peer, folder)
        while True:
            await peer.send_blocks([(id_, b"junk") for id_ in await peer.read_wanted()])

    getter, liar = SimPeer(net, "getter", folder), ScriptedHost(net, "liar", script)
    async with running(getter, liar) as nursery:
        nursery.start_soon(getter.get)
        await trio.sleep(1)
        again = ScriptedHost(net, "liar", script)
        again.address = PeerAddress("liar's second", 1)
        await nursery.start(again.run)
        getter.swarm.add_addresses([again.address])
        await trio.sleep(60)
        assert getter.swarm.statistics().addresses == ()
        assert again.dialled_by[getter.host.device] == 1


async def get_in_company(net, folder, script, *, within_s: float) -> tuple[SimPeer, ScriptedHost]:
    """Two get the folder, so that they leave to seeds what to send: an honest one of 8 MiB/s, and a scripted peer."""
    seed, bad = SimPeer(net, "seed", folder, rate=8 * MIB), ScriptedHost(net, "bad", script)
    getters = [SimPeer(net, name, folder, rate=8 * MIB) for name in ("getter", "other")]
    seed.share()
    async with running(seed, *getters, bad):
        await all_get(*getters, within_s=within_s)
    assert getters[0].swarm.statistics().bans.keys() <= {bad.host.device}
    return getters[0], bad


async def claim_everything_and_take_wishes(peer: RawPeer, folder: MadeUpFolder) -> None:
    await peer.hello(features=[b"wish"])
    await peer.read_until(raw_peer.HELLO)
    await peer.send(raw_peer.HEAD, folder.head)
    await peer.send_control(raw_peer.HAVE, {b"complete": folder.root})


async def test_a_peer_that_takes_wishes_and_sends_nothing_costs_little_time(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything_and_take_wishes(peer, folder)
        while True:
            await peer.read_wanted()

    await get_in_company(net, folder, script, within_s=16)


async def test_a_peer_that_fulfils_one_wish_in_a_while_costs_little_time(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything_and_take_wishes(peer, folder)
        body = await peer.read_until(raw_peer.WISH)
        for at in range(0, len(body), 32):
            await trio.sleep(5)
            id_ = body[at : at + 32]
            await peer.send_blocks([(id_, folder.blocks[id_])])

    await get_in_company(net, folder, script, within_s=20)


async def test_a_peer_that_fulfils_wishes_with_junk_is_banned(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything_and_take_wishes(peer, folder)
        while frame := await peer.read():
            if frame[0] == raw_peer.WISH:
                await peer.send_blocks([(frame[1][:32], b"junk")])
            elif frame[0] == raw_peer.WANT:
                ids = [frame[1][at : at + 32] for at in range(0, len(frame[1]), 32)]
                await peer.send_blocks([(id_, folder.blocks[id_]) for id_ in ids if len(folder.blocks[id_]) <= MIB])

    getter, liar = await get_in_company(net, folder, script, within_s=10)
    assert list(getter.swarm.statistics().bans) == [liar.host.device]


async def test_a_peer_that_misses_all_that_is_wished_for_is_passed_over(autojump_clock, net, folder):
    async def script(peer):
        await claim_everything_and_take_wishes(peer, folder)
        while True:
            body = await peer.read_until(raw_peer.WISH)
            await peer.send(raw_peer.MISSING, body)

    await get_in_company(net, folder, script, within_s=10)


async def test_a_peer_that_announces_all_that_the_seed_has_and_serves_nothing_costs_little_time(
    autojump_clock, net, folder
):
    async def script(peer):
        await peer.hello()
        await peer.read_until(raw_peer.HELLO)
        await peer.send(raw_peer.HEAD, folder.head)
        await peer.send_control(raw_peer.HAVE, {b"whole": b"".join(folder.pages)})
        while True:
            await peer.read_wanted()

    await get_in_company(net, folder, script, within_s=16)


async def test_too_many_wishes_end_the_link(autojump_clock, net, folder):
    seed = SimPeer(net, "seed", folder)
    seed.share()

    async def script(peer):
        await peer.hello(features=[b"wish"])
        for n in range(100):
            await peer.send(raw_peer.WISH, b"".join((n * 4096 + i).to_bytes(32, "big") for i in range(4096)))

    greedy = ScriptedHost(net, "greedy", script)
    async with running(seed, greedy):
        await trio.sleep(1)
        assert "wanted at once" in endings(seed, greedy)[0]


async def test_what_comes_beside_junk_for_which_the_link_ends_is_not_lost(autojump_clock, net):
    folder = make_folder([64 << 10] * 64)

    async def flood(peer: RawPeer) -> None:
        await claim_everything(peer, folder)
        wanted = await peer.read_wanted()
        while len(folder.blocks[wanted[0]]) != 64 << 10:  # the root, then pages
            await peer.send_blocks([(id_, folder.blocks[id_]) for id_ in wanted])
            wanted = await peer.read_wanted()
        for _ in range(limits.MAX_UNASKED_BYTES // (MIB - 200_000)):
            await peer.send_blocks([(bytes(32), bytes(MIB - 200_000))])
        await peer.send_blocks([(bytes(32), bytes(MIB - 200_000)), (wanted[0], folder.blocks[wanted[0]])])

    getter, bad = await get_beside(net, folder, flood, within_s=60)
    assert "it keeps sending blocks that nobody asked for" in endings(getter, bad)


async def test_what_comes_beside_junk_does_not_hold_on_to_it(autojump_clock, net):
    folder = make_folder([64 << 10] * 64)

    async def pad(peer: RawPeer) -> None:
        await claim_everything(peer, folder)
        while True:
            for id_ in await peer.read_wanted():
                junk = [(bytes(32), bytes(MIB - 200_000))] if len(folder.blocks[id_]) == 64 << 10 else []
                await peer.send_blocks([*junk, (id_, folder.blocks[id_])])

    getter, padder = SimPeer(net, "getter", folder), ScriptedHost(net, "padder", pad)
    async with running(getter, padder):
        await all_get(getter, within_s=60)
    buffers = [memoryview(data).obj for data in getter.memory.read(list(folder.blocks)) if data is not None]
    assert sum({id(buffer): len(buffer) for buffer in buffers}.values()) < 3 * sum(map(len, folder.blocks.values()))


@pytest.mark.parametrize(("reason", "least", "most"), [(b"busy", 2, 2), (b"closing", 4, 99)])
async def test_who_has_links_enough_is_left_alone_for_half_a_minute(autojump_clock, net, folder, reason, least, most):
    async def refuse(peer: RawPeer) -> None:
        await peer.hello()
        await peer.read_until(raw_peer.HELLO)
        await peer.send_control(raw_peer.BYE, {b"reason": reason})

    getter, full = SimPeer(net, "getter", folder), ScriptedHost(net, "full", refuse)
    async with running(getter, full):
        getter.swarm.add_addresses([full.address])
        await trio.sleep(BUSY_RETRY_S * (1 + JITTER) + 2)
        assert least <= full.dialled_by.total() <= most


async def test_a_crowd_that_does_not_say_hello_displaces_its_oldest(autojump_clock, net, folder):
    seed, crowd = SimPeer(net, "seed", folder), Host("crowd")
    async with running(seed):
        began = trio.current_time()
        silent = [RawPeer(await net.dial(crowd, seed.address)) for _ in range(GREETING_LIMIT + 1)]
        assert (await silent[0].read_to_end())[-1] == (raw_peer.BYE, b"d6:reason4:busye")
        assert trio.current_time() - began < limits.HELLO_TIMEOUT_S / 2
        assert [kind for kind, _ in await silent[1].read_to_end()] == [raw_peer.HELLO, raw_peer.BYE]
        assert trio.current_time() - began >= limits.HELLO_TIMEOUT_S
