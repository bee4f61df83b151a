"""Peers that keep a getter waiting: for a word, for a block, for the rest of a block."""

import contextlib
import time

import pytest

from tests.e2e.compare import differences
from tests.e2e.program import get
from tests.hostile.forgery import honest, offer, wants
from tests.hostile.harm import Surroundings, assert_gave_up
from tests.hostile.raw_link import (
    HEAD,
    HELLO,
    MISSING,
    RawListener,
    block_frames,
    dial,
    dial_tcp,
    frame,
    listeners,
    part_frame,
)

SECOND_S = 1.0


def never_speaks(version):
    return lambda link: link.read_to_end()


def only_greets(version):
    def script(link):
        link.greet(accepted=True)
        link.read_until(-1)

    return script


def offers_nothing(version):
    def script(link):
        link.greet(accepted=True)
        link.send(HEAD, version.head)
        link.read_until(-1)

    return script


def never_answers(version):
    def script(link):
        offer(link, version)
        link.read_until(-1)

    return script


def never_answers_for_files(version):
    def script(link):
        offer(link, version)
        manifest = {version.root, *version.pages}
        for id_ in wants(link):
            if id_ in manifest:
                link.send_raw(block_frames(id_, version.blocks[id_]))

    return script


def lacks_everything(version):
    def script(link):
        offer(link, version)
        for id_ in wants(link):
            link.send(MISSING, id_)

    return script


def trickles(choose):
    """Send a byte a second of what `choose` makes of the link and the version."""

    def attack(version):
        def script(link):
            for byte in choose(link, version):
                link.send_raw(bytes([byte]))
                time.sleep(SECOND_S)

        return script

    return attack


def trickled_hello(link, version):
    return frame(HELLO, b"d5:agent900:" + bytes(900))


def trickled_root(link, version):
    offer(link, version)
    return block_frames(next(wants(link)), version.blocks[version.root])


def trickled_block(link, version):
    offer(link, version)
    for id_ in wants(link):
        if id_ in version.file_blocks:
            return block_frames(id_, version.blocks[id_])
        link.send_raw(block_frames(id_, version.blocks[id_]))
    raise EOFError


STALLS = {
    "never says HELLO": never_speaks,
    "says HELLO and no more": only_greets,
    "offers a head and nothing of it": offers_nothing,
    "never answers": never_answers,
    "gives the manifest, and no file": never_answers_for_files,
    "lacks all that it claims": lacks_everything,
    "trickles its HELLO": trickles(trickled_hello),
    "trickles the root": trickles(trickled_root),
    "trickles a block": trickles(trickled_block),
}


@pytest.fixture(scope="module")
def silent(origin):
    """Who dials the share and says nothing, or half a word."""
    with (
        dial_tcp(origin.address) as stranger,
        dial(origin.address, origin.keys) as mute,
        dial(origin.address, origin.keys) as halting,
    ):
        mute.read_until(HELLO)
        halting.read_until(HELLO)
        halting.send_raw(frame(HELLO, bytes(100))[:50])
        yield stranger, mute, halting


@pytest.fixture(scope="module")
def stalled(origin, silent, tmp_path_factory):
    """For each way of stalling a `get` that knows nobody else; all run at the same time."""
    with contextlib.ExitStack() as stack:
        running = {}
        for name, stall in STALLS.items():
            place = Surroundings(tmp_path_factory.mktemp("stalled"))
            peer = stack.enter_context(RawListener(origin.keys, stall(origin.version)))
            getter = get(origin.code, place.target, "--peer", peer.address, "--timeout", "5")
            running[name] = (stack.enter_context(getter), place, time.monotonic())
        yield running


@pytest.mark.parametrize("stall", STALLS)
def test_a_peer_that_stalls_alone_is_given_up_within_the_time_out(stalled, stall):
    getter, place, began = stalled[stall]
    sentence = assert_gave_up(getter, 3, within_s=max(0.1, began + 30 - time.monotonic()))
    assert "5 s" in sentence
    place.check()


@pytest.mark.parametrize("stall", STALLS)
def test_beside_an_honest_peer_one_that_stalls_costs_little_time(origin, tmp_path, stall):
    place = Surroundings(tmp_path)
    with (
        RawListener(origin.keys, STALLS[stall](origin.version)) as peer,
        get(origin.code, place.target, "--peer", peer.address, "--peer", origin.address) as getter,
    ):
        took_s = getter.complete()["seconds"]
        print(f"{stall}: {took_s} s")
        assert took_s < 20
    assert differences(origin.folder, place.target) == []


def test_many_that_stall_cost_no_more_than_one(origin, tmp_path):
    scripts = [stall(origin.version) for stall in STALLS.values()] * 2
    with listeners(origin.keys, scripts) as peers:
        words = [word for peer in peers for word in ("--peer", peer.address)]
        with get(origin.code, tmp_path / "b", *words, "--peer", origin.address) as getter:
            took_s = getter.complete()["seconds"]
            print(f"all: {took_s} s")
            assert took_s < 25
    assert differences(origin.folder, tmp_path / "b") == []


def vanishes(version, half=1000):
    """Give the manifest; of the first block of a file only the beginning, then the line is cut."""

    def script(link):
        offer(link, version)
        for id_ in wants(link):
            data = version.blocks[id_]
            if id_ in version.file_blocks:
                link.send_raw(part_frame(id_, len(data), 0, data)[: 45 + len(data) // 2])
                return
            link.send_raw(block_frames(id_, data))

    return script


def test_ten_peers_that_vanish_in_the_middle_of_a_block_do_no_harm(origin, tmp_path):
    place = Surroundings(tmp_path)
    with listeners(origin.keys, [vanishes(origin.version)] * 10) as peers:
        words = [word for peer in peers for word in ("--peer", peer.address)]
        with get(origin.code, place.target, *words, "--peer", origin.address) as getter:
            assert getter.complete()["fetched_bytes"] <= sum(map(len, origin.version.blocks.values()))
    assert differences(origin.folder, place.check().target) == []


def test_a_peer_that_vanishes_three_times_and_then_stays_is_a_good_source(origin, tmp_path):
    place = Surroundings(tmp_path)
    visits = []

    def script(link):
        visits.append(link)
        (vanishes if len(visits) <= 3 else honest)(origin.version)(link)

    with (
        RawListener(origin.keys, script) as peer,
        get(origin.code, place.target, "--peer", peer.address) as getter,
    ):
        getter.complete()
        assert peer.dialled == 4
    assert differences(origin.folder, place.check().target) == []


def test_who_dials_in_and_says_nothing_is_thrown_out(silent):
    """Half a handshake, none of HELLO, half of HELLO: each is waited for a while, and only a while."""
    stranger, *members = silent
    for link in members:
        link.read_to_end()  # within the 20 s that every call has
    with contextlib.suppress(ConnectionError):
        assert stranger.recv(1) == b""
