"""A follower that goes from head to head."""

import shutil
import sys

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from p2psync.blocks.block import block_id
from p2psync.ids import BlockId
from p2psync.sync.events import Activity
from p2psync.sync.heads import NewestHead
from tests.unit.sync.folders import following, sharing, tree
from tests.unit.sync.mounts import pinned


async def test_what_a_getter_says_it_matches_is_the_head_it_has_just_heard_of(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        for number in range(30):
            (a.root / "file").write_bytes(b"%d" % number)
            head = a.publish().head
            assert (await b.get()).root == head.root
            assert (b.root / "file").read_bytes() == b"%d" % number


async def test_a_new_head_in_the_middle_of_a_pull_ends_it_and_is_reached_with_nothing_fetched_twice(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        for number in range(60):
            (a.root / f"same {number}").write_bytes(b"%d" % number * 3)
            (a.root / f"changes {number}").write_bytes(b"%d" % number)
        (a.root / "directory").mkdir()
        a.publish()
        heads = 0

        def publish_another(_: object) -> None:
            nonlocal heads
            if b.swarm.fetched_bytes > 30 * (heads + 1) and heads < 3:
                heads += 1
                for number in range(60):
                    (a.root / f"changes {number}").write_bytes(b"%d %d" % (heads, number))
                a.publish()

        b.before_write = publish_another
        async with b.staying() as matches:
            while heads < 3 or matches.told[-1].root != a.newest.head.root:
                await matches.next()
        assert tree(b.root) == tree(a.root)
        assert all((event.problems, event.additions, event.displaced) == ((), (), 0) for event in matches.told)
        assert b.versions() == set()
        assert len(b.swarm.fetched) == len(set(b.swarm.fetched))


async def left_for_another(a, b, change, come_late):
    """Have a pull left for another head, and something come late, before that is planned; return what is told then.

    Nobody looks at the folder between the two: what is known of it from the first is what the second goes by.
    """

    def publish_another(_: object) -> None:
        b.before_write = b.swarm.before_write = None
        change(a.root)
        a.publish()

    b.before_write = publish_another
    async with b.staying() as matches:
        while b.before_write or b.follower.progress.activity is not Activity.MANIFEST:
            await trio.lowlevel.checkpoint()
        come_late()
        return await matches.of(a.newest.head.root)


def make_another(root):
    (root / "new").write_bytes(b"new")


async def test_what_comes_for_a_head_that_has_just_been_left_is_kept(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        names = [f"file {number}" for number in range(20)]
        for name in names:
            (a.root / name).write_bytes(name.encode())
        a.publish()
        blocks = [(block_id(name.encode()), name.encode()) for name in names]
        fetched: set[BlockId] = set()

        def come_late() -> None:
            fetched.update(b.swarm.fetched)
            b.folder.store.write(blocks)

        await left_for_another(a, b, make_another, come_late)
        assert set(b.swarm.fetched) - fetched <= {block_id(b"new")}
        assert tree(b.root) == tree(a.root)


def make_file(root):
    if (root / "it").is_dir():
        shutil.rmtree(root / "it")
    (root / "it").write_bytes(b"a file")


def make_directory(root):
    (root / "it").unlink(missing_ok=True)
    (root / "it").mkdir()
    (root / "it/inside").write_bytes(b"in a directory")


def come_late(getter, sharer, key):
    """Have a file arrive for a head that has been left: before anything is planned for the next one."""
    entry = sharer.folder.index.file_at(key).entry
    (data,) = sharer.folder.store.read([BlockId(entry.ids)])
    (file,) = getter.folder.staging.begin([entry])
    getter.folder.staging.await_block(BlockId(entry.ids), file, 0)
    getter.folder.staging.write(BlockId(entry.ids), data)


@pytest.mark.parametrize(
    ("make_first", "make_then", "key"),
    [(make_directory, make_file, b"\0it"), (make_file, make_directory, b"it\0inside")],
)
async def test_what_comes_late_and_finds_something_else_in_its_place_is_right_in_the_end(
    tmp_path, make_first, make_then, key
):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        make_first(a.root)
        a.publish()
        await b.get()
        make_another(a.root)
        a.publish()
        assert (await left_for_another(a, b, make_then, lambda: come_late(b, a, key))).problems == ()
        assert tree(b.root) == tree(a.root)


async def test_what_comes_late_and_cannot_be_placed_is_not_taken_for_right(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "it").write_bytes(b"before")
        a.publish()
        await b.get()
        make_another(a.root)
        a.publish()
        with pinned(b.root / "it"):
            matched = await left_for_another(a, b, make_file, lambda: come_late(b, a, b"\0it"))
            assert [problem.path for problem in matched.problems] == [b"it"]
        assert (await b.get()).problems == ()
        assert tree(b.root) == tree(a.root)


async def test_what_comes_while_the_folder_is_looked_through_is_not_fetched_again(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        for number in range(2000):
            (b.root / f"mine {number}").write_bytes(b"%d" % number)
        make_file(a.root)
        a.publish()
        async with b.staying() as matches:
            while b.follower.progress.activity is not Activity.SCANNING:
                await trio.lowlevel.checkpoint()
            come_late(b, a, b"\0it")
            assert b.follower.progress.activity is Activity.SCANNING
            await matches.of(a.newest.head.root)
        assert b.swarm.fetched == []
        assert (b.root / "it").read_bytes() == b"a file"


class BeforeRemoving:
    """Does something in the event loop when a thread of it is about to remove a file (PEP 578)."""

    name = ""

    @classmethod
    def hear(cls, event, arguments):
        if event == "os.remove" and cls.name and arguments[0] == cls.name:
            cls.name = ""
            trio.from_thread.run(cls.act)


sys.addaudithook(BeforeRemoving.hear)


async def test_a_head_that_comes_just_before_anything_is_planned_for_another_is_gone_to(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        make_file(a.root)
        a.publish()

        async def publish_another() -> None:
            (a.root / "it").write_bytes(b"of what it was nobody has a byte any more")
            a.publish()
            while NewestHead(b.folder.database, b.keys).head.seq < 2:
                await trio.lowlevel.checkpoint()
            await wait_all_tasks_blocked()

        # It is given up before anything is planned.
        (file,) = b.folder.staging.begin([a.folder.index.file_at(b"\0it").entry])
        BeforeRemoving.name, BeforeRemoving.act = file.name, publish_another
        async with b.staying() as matches:
            with trio.fail_after(20):
                while a.newest.head.seq < 2:
                    await trio.lowlevel.checkpoint()
                await matches.of(a.newest.head.root)
        assert tree(b.root) == tree(a.root)


async def test_what_comes_late_and_has_no_place_any_more_is_no_problem(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        make_directory(a.root)
        a.publish()
        come_late(b, a, b"it\0inside")
        make_file(a.root)
        a.publish()
        assert (await b.get()).problems == ()
        assert tree(b.root) == tree(a.root)


async def test_the_folder_is_not_looked_through_anew_for_every_head_that_comes_meanwhile(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        for number in range(4000):
            (b.root / f"mine {number}").write_bytes(b"%d" % number)
        (a.root / "file").write_bytes(b"of this nobody has a byte any more once it is left")
        a.publish()
        scans = 0
        async with b.staying() as matches:
            while scans < 3 and not matches.told:
                if b.follower.progress.activity is Activity.SCANNING:
                    scans += 1
                    (a.root / "file").write_bytes(b"%d" % scans)
                    a.publish()
                    while b.follower.progress.activity is Activity.SCANNING:
                        await trio.lowlevel.checkpoint()
                await trio.lowlevel.checkpoint()
            assert (await matches.of(a.newest.head.root)).problems == ()
        assert scans == 1


async def test_a_head_is_never_followed_backwards(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "file").write_bytes(b"1")
        old = a.publish()
        (a.root / "file").write_bytes(b"2")
        new = a.publish()
        await b.get()
        b.swarm.hear(old.signed)
        a.swarm.published.append((old.signed, old.head.root, True))
        with trio.move_on_after(0.5):
            await b.get()
        assert NewestHead(b.folder.database, b.keys).head.seq == new.head.seq
        assert (b.root / "file").read_bytes() == b"2"


async def test_a_newer_head_counts_as_heard_only_once_it_has_been_adopted(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        first = a.publish()
        newest = NewestHead(b.folder.database, b.keys)
        newest.judge(first.signed)
        assert not newest.heard.is_set(), "whoever waits for it would begin with the one before"
        newest.adopt(first.head, first.signed)
        newest.judge(first.signed)
        assert newest.heard.is_set()
