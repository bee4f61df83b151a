"""A large file that is renamed is neither read again where it was nor copied where it is followed."""

import os
import random
from contextlib import ExitStack
from pathlib import Path

import pytest

from p2psync.sync import apply
from p2psync.sync.fingerprint import CLOCK_TICK_NS
from p2psync.sync.moved import LEAST_BYTES, moved_from
from p2psync.sync.watch import clock_ns
from tests.unit.sync.folders import KEYS, following, sharing, tree

SIZE = LEAST_BYTES + 12_345


def noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(SIZE)


def at_rest(sharer) -> None:
    sharer.publish()
    while sharer.scan().hashed_files:
        pass


@pytest.fixture
def a(tmp_path):
    with sharing(tmp_path / "a") as sharer:
        (sharer.root / "d").mkdir()
        (sharer.root / "d" / "file").write_bytes(noise(1))
        at_rest(sharer)
        yield sharer


def inode(path: Path) -> int:
    """Return a file's inode number once the file has come to rest."""
    while clock_ns() - path.stat().st_ctime_ns <= CLOCK_TICK_NS:
        pass
    return path.stat().st_ino


@pytest.mark.parametrize(
    ("old", "new"), [("d/file", "d/other"), ("d/file", "a"), ("d/file", "z"), ("d", "c"), ("d", "e")]
)
async def test_neither_side_reads_or_copies_it(old, new, a, tmp_path):
    with following(tmp_path / "b", a.swarm) as b:
        await b.get()
        before = inode(b.root / "d" / "file")
        os.rename(a.root / old, a.root / new)
        assert a.publish() is not None
        assert a.report.hashed_bytes == 0
        matched = await b.get()
        assert (matched.problems, matched.displaced, b.swarm.fetched) == ((), 0, [])
        assert tree(b.root) == tree(a.root)
        now = b.root / new / "file" if old == "d" else b.root / new
        assert inode(now) == before


async def test_a_copy_is_made_where_the_old_name_stays_in_use(a, tmp_path):
    with following(tmp_path / "b", a.swarm) as b:
        await b.get()
        os.link(a.root / "d" / "file", a.root / "second")
        a.publish()
        assert (await b.get()).problems == ()
        assert tree(b.root) == tree(a.root)
        assert inode(b.root / "second") != inode(b.root / "d" / "file")


async def test_what_the_user_changed_or_put_there_is_not_moved_away(a, tmp_path):
    (tmp_path / "b" / "d").mkdir(parents=True)
    (tmp_path / "b" / "d" / "file").write_bytes(noise(1))
    with following(tmp_path / "b", a.swarm) as b:
        await b.get()
        os.rename(a.root / "d" / "file", a.root / "other")
        a.publish()
        matched = await b.get()
        assert (b.root / "other").read_bytes() == noise(1)
        assert (b.root / "d" / "file").read_bytes() == noise(1)
        assert matched.additions == (b"d/file",)


@pytest.mark.parametrize("at", [0, SIZE - 1])
def test_a_file_of_the_same_looks_with_other_content_is_read(at, a):
    path = a.root / "d" / "file"
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes([noise(1)[at] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.rename(a.root / "moved")
    a.publish()
    assert a.report.hashed_bytes == SIZE


@pytest.mark.parametrize("later", [None, "another name"])
def test_a_file_that_was_edited_after_it_was_renamed_and_got_its_time_back_is_read(later, a):
    path = a.root / "moved"
    (a.root / "d" / "file").rename(path)
    before = path.stat()
    while clock_ns() - before.st_ctime_ns <= 2 * CLOCK_TICK_NS:
        pass
    with path.open("r+b") as file:
        file.seek(SIZE // 2 + 100_000)
        file.write(b"between two of the samples")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    edited_ns = path.stat().st_ctime_ns
    if later:
        while clock_ns() - edited_ns <= 2 * CLOCK_TICK_NS:
            pass
        (a.root / later).touch()
    a.publish()
    assert a.report.hashed_bytes == SIZE


def test_a_file_that_is_emptied_while_it_is_looked_at_is_not_known(a):
    with (a.root / "d" / "file").open("r+b") as file:
        before = os.fstat(file.fileno())
        file.truncate(0)
        directory = os.open(a.root / "d", os.O_RDONLY)
        try:
            assert moved_from(file.fileno(), before, directory, a.folder.index, KEYS.gear_seed) is None
        finally:
            os.close(directory)


def test_another_file_of_the_same_content_is_read(a):
    (a.root / "copy").write_bytes(noise(1))
    a.publish()
    assert a.report.hashed_bytes == SIZE


async def test_a_name_that_was_there_before_is_no_hindrance(a, tmp_path):
    for old, new in (("d/file", "other"), ("other", "d/file")):
        inode(a.root / old)
        os.rename(a.root / old, a.root / new)
        assert a.publish() is not None
        assert a.report.hashed_bytes == 0
        inode(a.root / new)
        a.scan()


@pytest.mark.parametrize("edited", ["before it is whole", "as it is put in its place"])
async def test_what_is_written_to_a_file_while_it_is_renamed_is_kept(edited, a, tmp_path, monkeypatch):
    with following(tmp_path / "b", a.swarm) as b, ExitStack() as opened:
        await b.get()
        inode(b.root / "d" / "file")
        file = opened.enter_context(open(b.root / "d" / "file", "r+b"))
        os.rename(a.root / "d" / "file", a.root / "d" / "other")
        (a.root / "z").write_bytes(b"another, to be fetched")
        a.publish()

        def edit(_: object) -> None:
            file.seek(SIZE)
            file.write(b"edit")
            file.flush()

        if edited == "before it is whole":
            b.before_write = edit
        else:
            monkeypatch.setattr(apply, "make_durable", lambda directory: edit(None))
        matched = await b.get()
        assert [problem.path for problem in matched.problems] == [b"d/other"]
        b.before_write = None
        monkeypatch.undo()
        assert (await b.get()).problems == ()
        assert tree(b.root) == tree(a.root)
        assert b.moved_aside() == {noise(1) + b"edit"}
