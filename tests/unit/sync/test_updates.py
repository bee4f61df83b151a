"""An update changes exactly what changed, and never costs anything of the user's."""

import contextlib
import os
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from p2psync.manifest.entry import Entry, Kind
from tests.unit.sync.folders import contents, following, make_deep, sharing, tree

BIG = random.Random(5).randbytes(3_000_000)
BASE = {
    "file": b"the first version",
    "other": b"something else",
    "big": BIG,
    "dir/one": b"1",
    "dir/two": b"2",
    "dir/below/three": b"3",
    "full/of/files": b"4",
}


def make_base(root: Path) -> None:
    root.mkdir(exist_ok=True)
    for path, data in BASE.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    (root / "link").symlink_to("file")
    (root / "to directory").symlink_to("dir")
    (root / "empty").mkdir()


def replace_by(make: Callable[[Path], None], name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        make(path)

    return change


def make_directory(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_bytes(b"inside what was no directory")
    (path / "deeper").mkdir()
    (path / "deeper" / "still").write_bytes(b"still")


def make_file(path: Path) -> None:
    path.write_bytes(b"a file now")


def make_link(path: Path) -> None:
    path.symlink_to("somewhere/else")


def clear(root: Path) -> None:
    for path in root.iterdir():
        if path.name != ".p2psync":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def append(root: Path) -> None:
    with open(root / "big", "ab") as file:
        file.write(b"more")


def swap(root: Path) -> None:
    (root / "file").rename(root / "aside")
    (root / "other").rename(root / "file")
    (root / "aside").rename(root / "other")


CHANGES: dict[str, Callable[[Path], object]] = {
    "change": lambda root: (root / "file").write_bytes(b"the second version"),
    "append": append,
    "insert in front": lambda root: (root / "big").write_bytes(b"front" + BIG),
    "cut": lambda root: os.truncate(root / "big", 1_000_000),
    "empty a file": lambda root: os.truncate(root / "big", 0),
    "fill an empty directory": lambda root: (root / "empty" / "new").write_bytes(b"new"),
    "delete": lambda root: (root / "file").unlink(),
    "delete a tree": lambda root: shutil.rmtree(root / "dir"),
    "delete everything": clear,
    "rename": lambda root: (root / "big").rename(root / "BIG"),
    "rename over another": lambda root: (root / "big").rename(root / "file"),
    "swap": swap,
    "rename a directory": lambda root: (root / "full").rename(root / "moved"),
    "move into": lambda root: (root / "file").rename(root / "dir" / "file"),
    "move a directory up": lambda root: (root / "dir" / "below").rename(root / "below"),
    "file to directory": replace_by(make_directory, "file"),
    "file to link": replace_by(make_link, "file"),
    "directory to file": replace_by(make_file, "dir"),
    "directory to link": replace_by(make_link, "dir"),
    "empty directory to file": replace_by(make_file, "empty"),
    "link to file": replace_by(make_file, "link"),
    "link to directory": replace_by(make_directory, "link"),
    "link elsewhere": replace_by(make_link, "link"),
    "directory link to directory": replace_by(make_directory, "to directory"),
    "chmod": lambda root: (root / "file").chmod(0o400),
    "chmod a directory": lambda root: (root / "dir").chmod(0o555),
    "touch": lambda root: os.utime(root / "file", ns=(0, 123_456_789)),
    "touch a link": lambda root: os.utime(root / "link", ns=(0, 77), follow_symlinks=False),
    "touch a directory": lambda root: os.utime(root / "dir", ns=(0, 99)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_follower_takes_a_change_over_and_back_again_and_moves_nothing_aside(change, tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        make_base(a.root)
        a.publish()
        await b.get()
        for step in (change, begin_anew):
            step(a.root)
            a.publish()
            expected = tree(a.root)
            matched = await b.get()
            assert tree(b.root) == expected
            assert (matched.problems, matched.additions, matched.displaced) == ((), (), 0)
            assert b.versions() == set()


def begin_anew(root: Path) -> None:
    clear(root)
    make_base(root)


@pytest.mark.parametrize("name", ["rename", "rename over another", "rename a directory", "move into", "chmod", "touch"])
async def test_what_only_moved_is_not_fetched(name, tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        make_base(a.root)
        a.publish()
        await b.get()
        CHANGES[name](a.root)
        a.publish()
        await b.get()
        assert b.swarm.fetched == []


@pytest.mark.parametrize("name", ["append", "insert in front", "cut"])
async def test_of_a_changed_file_only_the_changed_blocks_are_fetched(name, tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        make_base(a.root)
        a.publish()
        await b.get()
        CHANGES[name](a.root)
        a.publish()
        await b.get()
        assert b.swarm.fetched_bytes <= 300_000


def edit(path: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        if (root / path).is_symlink():
            (root / path).unlink()
        (root / path).write_bytes(b"the user's own words for " + root.name.encode())

    return change


EDITS: dict[str, Callable[[Path], object]] = {
    "edit a file": edit("file"),
    "edit in a directory": edit("dir/below/three"),
    "edit in place with size and time as before": lambda root: edit_unseen(root / "file"),
    "replace by rename": lambda root: (edit("new")(root), (root / "new").rename(root / "file")),
    "edit big": lambda root: (root / "big").write_bytes(b"x" + BIG[1:]),
    "put a file where a link was": edit("link"),
    "add to a directory": edit("dir/mine"),
    "add to an empty directory": edit("empty/mine"),
    "add beside": edit("mine"),
    "a directory where a file was": replace_by(make_directory, "file"),
    "a link where a directory was": replace_by(make_link, "dir"),
    "move a directory": lambda root: (root / "dir").rename(root / "mine"),
}


def edit_unseen(path: Path) -> None:
    before = path.stat()
    with open(path, "r+b") as file:
        file.write(b"THE")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("exact", [False, True], ids=["", "exact"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_nothing_that_the_user_wrote_is_ever_lost(change, exact, tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        for edited in EDITS:
            make_base(a.root / edited)
        a.publish()
        await b.get()
        published = contents(b.root)
        for edited, user_edits in EDITS.items():
            user_edits(b.root / edited)
        own = {data for path, data in contents(b.root).items() if published.get(path) != data}
        for edited in EDITS:
            change(a.root / edited)
        a.publish()
        matched = await b.get(exact=exact)
        assert matched.problems == ()
        there, expected = tree(b.root), tree(a.root)
        assert own <= b.moved_aside() | {state[3] for state in there.values()}
        assert {path: there.get(path) for path in expected} == expected
        beside = set(there) - set(expected)
        assert beside == set() if exact else beside <= set(matched.additions)
        moved = {data for path, data in b.versions() if not path.startswith((b"move", b"replace", b"a "))}
        assert moved <= own, "only what the user had made or changed was moved aside"


async def test_what_the_user_had_before_is_adopted_and_stays_when_it_is_deleted_upstream(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        make_base(a.root)
        a.publish()
        (b.root / "file").write_bytes(BASE["file"])
        (b.root / "dir").mkdir()
        (b.root / "dir" / "one").write_bytes(BASE["dir/one"])
        (b.root / "empty").mkdir()
        matched = await b.get()
        assert matched.displaced == 0
        assert tree(b.root) == tree(a.root)
        CHANGES["delete everything"](a.root)
        a.publish()
        matched = await b.get()
        assert contents(b.root) == {b"file": BASE["file"], b"dir/one": BASE["dir/one"]}
        assert set(matched.additions) == {b"file", b"dir", b"dir/one", b"empty"}
        assert b.versions() == set()


async def test_additions_are_reported_every_time_and_exact_moves_them_whole(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        make_base(a.root)
        a.publish()
        await b.get()
        edit("mine")(b.root)
        (b.root / "my tree" / "below").mkdir(parents=True)
        (b.root / "my tree" / "below" / "leaf").write_bytes(b"leaf")
        (b.root / "my tree" / "link").symlink_to("nowhere")
        (b.root / "my tree").chmod(0o750)
        os.utime(b.root / "my tree", ns=(0, 42))
        for _ in range(2):
            matched = await b.get()
            assert set(matched.additions) == {
                b"mine",
                b"my tree",
                b"my tree/below",
                b"my tree/below/leaf",
                b"my tree/link",
            }
            assert matched.displaced == 0
        mine = {path: state for path, state in tree(b.root).items() if path[:1] == b"m"}
        matched = await b.get(exact=True)
        assert (matched.additions, matched.problems) == ((), ())
        assert tree(b.root) == tree(a.root)
        (moved,) = (b.folder.directory / "versions").iterdir()
        assert tree(moved) == mine


async def test_a_head_that_follows_at_once_finds_what_the_one_before_put_there(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        for round_ in range(5):
            for number in range(20):
                (a.root / f"{round_} {number}").write_bytes(b"%d %d" % (round_, number))
                (a.root / f"kept {number}").write_bytes(b"%d %d" % (round_, number))
            for path in a.root.glob(f"{round_ - 1} *"):
                path.unlink()
            a.publish()
            matched = await b.get()
            assert (matched.additions, matched.displaced) == ((), 0)
            assert tree(b.root) == tree(a.root)


async def test_two_versions_moved_aside_within_a_second_are_both_kept(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        name = "\U0001f388" * 60
        own = set()
        for number in range(4):
            (a.root / name).write_bytes(b"%d" % number)
            a.publish()
            (b.root / name).write_bytes(b"own %d" % number)
            own.add(b"own %d" % number)
            assert (await b.get()).problems == ()
        assert b.moved_aside() == own


async def test_a_file_and_then_a_directory_of_the_same_name_can_be_moved_aside(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "name").write_bytes(b"1")
        a.publish()
        (b.root / "name").write_bytes(b"own file")
        await b.get()
        (a.root / "name").unlink()
        (a.root / "name").mkdir()
        (a.root / "name" / "x").write_bytes(b"2")
        a.publish()
        await b.get()
        (b.root / "name" / "x").write_bytes(b"own x")
        (a.root / "name" / "x").write_bytes(b"3")
        a.publish()
        assert (await b.get()).problems == ()
        assert b.moved_aside() == {b"own file", b"own x"}


async def test_what_nobody_here_has_is_on_its_way_before_what_is_here_is_copied(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "big").write_bytes(BIG)
        a.publish()
        await b.get()
        (a.root / "big").write_bytes(BIG[: len(BIG) // 2] + b"changed" + BIG[len(BIG) // 2 :])
        a.publish()
        written: list[int] = []
        before = b.folder.staging.written_bytes
        b.before_write = lambda block: written.append(b.folder.staging.written_bytes - before)
        await b.get()
        assert written[0] == 0, "the changed block came only after all others had been copied"
        assert tree(b.root) == tree(a.root)


async def test_a_file_aside_that_was_deep_below_is_kept_too(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        make_deep(a.root, 40, b"theirs")
        make_deep(b.root, 40, b"own")
        a.publish()
        matched = await b.get()
        assert matched.problems == ()
        assert b.moved_aside() == {b"own"}
        assert tree(b.root) == tree(a.root)


@pytest.mark.parametrize("stands", ["file", "directory", "link"])
async def test_what_the_user_puts_in_the_way_while_files_are_being_fetched_is_kept(tmp_path, stands):
    make = {
        "file": lambda path: path.write_bytes(b"mine"),
        "directory": lambda path: (path.mkdir(), (path / "inside").write_bytes(b"mine")),
        "link": lambda path: path.symlink_to("mine"),
    }[stands]
    with sharing(tmp_path / "a") as a:
        (a.root / "new").write_bytes(b"what is shared")
        a.publish()
        with following(tmp_path / "b", a.swarm) as b:
            b.before_write = lambda block: make(b.root / "new")
            assert (await b.get()).displaced == 1
            assert tree(b.root) == tree(a.root)
            assert b"mine" in b.moved_aside()


@pytest.mark.parametrize("exact", [False, True])
async def test_what_the_user_changes_while_files_are_being_fetched_is_not_removed(tmp_path, exact):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "old").write_bytes(b"what was shared")
        a.publish()
        await b.get()
        (a.root / "old").unlink()
        (a.root / "new").write_bytes(b"what is shared")
        a.publish()
        b.before_write = lambda block: (b.root / "old").write_bytes(b"mine")
        matched = await b.get(exact=exact)
        assert matched.additions == (() if exact else (b"old",))
        assert {*contents(b.root).values()} | b.moved_aside() == {b"what is shared", b"mine"}


async def test_the_room_of_a_large_file_that_is_replaced_is_given_back(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        for content in (b"before", b"after"):
            (a.root / "large").write_bytes(content)
            os.truncate(a.root / "large", 64 << 20)
            a.publish()
            await b.get()
        assert tree(b.root) == tree(a.root)
        for thread in threading.enumerate():
            if thread.name.startswith("freeing"):
                await trio.to_thread.run_sync(thread.join)
        assert not [path for path in open_files() if path.endswith("large (deleted)")]


def open_files() -> list[str]:
    paths = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            paths.append(os.readlink(f"/proc/self/fd/{number}"))
    return paths


async def test_a_file_of_which_not_all_came_is_no_match(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "file").write_bytes(b"content")
        a.publish()
        ghost = Entry(b"", b"ghost", Kind.FILE, ids=bytes(64), lengths=bytes(8))
        b.before_write = lambda block: b.folder.staging.begin([ghost])
        matched = await b.get()
        assert [problem.path for problem in matched.problems] == [b"ghost"]
        assert (b.root / "file").read_bytes() == b"content"
