"""The main job: one shares a folder, another gets it, and both end the same."""

import os
import resource

from tests.e2e.compare import differences
from tests.e2e.program import AS_A_USER, code_of, eventually, get, share
from tests.e2e.relay import Relay
from tests.e2e.tree import make_random_file, make_random_tree, make_specials, make_strange_tree, size_bytes

MIB = 1 << 20


def test_a_strange_tree_arrives_exactly_with_no_privilege_on_either_side(tmp_path):
    make_strange_tree(tmp_path / "a")
    with share(tmp_path / "a", prefix=AS_A_USER) as sharer:
        link = sharer.wait_event("ready")["link"]
        with get(link, tmp_path / "b", prefix=AS_A_USER) as getter:
            getter.complete()
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_sharing_changes_nothing_but_its_state_folder(tmp_path):
    make_strange_tree(tmp_path / "a")
    before = {path: os.lstat(path) for path in (tmp_path / "a").rglob("*")}
    with share(tmp_path / "a") as sharer:
        sharer.wait_event("ready")
    for path, status in before.items():
        assert (os.lstat(path).st_mtime_ns, os.lstat(path).st_mode) == (status.st_mtime_ns, status.st_mode)
    added = {path.name for path in (tmp_path / "a").iterdir()} - {path.name for path in before}
    assert added <= {".p2psync"}


def test_files_of_many_sizes_arrive(tmp_path):
    for number, size in enumerate((0, 1, 65_535, 65_536, 65_537, MIB, 5 * MIB + 3, 40 * MIB)):
        make_random_file(tmp_path / "a" / f"{size} bytes", size, seed=number)
    with share(tmp_path / "a") as sharer, get(sharer.wait_event("ready")["link"], tmp_path / "b") as getter:
        getter.complete()
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_a_thousand_small_files_arrive(tmp_path):
    make_random_tree(tmp_path / "a", 1000, seed=1)
    with share(tmp_path / "a") as sharer, get(sharer.wait_event("ready")["link"], tmp_path / "b") as getter:
        assert getter.complete()["files"] == 1000
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_it_takes_more_open_files_than_the_usual_limit(tmp_path):
    (tmp_path / "a").mkdir()
    with share(tmp_path / "a", prefix=("prlimit", "--nofile=256:4000")) as sharer:
        sharer.wait_event("ready")
        assert resource.prlimit(sharer.pid, resource.RLIMIT_NOFILE) == (4000, 4000)


def test_an_empty_folder_is_shared_and_got(tmp_path):
    (tmp_path / "a").mkdir()
    with share(tmp_path / "a") as sharer, get(sharer.wait_event("ready")["link"], tmp_path / "b") as getter:
        assert getter.complete()["files"] == 0
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_equal_contents_travel_once(tmp_path):
    make_random_file(tmp_path / "a/one", 8 * MIB, seed=1)
    for name in ("two", "three", "deeper/four"):
        make_random_file(tmp_path / "a" / name, 8 * MIB, seed=1)
    with share(tmp_path / "a") as sharer, get(sharer.wait_event("ready")["link"], tmp_path / "b") as getter:
        assert 8 * MIB <= getter.complete()["fetched_bytes"] < 9 * MIB
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_events_carry_what_the_contract_says(tmp_path):
    make_random_tree(tmp_path / "a", 20, seed=1)
    make_random_file(tmp_path / "a/large", 30 * MIB, seed=2)
    with share(tmp_path / "a") as sharer:
        ready = sharer.wait_event("ready")
        with get(ready["link"], tmp_path / "b") as getter:
            matched = getter.complete()
    assert sharer.events[0] == {**sharer.events[0], "event": "listening", "listen": ready["listen"]}
    assert ready["listen"].startswith("127.0.0.1:")
    assert ready["link"] == ready["read_link"]
    links = {ready["read_link"], ready["write_link"], ready["store_link"]}
    assert len(links) == 3
    assert all(link.startswith("p2psync:") for link in links)
    assert (ready["files"], ready["bytes"]) == (21, size_bytes(tmp_path / "a"))
    assert bytes.fromhex(ready["root"]) == bytes.fromhex(matched["root"])
    assert getter.events[0]["event"] == "listening"
    assert (matched["files"], matched["bytes"]) == (21, ready["bytes"])
    assert ready["bytes"] <= matched["fetched_bytes"] + matched["reused_bytes"]
    assert matched["fetched_bytes"] < ready["bytes"] + MIB
    assert matched["uploaded_bytes"] == 0
    assert 0 < matched["seconds"] < 30
    assert_progress(getter)


