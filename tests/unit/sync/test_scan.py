"""What a scan sees, and what it must not miss."""

import gc
import os
import shutil
import socket
import tracemalloc
from pathlib import Path

import pytest

from p2psync.errors import StoreError
from p2psync.ids import DeviceId
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.version import parse_version
from p2psync.sync.record import MOST_TOMBSTONES
from tests.meddler import before_opening
from tests.unit.sync.folders import DEVICE, following, sharing, tree

PREFIX = DEVICE[:8]


def entries(sharer) -> dict[bytes, Entry]:
    return {local.entry.path: local.entry for local in sharer.folder.index.iter_files()}


def version(sharer, path: bytes) -> int:
    return parse_version(entries(sharer)[path].version)[PREFIX]


@pytest.fixture
def a(tmp_path):
    with sharing(tmp_path / "a") as sharer:
        yield sharer


def test_an_unchanged_folder_publishes_nothing_and_reads_nothing_once_it_has_come_to_rest(a):
    (a.root / "directory").mkdir()
    for number in range(50):
        path = a.root / "directory" / str(number)
        path.write_bytes(b"%d" % number)
        (a.root / f"link {number}").symlink_to(str(number))
    assert a.publish() is not None
    while a.scan().hashed_files:
        pass
    for _ in range(3):
        assert a.publish() is None
        assert (a.report.files, a.report.hashed_files) == (50, 0)


def test_an_empty_folder_is_published_too(a):
    published = a.publish()
    assert (published.head.seq, published.manifest.pages, published.manifest.files) == (1, (), 0)
    assert a.publish() is None


def test_a_folder_that_is_emptied_is_published_as_empty(a):
    for number in range(2000):
        (a.root / str(number)).touch()
    a.publish()
    for number in range(2000):
        (a.root / str(number)).unlink()
    published = a.publish()
    assert published.manifest.files == 0
    assert {entry.kind for entry in entries(a).values()} == {Kind.TOMBSTONE}


@pytest.mark.parametrize("stray", [[], ["a log that was written while the disk was away", "lost+found"]])
def test_another_directory_that_holds_nothing_of_the_folder_is_not_published(a, stray):
    (a.root / "gone").touch()
    a.publish()
    (a.root / "gone").unlink()
    (a.root / "file").write_bytes(b"content")
    a.publish()
    away = a.root.rename(a.root.with_name("disk"))
    a.root.mkdir()
    for name in [*stray, *(["gone"] if stray else [])]:
        (a.root / name).touch()
    for only in (None, [b""]):
        with pytest.raises(StoreError, match=r"is its disk mounted.* make a file named 'file' in it"):
            a.publish(only=only)
    shutil.rmtree(a.root)
    away.rename(a.root)
    assert a.publish() is None


def test_the_state_of_another_share_does_not_make_it_the_folder(tmp_path):
    with sharing(tmp_path / "a", tmp_path / "state") as a:
        (a.root / "file").touch()
        a.publish()
    with sharing(tmp_path / "b") as b:
        (b.root / "other").touch()
        b.publish()
    with sharing(tmp_path / "b", tmp_path / "state") as b, pytest.raises(StoreError, match="another folder's"):
        b.publish()


@pytest.mark.parametrize("inside", [["restored", "file"], [".p2psync", "restored"]])
def test_another_directory_that_holds_something_of_the_folder_or_its_state_is(a, inside):
    for name in ("file", "other"):
        (a.root / name).write_bytes(b"content")
    a.publish()
    a.root.rename(a.root.with_name("disk"))
    a.root.mkdir()
    for name in inside:
        (a.root / name).touch()
    published = a.publish()
    assert published.manifest.files == len({*inside} - {".p2psync"})
    (a.root / "restored").unlink()
    assert a.publish().manifest.files == published.manifest.files - 1


def test_versions_count_the_heads_that_changed_a_path_through_deletion_and_return(a):
    (a.root / "file").write_bytes(b"1")
    (a.root / "other").write_bytes(b"1")
    a.publish()
    assert version(a, b"file") == 1
    (a.root / "file").write_bytes(b"22")
    a.publish()
    assert (version(a, b"file"), version(a, b"other")) == (2, 1)
    (a.root / "file").unlink()
    a.publish()
    assert entries(a)[b"file"].kind is Kind.TOMBSTONE
    assert version(a, b"file") == 3
    a.publish()
    (a.root / "file").write_bytes(b"1")
    published = a.publish()
    assert (version(a, b"file"), published.head.seq, published.head.version) == (4, 4, {PREFIX: 4})


