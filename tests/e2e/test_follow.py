"""A follower stays in step with the folder it follows."""

import os
import shutil

import pytest

from tests.e2e.compare import differences
from tests.e2e.program import code_of, eventually, follow, share
from tests.e2e.relay import Relay
from tests.e2e.tree import make_random_file, make_random_tree

MIB = 1 << 20
CONTROL_BYTES = 256 << 10


def write(folder):
    (folder / "folder 0/file 0").write_bytes(b"edited")


def grow(folder):
    with (folder / "large").open("ab") as file:
        file.write(b"one more line")


def create(folder):
    (folder / "new/deeper").mkdir(parents=True)
    (folder / "new/deeper/file").write_bytes(b"created")
    (folder / "new/link").symlink_to("deeper")
    (folder / "empty").mkdir()


def delete(folder):
    (folder / "large").unlink()
    shutil.rmtree(folder / "folder 1")


def rename(folder):
    (folder / "large").rename(folder / "folder 0/räksmörgås")


def rename_folder(folder):
    (folder / "folder 0").rename(folder / "another name")


def chmod(folder):
    (folder / "large").chmod(0o400)
    (folder / "folder 1").chmod(0o700)


def touch(folder):
    os.utime(folder / "large", ns=(1, 1_234_567_890_123_456_789))


def replace_kind(folder):
    (folder / "large").unlink()
    (folder / "large").mkdir()
    (folder / "large/inside").write_bytes(b"now a folder")
    shutil.rmtree(folder / "folder 1")
    (folder / "folder 1").symlink_to("folder 2")


def swap(folder):
    (folder / "folder 0/file 1").rename(folder / "swap")
    (folder / "folder 0/file 2").rename(folder / "folder 0/file 1")
    (folder / "swap").rename(folder / "folder 0/file 2")