def assert_progress(of):
    progress = [event for event in of.events if event["event"] == "progress"]
    counts = ("done_bytes", "total_bytes", "fetched_bytes", "uploaded_bytes", "peers")
    assert all(isinstance(event["state"], str) and event["state"] for event in progress)
    assert all(isinstance(event[name], int) and event[name] >= 0 for event in progress for name in counts)


def test_progress_says_what_moves_on_both_sides(tmp_path):
    make_random_file(tmp_path / "a/large", 24 * MIB, seed=1)
    with share(tmp_path / "a") as sharer:
        ready = sharer.wait_event("ready")
        with (
            Relay(ready["listen"], rate_bytes_per_s=8e6) as relay,
            get(code_of(ready["link"]), tmp_path / "b", "--peer", relay.address) as getter,
        ):
            getter.complete()
        eventually(lambda: uploaded(sharer) >= 24 * MIB, "the sharer tells what it uploaded")
    assert_progress(getter)
    assert_progress(sharer)
    seen = [event for event in getter.events if event["event"] == "progress"]
    assert 2 <= len(seen) <= 2 * getter.events[-1]["seconds"] + 4, "at most twice a second"
    done = [event["done_bytes"] for event in seen if event["peers"]]
    assert done == sorted(done)
    assert any(0 < event["done_bytes"] < event["total_bytes"] for event in seen)


def uploaded(sharer):
    return max((event["uploaded_bytes"] for event in sharer.events if event["event"] == "progress"), default=0)


def test_sharing_again_gives_the_same_link_and_reads_no_file_again(tmp_path):
    make_random_file(tmp_path / "a/large", 64 * MIB, seed=1)
    make_random_tree(tmp_path / "a/small", 100, seed=1)
    ready, read_bytes = [], []
    for _ in range(2):
        with share(tmp_path / "a") as sharer:
            ready.append(sharer.wait_event("ready"))
            read_bytes.append(sharer.io_bytes("rchar"))
            sharer.kill()
    for name in ("link", "read_link", "write_link", "store_link", "root", "listen"):
        assert ready[0][name] == ready[1][name]
    assert read_bytes[0] > 64 * MIB, "the first one must read it all, or this counts the wrong thing"
    assert read_bytes[1] < 32 * MIB


def test_only_what_changed_is_read_again(tmp_path):
    make_random_file(tmp_path / "a/large", 64 * MIB, seed=1)
    with share(tmp_path / "a") as sharer:
        first = sharer.wait_event("ready")
    (tmp_path / "a/new").write_bytes(b"new")
    with share(tmp_path / "a") as sharer:
        second = sharer.wait_event("ready")
        assert sharer.io_bytes("rchar") < 32 * MIB
    assert first["link"] == second["link"]
    assert first["root"] != second["root"]


def test_a_moved_folder_keeps_its_link(tmp_path):
    make_random_tree(tmp_path / "a", 3, seed=1)
    with share(tmp_path / "a") as sharer:
        before = sharer.wait_event("ready")
    (tmp_path / "a").rename(tmp_path / "moved")
    with share(tmp_path / "moved") as sharer:
        after = sharer.wait_event("ready")
    assert code_of(before["link"]) == code_of(after["link"])
    assert before["root"] == after["root"]


