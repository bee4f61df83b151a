"""A version that is older than one already seen is never accepted again, whoever offers it."""

import pytest

from p2psync.keys import keys_from_seed, make_seed
from tests.e2e.compare import snapshot
from tests.e2e.program import follow, get
from tests.hostile.forgery import code_for, file, forge, honest, provisional, serve
from tests.hostile.harm import Surroundings, assert_gave_up
from tests.hostile.raw_link import HEAD, RawListener

KEYS = keys_from_seed(make_seed())
OLD = forge(KEYS, [file(b"f", b"old"), file(b"gone", b"removed in the second version")], seq=1)
NEW = forge(KEYS, [file(b"f", b"new")], seq=2)


@pytest.fixture
def place(tmp_path):
    """A target that has seen the second version."""
    place = Surroundings(tmp_path)
    with (
        RawListener(KEYS, honest(NEW)) as peer,
        get(code_for(KEYS), place.target, "--peer", peer.address) as getter,
    ):
        getter.complete()
    return place


def test_an_older_version_alone_changes_nothing_and_exits_4(place):
    before = snapshot(place.target)
    with (
        RawListener(KEYS, honest(OLD)) as peer,
        get(code_for(KEYS), place.target, "--peer", peer.address, "--timeout", "2") as getter,
    ):
        sentence = assert_gave_up(getter, 4, within_s=20)
        assert peer.dialled >= 1
    assert "older" in sentence
    assert snapshot(place.check().target) == before


def test_a_provisional_head_of_whatever_number_changes_nothing_after_a_real_one(place):
    before = snapshot(place.target)
    early = provisional(forge(KEYS, [file(b"other", b"of long ago")]), KEYS, seq=10**6)
    with (
        RawListener(KEYS, honest(early)) as peer,
        get(code_for(KEYS), place.target, "--exact", "--peer", peer.address, "--timeout", "2") as getter,
    ):
        assert "older" in assert_gave_up(getter, 4, within_s=20)
    assert snapshot(place.check().target) == before


def test_get_does_not_end_on_a_provisional_head_and_deletes_nothing_for_it(tmp_path):
    place = Surroundings(tmp_path)
    place.target.mkdir()
    (place.target / "mine").write_bytes(b"the user's")
    early = provisional(forge(KEYS, [file(b"f", b"found so far")]), KEYS)
    with (
        RawListener(KEYS, honest(early)) as peer,
        get(code_for(KEYS), place.target, "--exact", "--peer", peer.address, "--timeout", "3") as getter,
    ):
        assert_gave_up(getter, 3, within_s=20)
        assert not [event for event in getter.events if event["event"] == "matched"]
    assert (place.target / "f").read_bytes() == b"found so far"
    assert (place.target / "mine").read_bytes() == b"the user's"


def test_the_newest_version_is_found_beside_an_older_one(place):
    (place.target / "f").unlink()
    with (
        RawListener(KEYS, honest(OLD)) as old,
        RawListener(KEYS, honest(NEW)) as new,
        get(code_for(KEYS), place.target, "--peer", old.address, "--peer", new.address) as getter,
    ):
        assert getter.complete()["root"] == NEW.root.hex()
    assert {path: seen.size_bytes for path, seen in snapshot(place.target).items()} == {b"f": 3}


def test_a_follower_that_runs_does_not_go_back_either(tmp_path):
    place = Surroundings(tmp_path)

    def both(link):
        link.greet(accepted=True)
        for version in (OLD, NEW, OLD, NEW, OLD, NEW):
            link.send(HEAD, version.head)
            link.have(complete=version.root)
        serve(link, NEW.with_blocks(OLD.blocks))

    with (
        RawListener(KEYS, both) as peer,
        follow(code_for(KEYS), place.target, "--peer", peer.address) as follower,
    ):
        follower.wait_event("matched", root=NEW.root.hex())
        follower.interrupt()
        follower.wait()
        assert {event["root"] for event in follower.events if event["event"] == "matched"} == {NEW.root.hex()}
    assert (place.target / "f").read_bytes() == b"new"
