"""Ended at any moment, by whatever: what was right stays right, and the next run goes on from there."""

import os
import subprocess
import time

import pytest

from tests.e2e import lab
from tests.e2e.compare import differences, snapshot
from tests.e2e.program import code_of, eventually, follow, get, share
from tests.e2e.relay import Relay
from tests.e2e.tree import make_random_file, make_random_tree

MIB = 1 << 20


@pytest.fixture
def slow(tmp_path):
    """A sharer of 40 MiB behind a relay of 10 MB/s: sharer, bare link, relay."""
    make_random_tree(tmp_path / "a", 100, seed=1)
    make_random_file(tmp_path / "a/large", 40 * MIB, seed=2)
    with share(tmp_path / "a") as sharer:
        ready = sharer.wait_event("ready")
        with Relay(ready["listen"], rate_bytes_per_s=10e6) as relay:
            yield sharer, code_of(ready["link"]), relay


def wait_passed(relay, wanted_bytes):
    eventually(lambda: relay.passed_bytes >= wanted_bytes, f"{wanted_bytes} bytes have passed", every_s=0.005)


def hurry(relay):
    """The slow part is over: let the rest pass at full speed."""
    relay.rate_bytes_per_s = float("inf")


def assert_nothing_is_half(tmp_path):
    """Every file that stands under its name is whole."""
    wanted, found = snapshot(tmp_path / "a"), snapshot(tmp_path / "b")
    for path, seen in found.items():
        if seen.kind == "file":
            assert seen == wanted[path], path


def test_a_killed_getter_goes_on_where_it_was(slow, tmp_path):
    _, link, relay = slow
    with get(link, tmp_path / "b", "--peer", relay.address) as getter:
        wait_passed(relay, 32 * MIB)
        getter.kill()
    assert_nothing_is_half(tmp_path)
    first_bytes = relay.passed_bytes
    hurry(relay)
    with get(link, tmp_path / "b", "--peer", relay.address) as getter:
        getter.complete()
    # At most the last second or two, here of 10 MB each, and what was under way.
    assert relay.passed_bytes - first_bytes < 41 * MIB - 32 * MIB + 24e6
    assert differences(tmp_path / "a", tmp_path / "b") == []


@pytest.mark.parametrize("killed_after_bytes", [1, 20 * MIB])
def test_a_getter_killed_at_any_time_leaves_no_half_file_and_completes_later(slow, tmp_path, killed_after_bytes):
    _, link, relay = slow
    with get(link, tmp_path / "b", "--peer", relay.address) as getter:
        wait_passed(relay, killed_after_bytes)
        getter.kill()
    if (tmp_path / "b").exists():
        assert_nothing_is_half(tmp_path)
    hurry(relay)
    with get(link, tmp_path / "b", "--peer", relay.address) as getter:
        getter.complete()
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_a_sharer_that_lost_its_index_goes_above_what_those_who_come_back_know(tmp_path):
    make_random_tree(tmp_path / "a", 20, seed=1)
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        (tmp_path / "a/file").write_bytes(b"second version")
        sharer.wait_event("published", seq=2)
        with get(link, tmp_path / "b") as getter:
            getter.complete()
    for left in (tmp_path / "a/.p2psync").glob("index.sqlite*"):
        left.unlink()
    (tmp_path / "a/new").write_bytes(b"third version")
    with share(tmp_path / "a") as sharer, get(sharer.wait_event("ready")["link"], tmp_path / "b") as getter:
        getter.complete()
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_a_killed_sharer_comes_back_and_the_getter_completes(slow, tmp_path):
    sharer, link, relay = slow
    with get(link, tmp_path / "b", "--peer", relay.address) as getter:
        wait_passed(relay, 10 * MIB)
        sharer.kill()
        with share(tmp_path / "a") as returned:
            listen = returned.wait_event("ready")["listen"]
            assert listen == sharer.wait_event("ready")["listen"], "it must be found where the link says"
            hurry(relay)
            getter.complete(timeout_s=60)
    assert relay.passed_bytes < 60 * MIB
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_a_sharer_killed_while_it_scans_for_the_first_time_starts_again(tmp_path):
    make_random_file(tmp_path / "a/large", 200 * MIB, seed=1)
    with share(tmp_path / "a") as sharer:
        eventually(lambda: sharer.io_bytes("rchar") > 40 * MIB, "it reads", every_s=0.001)
        sharer.kill()
    with share(tmp_path / "a") as sharer, get(sharer.wait_event("ready")["link"], tmp_path / "b") as getter:
        getter.complete()
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_a_line_that_breaks_again_and_again_only_delays(slow, tmp_path):
    _, link, relay = slow
    with get(link, tmp_path / "b", "--peer", relay.address) as getter:
        for passed_bytes in (1, 5 * MIB, 15 * MIB, 30 * MIB):
            wait_passed(relay, passed_bytes)
            relay.cut()
        hurry(relay)
        getter.complete(timeout_s=90)
    assert relay.passed_bytes < 80 * MIB
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_the_source_may_change_while_it_is_got(slow, tmp_path):
    _, link, relay = slow
    with get(link, tmp_path / "b", "--peer", relay.address) as getter:
        wait_passed(relay, 5 * MIB)
        (tmp_path / "a/folder 0/file 0").write_bytes(b"edited meanwhile")
        (tmp_path / "a/large").unlink()
        make_random_file(tmp_path / "a/large", 8 * MIB, seed=3)
        hurry(relay)
        getter.complete(timeout_s=60)
    assert differences(tmp_path / "a", tmp_path / "b") == []