def test_a_change_keeps_what_other_devices_counted_before_it(tmp_path):
    with sharing(tmp_path / "a") as a:
        for name in ("changes", "goes", "stays"):
            (a.root / name).write_bytes(b"1")
        a.publish()
    other = DeviceId(b"another device, which goes on...")
    with sharing(tmp_path / "a", device=other) as a:
        (a.root / "changes").write_bytes(b"22")
        (a.root / "goes").unlink()
        (a.root / "comes").write_bytes(b"1")
        a.publish()
        both, theirs, ours = {PREFIX: 1, other[:8]: 1}, {PREFIX: 1}, {other[:8]: 1}
        versions = {path: parse_version(entry.version) for path, entry in entries(a).items()}
        assert versions == {b"changes": both, b"goes": both, b"stays": theirs, b"comes": ours}


def test_a_tree_that_is_deleted_leaves_a_tombstone_for_each_path(a):
    (a.root / "d" / "e" / "f").mkdir(parents=True)
    (a.root / "d" / "e" / "f" / "file").touch()
    (a.root / "d-not").touch()
    (a.root / "d.not").touch()
    a.publish()
    (a.root / "d" / "e" / "f" / "file").unlink()
    for name in ("d/e/f", "d/e", "d"):
        (a.root / name).rmdir()
    a.publish()
    gone = {path for path, entry in entries(a).items() if entry.kind is Kind.TOMBSTONE}
    assert gone == {b"d", b"d/e", b"d/e/f", b"d/e/f/file"}


async def test_of_very_many_deleted_paths_the_newest_are_remembered(a, tmp_path):
    (a.root / "file").write_bytes(b"stays")
    a.publish()
    for generation in ("first", "second"):
        (a.root / generation).mkdir()
        for number in range(MOST_TOMBSTONES - 1):
            (a.root / generation / str(number)).touch()
        a.publish()
        with following(tmp_path / "b", a.swarm) as b:
            await b.get()
            shutil.rmtree(a.root / generation)
            published = a.publish()
            assert (await b.get()).problems == ()
            assert set(tree(b.root)) == {b"file"}
    gone = {path for path, entry in entries(a).items() if entry.kind is Kind.TOMBSTONE}
    assert len(gone) == MOST_TOMBSTONES
    assert sum(path.startswith(b"second") for path in gone) == MOST_TOMBSTONES
    assert published.manifest.files == 1
    assert a.publish() is None


def test_a_directory_that_becomes_a_file_and_a_directory_again_keeps_its_paths_apart(a):
    (a.root / "d").mkdir()
    (a.root / "d" / "x").write_bytes(b"x")
    a.publish()
    (a.root / "d" / "x").unlink()
    (a.root / "d").rmdir()
    (a.root / "d").write_bytes(b"file")
    a.publish()
    assert {path: entry.kind for path, entry in entries(a).items()} == {b"d": Kind.FILE, b"d/x": Kind.TOMBSTONE}
    (a.root / "d").unlink()
    (a.root / "d").mkdir()
    (a.root / "d" / "x").write_bytes(b"x")
    a.publish()
    assert {path: entry.kind for path, entry in entries(a).items()} == {b"d": Kind.DIRECTORY, b"d/x": Kind.FILE}


def test_an_edit_that_restores_size_and_time_is_seen(a):
    path = a.root / "file"
    path.write_bytes(b"one")
    os.utime(path, ns=(0, 10**18))
    a.publish()
    while a.scan().hashed_files:
        pass
    path.write_bytes(b"two")
    os.utime(path, ns=(0, 10**18))
    assert a.publish() is not None


def test_an_edit_within_the_tick_of_the_scan_is_seen(a):
    path = a.root / "file"
    for number in range(200):
        path.write_bytes(b"%03d" % number)
        os.utime(path, ns=(0, 10**18))
        published = a.publish()
        assert published is not None, number


def test_a_file_moved_over_another_with_its_size_and_time_is_seen(a):
    for name in ("one", "two"):
        (a.root / name).write_bytes(name.encode())
        os.utime(a.root / name, ns=(0, 10**18))
    a.publish()
    while a.scan().hashed_files:
        pass
    (a.root / "two").rename(a.root / "one")
    a.publish()
    assert entries(a)[b"two"].kind is Kind.TOMBSTONE
    with sharing(a.root.parent / "c") as c:
        (c.root / "one").write_bytes(b"two")
        c.publish()
        assert entries(c)[b"one"].ids == entries(a)[b"one"].ids