CHANGES = [write, grow, create, delete, rename, rename_folder, chmod, touch, replace_kind, swap]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A sharer and a follower that match, a relay between them that counts, and the place of their folders.

    Every change has a folder of its own to work in.
    """
    place = tmp_path_factory.mktemp("pair")
    (place / "a").mkdir()
    for seed, change in enumerate(CHANGES):
        make_random_tree(place / "a" / change.__name__, 100, seed=seed)
        make_random_file(place / "a" / change.__name__ / "large", 4 * MIB, seed=seed)
    with share(place / "a") as sharer:
        ready = sharer.wait_event("ready")
        with (
            Relay(ready["listen"]) as relay,
            follow(code_of(ready["link"]), place / "b", "--peer", relay.address) as follower,
        ):
            follower.wait_event("matched", root=ready["root"])
            yield sharer, follower, relay, place


def in_step(place, inside="."):
    try:
        return not differences(place / "a" / inside, place / "b" / inside)
    except OSError:  # a name went away between looking and reading
        return False


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_arrives_and_moves_no_data_that_was_there(pair, change):
    sharer, follower, relay, place = pair
    before_bytes, published_before, matched_before = relay.passed_bytes, len(sharer.events), len(follower.events)
    change(place / "a" / change.__name__)
    published = sharer.wait_event("published", since=published_before)
    eventually(lambda: in_step(place, change.__name__), change.__name__, every_s=0.05)
    assert published["seq"] > 1
    follower.wait_event("matched", since=matched_before)
    assert relay.passed_bytes - before_bytes < CONTROL_BYTES


def test_new_data_alone_travels(pair):
    _, _, relay, place = pair
    before_bytes = relay.passed_bytes
    make_random_file(place / "a/added/file", 2 * MIB, seed=99)
    eventually(lambda: in_step(place, "added"), "the new file is there", every_s=0.1)
    assert 2 * MIB <= relay.passed_bytes - before_bytes < 2 * MIB + CONTROL_BYTES


def test_the_last_match_is_of_the_last_head(pair):
    sharer, follower, _, place = pair
    for number in range(20):
        (place / f"a/file {number}").write_bytes(b"%d" % number)
        (place / f"a/file {number // 2}").unlink(missing_ok=True)
    eventually(lambda: in_step(place), "all changes are there", every_s=0.1)
    eventually(lambda: last(sharer, "published")["root"] == last(follower, "matched")["root"], "the roots agree")
    seqs = [event["seq"] for event in sharer.events if event["event"] == "published"]
    assert seqs == sorted(set(seqs))


def test_what_came_counts_as_fetched_whatever_version_it_came_for(tmp_path):
    make_random_file(tmp_path / "a/large", 24 * MIB, seed=1)
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        with follow(link, tmp_path / "b", "--limit-down", "8M") as follower:
            follower.wait_event("progress", state="fetching")
            for number in range(5):
                heard = len(sharer.events)
                make_random_file(tmp_path / f"a/{number}", MIB, seed=2 + number)
                root = sharer.wait_event("published", since=heard)["root"]
            follower.wait_event("matched", root=root)
            follower.wait_event("progress", state="matched")
    counts = [event["fetched_bytes"] for event in follower.events if "fetched_bytes" in event]
    assert counts == sorted(counts)
    assert counts[-1] == 29 * MIB


def test_a_follower_that_was_away_catches_up(tmp_path):
    make_random_tree(tmp_path / "a", 100, seed=1)
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        with follow(link, tmp_path / "b") as follower:
            follower.wait_event("matched")
            follower.interrupt()
            assert follower.wait() == 130
        for change in (create, rename_folder):
            change(tmp_path / "a")
        with follow(link, tmp_path / "b"):
            eventually(lambda: in_step(tmp_path), "it caught up", every_s=0.1)


def test_a_follower_that_comes_first_waits_for_the_sharer(tmp_path):
    make_random_tree(tmp_path / "a", 10, seed=1)
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
    with follow(link, tmp_path / "b") as follower:
        follower.wait_event("progress", peers=0)
        with share(tmp_path / "a"):
            follower.wait_event("matched", timeout_s=60)
            assert differences(tmp_path / "a", tmp_path / "b") == []


def test_the_followers_own_files_are_left_alone(pair):
    _, follower, _, place = pair
    make_random_tree(place / "a/own", 5, seed=5)
    eventually(lambda: in_step(place, "own"), "the folder is there", every_s=0.1)
    (place / "b/own/folder 0/mine").write_bytes(b"mine")
    mark = len(follower.events)
    (place / "a/own/folder 0/file 0").write_bytes(b"edited")
    follower.wait_event("matched", since=mark)
    eventually(lambda: len(differences(place / "a/own", place / "b/own")) == 1, "only that differs", every_s=0.1)
    assert differences(place / "a/own", place / "b/own") == ["'folder 0/mine' should not be there"]
    (place / "b/own/folder 0/mine").unlink()


def test_an_edit_right_after_a_match_is_published_too(pair):
    _, _, _, place = pair
    make_random_tree(place / "a/at once", 5, seed=7)
    eventually(lambda: in_step(place, "at once"), "the folder is there", every_s=0.01)
    (place / "a/at once/folder 0/file 0").write_bytes(b"edited at once")
    eventually(lambda: in_step(place, "at once"), "the edit is there", every_s=0.1, timeout_s=10)


def test_a_followers_edit_is_kept_when_the_sharer_changes_the_same_file(pair):
    _, _, _, place = pair
    make_random_tree(place / "a/both", 5, seed=6)
    eventually(lambda: in_step(place, "both"), "the folder is there", every_s=0.1)
    (place / "b/both/folder 0/file 0").write_bytes(b"the follower's words")
    (place / "a/both/folder 0/file 0").write_bytes(b"the sharer's words, later")
    eventually(lambda: in_step(place, "both"), "the sharer's version is there", every_s=0.1)
    kept = [path.read_bytes() for path in (place / "b/.p2psync/versions").rglob("*") if path.is_file()]
    assert b"the follower's words" in kept


def last(program, name):
    return [event for event in program.events if event["event"] == name][-1]
