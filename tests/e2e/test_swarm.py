"""Several at once: every getter serves the others, and the sharer is not needed for ever."""

import os
import signal
from contextlib import ExitStack

from tests.e2e.compare import differences
from tests.e2e.program import code_of, follow, get, share
from tests.e2e.relay import Relay
from tests.e2e.tree import make_random_file, make_random_tree

MIB = 1 << 20


def make_folder(root):
    make_random_tree(root, 300, seed=1)
    make_random_file(root / "large", 40 * MIB, seed=2)


def test_three_getters_at_once_then_a_fourth_when_the_sharer_is_gone(tmp_path):
    make_folder(tmp_path / "a")
    with ExitStack() as stack:
        sharer = stack.enter_context(share(tmp_path / "a"))
        link = sharer.wait_event("ready")["link"]
        getters = [stack.enter_context(get(link, tmp_path / f"b{number}", "--seed")) for number in range(3)]
        for number, getter in enumerate(getters):
            getter.wait_event("matched")
            assert differences(tmp_path / "a", tmp_path / f"b{number}") == []
        sharer.kill()
        addresses = [getter.wait_event("listening")["listen"] for getter in getters]
        peers = [option for address in addresses for option in ("--peer", address)]
        with get(code_of(link), tmp_path / "fourth", *peers) as fourth:
            fourth.complete()
    assert differences(tmp_path / "a", tmp_path / "fourth") == []


def test_a_follower_serves_when_the_sharer_is_gone(tmp_path):
    make_folder(tmp_path / "a")
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        with follow(link, tmp_path / "b") as follower:
            follower.wait_event("matched")
            sharer.kill()
            address = follower.wait_event("listening")["listen"]
            with get(code_of(link), tmp_path / "c", "--peer", address) as getter:
                getter.complete()
    assert differences(tmp_path / "a", tmp_path / "c") == []


def test_a_getter_serves_what_it_has_while_it_still_fetches(tmp_path):
    make_random_file(tmp_path / "a/large", 24 * MIB, seed=1)
    with share(tmp_path / "a") as sharer:
        ready = sharer.wait_event("ready")
        with (
            Relay(ready["listen"], rate_bytes_per_s=6e6) as relay,
            get(code_of(ready["link"]), tmp_path / "b", "--seed", "--peer", relay.address) as first,
        ):
            # The second knows the first alone, which is still short of most when the second begins.
            address = first.wait_event("listening")["listen"]
            with get(code_of(ready["link"]), tmp_path / "c", "--peer", address) as second:
                second.complete()
            behind_s = second.events[-1]["seconds"] - first.wait_event("matched")["seconds"]
    assert behind_s < 10
    assert differences(tmp_path / "a", tmp_path / "c") == []


def test_getters_that_know_each_other_take_little_more_than_one_copy_from_a_slow_sharer(tmp_path):
    make_random_file(tmp_path / "a/large", 24 * MIB, seed=1)
    with ExitStack() as stack:
        sharer = stack.enter_context(share(tmp_path / "a"))
        ready = sharer.wait_event("ready")
        relay = stack.enter_context(Relay(ready["listen"], rate_bytes_per_s=8e6))
        getters, known = [], ["--peer", relay.address]
        for number in range(3):
            getter = get(code_of(ready["link"]), tmp_path / f"b{number}", "--seed", *known)
            getters.append(stack.enter_context(getter))
            known += ["--peer", getter.wait_event("listening")["listen"]]
        for getter in getters:
            getter.wait_event("matched")
        assert relay.passed_bytes < 1.8 * 24 * MIB
    for number in range(3):
        assert differences(tmp_path / "a", tmp_path / f"b{number}") == []


def test_a_peer_that_goes_silent_midway_does_not_stop_the_rest(tmp_path):
    make_random_file(tmp_path / "a/large", 16 * MIB, seed=1)
    slowly = ("--limit-up", "4M")
    with share(tmp_path / "a", *slowly) as silent:
        link = silent.wait_event("ready")["link"]
        with follow(link, tmp_path / "b", *slowly) as good:
            good.wait_event("matched")
            address = good.wait_event("listening")["listen"]
            with get(link, tmp_path / "c", "--peer", address) as getter:
                getter.wait_event("progress", peers=2)
                os.kill(silent.pid, signal.SIGSTOP)
                assert not [event for event in getter.events if event["event"] == "matched"]
                getter.complete(timeout_s=60)
    assert differences(tmp_path / "a", tmp_path / "c") == []


def test_several_shares_run_beside_each_other(tmp_path):
    with ExitStack() as stack:
        for name in "xyz":
            make_random_tree(tmp_path / name, 20, seed=ord(name))
            sharer = stack.enter_context(share(tmp_path / name))
            link = sharer.wait_event("ready")["link"]
            stack.enter_context(get(link, tmp_path / f"{name} got")).complete()
    for name in "xyz":
        assert differences(tmp_path / name, tmp_path / f"{name} got") == []


def test_strangers_that_serve_few_at_a_time_all_get_there(tmp_path):
    make_random_file(tmp_path / "a/large", 12 * MIB, seed=1)
    with ExitStack() as stack:
        sharer = stack.enter_context(share(tmp_path / "a", "--reciprocal", "--limit-up", "4M"))
        link = sharer.wait_event("ready")["link"]
        getters = [
            stack.enter_context(get(link, tmp_path / f"b{number}", "--seed", "--reciprocal")) for number in range(5)
        ]
        for getter in getters:
            getter.wait_event("matched", timeout_s=90)
    for number in range(5):
        assert differences(tmp_path / "a", tmp_path / f"b{number}") == []
