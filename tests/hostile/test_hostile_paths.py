"""Signed paths that would lead out of the folder, or cannot be: refused one by one, and the rest arrives."""

import os

import pytest

from p2psync.keys import keys_from_seed, make_seed
from tests.e2e.compare import snapshot
from tests.e2e.program import get
from tests.hostile.forgery import code_for, directory, file, forge, honest, symlink
from tests.hostile.harm import Surroundings, assert_gave_up, assert_is_a_sentence
from tests.hostile.raw_link import RawListener

KEYS = keys_from_seed(make_seed())
BAD = b"written where it must not be"


def bad(path, **changes):
    return file(path, BAD + b" " + path[:20], **changes)


def hostile_entries(outside):
    """Return the entries that must be refused, by their paths."""
    out = os.fsencode(outside)
    return [
        bad(b"../escaped"),
        bad(b"good/../../escaped"),
        bad(b".."),
        bad(b"."),
        bad(b"good/."),
        bad(b"good//twice"),
        bad(b"", parent=b"/", name=b"absolute"),
        bad(out + b"/absolute"),
        bad(b"", parent=b"good", name=b"../../escaped"),
        bad(b"", parent=b"", name=out + b"/in the name"),
        directory(b"../made"),
        symlink(b"../linked", b"/etc/passwd"),
        # Through links that the manifest itself makes: to a folder outside, to the folder above, to another link.
        bad(b"out/through a link"),
        bad(b"up/through a link"),
        bad(b"again/through two links"),
        bad(b"out/folder/deeper"),
        directory(b"out/new folder"),
        symlink(b"out/new link", b"precious"),
        # Through links and files that stand in the target already.
        bad(b"standing/through a link"),
        bad(b"mine/below a file"),
        bad(b"plain/below a file"),
        bad(b"nowhere/without its folder"),
        bad(b"x" * 300),
        bad(b"good/" + b"y" * 256),
        # p2psync's own files.
        bad(b".p2psync/link"),
        bad(b".p2psync"),
        directory(b".p2psync/staging"),
        symlink(b".p2psync/versions", out),
    ]


def good_entries(outside):
    return [
        directory(b"good"),
        file(b"good/file", b"a right file"),
        file(b"plain", b"another right file"),
        symlink(b"out", os.fsencode(outside)),
        symlink(b"up", b".."),
        symlink(b"again", b"out"),
        symlink(b"precious", os.fsencode(outside / "precious")),
        file(b"...", b"three dots are a name"),
        file(b"z" * 255, b"255 bytes are a name"),
    ]


def test_paths_that_lead_out_are_refused_one_by_one_and_the_rest_arrives(tmp_path):
    place = Surroundings(tmp_path)
    place.target.mkdir()
    (place.target / "standing").symlink_to(place.outside)
    (place.target / "mine").write_bytes(b"the user's own")
    hostile, good = hostile_entries(place.outside), good_entries(place.outside)
    version = forge(KEYS, [*hostile, *good])
    with (
        RawListener(KEYS, honest(version)) as peer,
        get(code_for(KEYS), place.target, "--peer", peer.address) as getter,
    ):
        sentence = assert_gave_up(getter, 5, within_s=30)
        refused = [event["message"] for event in getter.events if event["event"] == "error"][:-1]
    assert str(len(hostile)) in sentence
    assert len(refused) == len(hostile)
    for message in refused:
        assert_is_a_sentence(message)
    assert {event["kind"] for event in getter.events if event["event"] == "error"} == {"path", "disk"}
    found = snapshot(place.check_outside().target)
    assert set(found) == {one.entry.path for one in good} | {b"standing", b"mine"}
    assert (place.target / "mine").read_bytes() == b"the user's own"
    assert (place.target / "plain").read_bytes() == b"another right file"
    assert os.readlink(place.target / "standing") == str(place.outside)
    assert (place.target / ".p2psync/link").read_text().startswith("p2psync:")
    own = [path for path in (place.target / ".p2psync").rglob("*") if path.is_file()]
    assert [path for path in own if BAD in path.read_bytes() and "index" not in path.name] == []


def test_what_stands_in_the_way_is_kept_and_never_written_through(tmp_path):
    place = Surroundings(tmp_path)
    place.target.mkdir()
    (place.target / "folder").symlink_to(place.outside / "folder")
    (place.target / "precious").symlink_to(place.outside / "precious")
    os.link(place.outside / "precious", place.target / "hard")
    made = [directory(b"folder"), file(b"folder/f", b"new"), file(b"precious", b"new"), file(b"hard", b"new")]
    with (
        RawListener(KEYS, honest(forge(KEYS, made))) as peer,
        get(code_for(KEYS), place.target, "--peer", peer.address) as getter,
    ):
        getter.complete()
    place.check_outside()
    assert not (place.target / "folder").is_symlink()
    for name in ("folder/f", "precious", "hard"):
        assert (place.target / name).read_bytes() == b"new"
    kept = {path.name for path in (place.target / ".p2psync/versions").rglob("*") if path.is_symlink()}
    assert kept == {"folder", "precious"}


def test_a_path_that_turns_from_a_folder_into_a_link_is_never_written_through(tmp_path):
    """First a folder with a file; then a link to the outside at its place, and the file still listed below it."""
    place = Surroundings(tmp_path)
    before = forge(KEYS, [directory(b"d"), file(b"d/f", b"as it was"), file(b"rest", b"1")], seq=1)
    after = forge(KEYS, [symlink(b"d", os.fsencode(place.outside)), bad(b"d/f"), file(b"rest", b"2")], seq=2)
    with (
        RawListener(KEYS, honest(before)) as peer,
        get(code_for(KEYS), place.target, "--peer", peer.address) as getter,
    ):
        getter.complete()
    with (
        RawListener(KEYS, honest(after)) as peer,
        get(code_for(KEYS), place.target, "--peer", peer.address) as getter,
    ):
        assert_gave_up(getter, 5, within_s=30)
    place.check_outside()
    assert (place.target / "d").is_symlink()
    assert (place.target / "rest").read_bytes() == b"2"


@pytest.mark.parametrize("mtime_ns", [-(1 << 63), (1 << 63) - 1])
def test_times_that_no_clock_shows_do_no_harm(tmp_path, mtime_ns):
    made = [
        directory(b"d", mtime_ns=mtime_ns),
        file(b"d/f", b"content", mtime_ns=mtime_ns),
        file(b"g", b"x", b"y", mtime_ns=mtime_ns, mode=0),
        symlink(b"l", b"d", mtime_ns=mtime_ns),
    ]
    place = Surroundings(tmp_path)
    with (
        RawListener(KEYS, honest(forge(KEYS, made))) as peer,
        get(code_for(KEYS), place.target, "--peer", peer.address) as getter,
    ):
        assert getter.wait() in (0, 5)
    assert (place.check_outside().target / "d/f").read_bytes() == b"content"
    assert (place.target / "g").stat().st_mode & 0o777 == 0