def test_two_folders_with_the_same_contents_have_different_links(tmp_path):
    codes = set()
    for name in "ab":
        make_random_tree(tmp_path / name, 3, seed=1)
        with share(tmp_path / name) as sharer:
            ready = sharer.wait_event("ready")
            codes.update(code_of(ready[kind]) for kind in ("read_link", "write_link", "store_link"))
    assert len(codes) == 6


def test_state_may_live_elsewhere_so_that_the_source_is_left_alone(tmp_path):
    make_random_tree(tmp_path / "a", 10, seed=1)
    (tmp_path / "a").chmod(0o555)
    with share(tmp_path / "a", "--state-dir", tmp_path / "state", prefix=AS_A_USER) as sharer:
        first = sharer.wait_event("ready")
        with get(first["link"], tmp_path / "b") as getter:
            getter.complete()
    assert not (tmp_path / "a/.p2psync").exists()
    assert differences(tmp_path / "a", tmp_path / "b") == []
    with share(tmp_path / "a", "--state-dir", tmp_path / "state", prefix=AS_A_USER) as sharer:
        assert sharer.wait_event("ready")["link"] == first["link"]


def test_fifo_and_socket_are_reported_and_left_out(tmp_path):
    make_random_tree(tmp_path / "a", 3, seed=1)
    make_specials(tmp_path / "a")
    with share(tmp_path / "a") as sharer:
        ready = sharer.wait_event("ready")
        assert ready["files"] == 3
        eventually(lambda: "a fifo" in sharer.told() and "a socket" in sharer.told(), "both are reported")
        with get(ready["link"], tmp_path / "b") as getter:
            getter.complete()
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_an_unreadable_file_is_reported_and_the_rest_is_shared(tmp_path):
    make_random_tree(tmp_path / "a", 3, seed=1)
    (tmp_path / "a/secret").write_bytes(b"nobody may read this")
    (tmp_path / "a/secret").chmod(0)
    with share(tmp_path / "a", prefix=AS_A_USER) as sharer:
        link = sharer.wait_event("ready")["link"]
        eventually(lambda: "secret" in sharer.told(), "the file is named")
        with get(link, tmp_path / "b") as getter:
            getter.complete()
    assert len(differences(tmp_path / "a", tmp_path / "b")) == 1


def test_a_shared_file_that_can_no_longer_be_read_is_named_at_the_other_end_and_the_rest_is_there(tmp_path):
    make_random_tree(tmp_path / "a", 3, seed=1)
    (tmp_path / "a/secret").write_bytes(b"nobody may read this any more")
    with share(tmp_path / "a", prefix=AS_A_USER) as sharer:
        link = sharer.wait_event("ready")["link"]
        (tmp_path / "a/secret").chmod(0)
        eventually(lambda: "secret" in sharer.told(), "the file is named where it is")
        why = "waiting for somebody who has what is missing of 'secret': the one linked peer does not"
        with get(link, tmp_path / "b", "--timeout", "8") as getter:
            getter.wait_event("progress", waiting_for=why)
            assert getter.wait_event("error")["message"] == f"nothing came from the peer for 8 s: {why}"
            assert getter.wait() == 3
    left = differences(tmp_path / "a", tmp_path / "b")
    assert [each for each in left if "has mode" not in each] == ["'secret' is missing"]  # directories are finished last


def test_a_locale_that_does_not_know_the_names_changes_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/stra\u00dfe").write_bytes(b"content")
    ascii_only = ("env", "LC_ALL=C", "PYTHONUTF8=0", "PYTHONCOERCECLOCALE=0")
    with (
        share(tmp_path / "a", prefix=ascii_only) as sharer,
        get(sharer.wait_event("ready")["link"], tmp_path / "b", prefix=ascii_only) as getter,
    ):
        getter.complete()
    assert differences(tmp_path / "a", tmp_path / "b") == []