def test_a_file_that_is_written_to_while_it_is_read_keeps_what_was_published(a):
    path = a.root / "file"
    path.write_bytes(b"first")
    a.publish()
    before = entries(a)[b"file"]
    path.write_bytes(b"second" * 500_000)
    writer = os.open(path, os.O_WRONLY | os.O_APPEND)
    written = []
    a.on_checkpoint = lambda: written.append(os.write(writer, b"written in the middle"))
    report = a.scan()
    assert report.unsettled == {b""}
    assert len(written) == 2, "once for the directory, and once for the file, which is then given up"
    assert entries(a)[b"file"] == before
    a.on_checkpoint = lambda: None
    os.close(writer)
    assert a.publish() is not None
    assert not a.report.unsettled
    assert entries(a)[b"file"].ids != before.ids


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "nothing"])
def test_what_takes_a_files_place_just_before_it_is_read_is_no_file(kind, a):
    path = a.root / "file"
    path.write_bytes(b"content")

    def replace() -> None:
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("/etc/hostname")

    before_opening("file", replace)
    a.publish()
    assert b"file" not in entries(a)
    a.publish()
    expected = {"directory": Kind.DIRECTORY, "link": Kind.SYMLINK}
    assert [entry.kind for entry in entries(a).values()] == [expected[kind] for _ in range(kind in expected)]


@pytest.mark.parametrize(("name", "only"), [("build", [b"D"]), ("of a moment", None)])
def test_a_directory_that_goes_just_before_it_is_opened_takes_nothing_else_along(name, only, a):
    for path in ("build", "D"):
        (a.root / path).mkdir()
        (a.root / path / "file").write_bytes(b"precious")
    a.publish()
    (a.root / "D" / name).mkdir()
    (a.root / "D/new").write_bytes(b"new")
    before_opening(name, (a.root / "D" / name).rmdir)
    a.publish(only=only)
    found = {path for path, entry in entries(a).items() if entry.kind is not Kind.TOMBSTONE}
    assert found == {b"D", b"D/file", b"D/new", b"build", b"build/file"}
    assert not a.report.problems


def test_what_is_neither_file_nor_directory_nor_link_is_said_and_left_out(a):
    os.mkfifo(a.root / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(a.root)  # such an address must be short
    try:
        listener.bind("socket")
    finally:
        os.chdir(here)
    (a.root / "file").write_bytes(b"x")
    a.publish()
    assert {problem.path for problem in a.report.problems} == {b"fifo", b"socket"}
    assert set(entries(a)) == {b"file"}
    listener.close()


def test_a_file_that_becomes_a_fifo_is_gone(a):
    (a.root / "file").write_bytes(b"x")
    a.publish()
    (a.root / "file").unlink()
    os.mkfifo(a.root / "file")
    a.publish()
    assert entries(a)[b"file"].kind is Kind.TOMBSTONE


async def test_ten_thousand_files_in_one_directory(a, tmp_path):
    (a.root / "many").mkdir()
    for number in range(10_000):
        (a.root / "many" / f"{number:05}").write_bytes(b"%d" % (number % 100))
    a.publish()
    with following(tmp_path / "b", a.swarm) as b:
        assert (await b.get()).problems == ()
        assert len(b.swarm.fetched) == 100
        assert tree(b.root) == tree(a.root)


def test_a_large_file_leaves_nothing_in_memory_without_the_collector(a):
    gc.disable()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for size in (20 << 20, 21 << 20):
            (a.root / "large").write_bytes(b"x" * size)
            a.publish()
        assert tracemalloc.get_traced_memory()[0] - before < 4 << 20
    finally:
        tracemalloc.stop()
        gc.enable()


async def test_twenty_thousand_files_leave_nothing_in_memory_on_either_side(a, tmp_path):
    for number in range(20_000):
        if number % 500 == 0:
            (a.root / str(number // 500)).mkdir()
        (a.root / str(number // 500) / f"file {number}").write_bytes(b"%d" % number)
    with following(tmp_path / "b", a.swarm) as b:
        (a.root / "first").touch()
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            a.publish()
            gc.collect()
            after_publishing, peak = tracemalloc.get_traced_memory()
            assert after_publishing - before < 500_000
            assert peak - before < 40_000_000
            tracemalloc.reset_peak()
            matched = await b.get()
            b.swarm.fetched.clear()
            gc.collect()
            after_following, peak = tracemalloc.get_traced_memory()
            assert matched.problems == ()
            assert after_following - after_publishing < 2_000_000
            assert peak - after_publishing < 60_000_000
        finally:
            tracemalloc.stop()