def end_by_ctrl_c(program):
    """Press Ctrl-C, and check the end that the contract asks for."""
    program.interrupt()
    assert program.wait(timeout_s=1.0) == 130


def test_ctrl_c_ends_a_get_that_waits_for_peers(slow, tmp_path):
    _, link, _ = slow
    with get(link, tmp_path / "b") as getter:
        getter.wait_event("listening")
        end_by_ctrl_c(getter)


def test_ctrl_c_ends_a_get_midway_and_the_rest_follows_later(slow, tmp_path):
    _, link, relay = slow
    with get(link, tmp_path / "b", "--peer", relay.address) as getter:
        wait_passed(relay, 30 * MIB)
        end_by_ctrl_c(getter)
    assert_nothing_is_half(tmp_path)
    first_bytes = relay.passed_bytes
    hurry(relay)
    with get(link, tmp_path / "b", "--peer", relay.address) as getter:
        getter.complete()
    assert relay.passed_bytes - first_bytes < 20 * MIB, "a stop in good order keeps what is verified"
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_ctrl_c_ends_a_share_that_serves(slow, tmp_path):
    sharer, link, relay = slow
    with get(link, tmp_path / "b", "--peer", relay.address):
        wait_passed(relay, MIB)
        end_by_ctrl_c(sharer)


def test_ctrl_c_ends_a_share_that_scans(tmp_path):
    make_random_file(tmp_path / "a/large", 400 * MIB, seed=1)
    with share(tmp_path / "a") as sharer:
        eventually(lambda: sharer.io_bytes("rchar") > 30 * MIB, "it reads", every_s=0.001)
        end_by_ctrl_c(sharer)


def test_ctrl_c_ends_a_follower_and_a_seeder(slow, tmp_path):
    sharer, _, _ = slow
    link = sharer.wait_event("ready")["link"]
    with follow(link, tmp_path / "b") as follower, get(link, tmp_path / "c", "--seed") as seeder:
        follower.wait_event("matched")
        seeder.wait_event("matched")
        end_by_ctrl_c(follower)
        end_by_ctrl_c(seeder)


@pytest.mark.skipif(bool(lab.why_not()), reason=lab.why_not())
def test_a_network_that_is_gone_for_20_seconds_only_delays(tmp_path):
    make_random_file(tmp_path / "a/large", 60 * MIB, seed=1)
    with (
        lab.two_hosts(rate="80mbit") as (one, other),
        share(tmp_path / "a", "--listen", f"{one.address}:0", "--no-lan", prefix=one.prefix) as sharer,
    ):
        link = sharer.wait_event("ready")["link"]
        where = ("--listen", f"{other.address}:0", "--no-lan")
        with get(link, tmp_path / "b", *where, prefix=other.prefix) as getter:
            eventually(lambda: getter.io_bytes("wchar") > 10 * MIB, "it fetches")
            other.set_link("down")
            time.sleep(20)
            assert getter.is_running()
            other.set_link("up")
            getter.complete(timeout_s=60)
    assert differences(tmp_path / "a", tmp_path / "b") == []


def room_for(place, size):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "p2psync-e2e", place], check=True)


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 16 MiB."""
    place = tmp_path / "small disk"
    place.mkdir()
    room_for(place, "16m")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_ends_in_a_sentence_and_with_room_it_completes(tmp_path, small_disk):
    make_random_tree(tmp_path / "a", 300, seed=1)
    make_random_file(tmp_path / "a/large", 24 * MIB, seed=2)
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        with get(link, small_disk / "b") as getter:
            assert getter.wait() == 5
            assert getter.wait_event("error")["message"]
            assert "full" in getter.told()
        subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
        with get(link, small_disk / "b") as getter:
            assert getter.complete()["fetched_bytes"] < 24 * MIB
    assert differences(tmp_path / "a", small_disk / "b") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_at_the_sharer_ends_in_a_sentence(small_disk):
    with pytest.raises(OSError, match="No space"):
        (small_disk / "fill").write_bytes(bytes(17 * MIB))
    with share(small_disk) as sharer:
        assert sharer.wait() == 5
        assert sharer.wait_event("error")["message"]
