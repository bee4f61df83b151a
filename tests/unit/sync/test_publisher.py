"""The sharer's loop, with a real watcher."""

import os
import shutil

import trio

from p2psync.sync.events import LeftOut, PublishedHead
from p2psync.sync.publisher import Publisher
from tests.unit.sync.folders import DEVICE, KEYS, following, only_error, sharing, tree


class Loop:
    """A running publisher and what it told."""

    def __init__(self, sharer) -> None:
        self.sharer = sharer
        self.told: list[PublishedHead] = []
        self.left_out: list[set[bytes]] = []
        self.changed = trio.Event()
        self.publisher = Publisher(sharer.folder, KEYS, DEVICE, sharer.newest, sharer.swarm, self._tell)

    def _tell(self, event) -> None:
        if isinstance(event, PublishedHead):
            self.told.append(event)
        elif isinstance(event, LeftOut):
            self.left_out.append({problem.path for problem in event.problems})
        self.changed.set()
        self.changed = trio.Event()

    async def heads(self, count: int) -> PublishedHead:
        with trio.fail_after(30):
            while len(self.told) < count:
                await self.changed.wait()
        return self.told[-1]


async def test_it_publishes_at_once_then_every_change_and_a_follower_keeps_up(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "file").write_bytes(b"1")
        loop = Loop(a)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.publisher.run)
            first = await loop.heads(1)
            assert (first.seq, first.is_new, first.files) == (1, True, 1)
            await b.get()
            changes = [
                lambda: (a.root / "file").write_bytes(b"22"),
                lambda: os.rename(os.fsencode(a.root / "file"), os.fsencode(a.root) + b"/not utf-8 \xff"),
                (a.root / "directory").mkdir,
                lambda: (a.root / "directory" / "inside").write_bytes(b"3"),
                lambda: (a.root / ".p2psync not the state").write_bytes(b"4"),
                lambda: (a.root / "directory").chmod(0o700),
            ]
            for number, change in enumerate(changes, start=2):
                change()
                assert (await loop.heads(number)).seq == number
                assert (await b.get()).problems == ()
                assert tree(b.root) == tree(a.root)
            nursery.cancel_scope.cancel()


async def test_what_must_be_left_out_is_told_though_no_version_comes_of_it(tmp_path):
    with sharing(tmp_path / "a") as a:
        loop = Loop(a)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.publisher.run)
            await loop.heads(1)
            os.mkfifo(a.root / "pipe")
            with trio.fail_after(30):
                while not loop.left_out:
                    await loop.changed.wait()
            nursery.cancel_scope.cancel()
        assert (loop.left_out[0], len(loop.told)) == ({b"pipe"}, 1)


async def test_a_directory_that_is_replaced_by_another_of_its_name_is_watched_on(tmp_path):
    with sharing(tmp_path / "a") as a:
        directory = a.root / "directory"
        directory.mkdir()
        loop = Loop(a)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.publisher.run)
            await loop.heads(1)
            (directory / "it is live").touch()
            await loop.heads(2)
            for number in (3, 5):
                shutil.rmtree(directory)
                directory.mkdir()
                await loop.heads(number)
                (directory / "inside").write_bytes(b"%d" % number)
                await loop.heads(number + 1)
            nursery.cancel_scope.cancel()


async def test_after_a_restart_the_head_still_holds(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"1")
    roots = []
    for _ in range(3):
        with sharing(tmp_path / "a") as a:
            loop = Loop(a)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(loop.publisher.run)
                head = await loop.heads(1)
                nursery.cancel_scope.cancel()
            roots.append((head.seq, head.root))
            assert head.is_new == (len(roots) == 1)
            assert a.swarm.published[-1][1:] == (head.root, True)
    assert len(set(roots)) == 1


async def test_a_higher_number_of_ours_that_a_peer_has_seen_is_gone_above(tmp_path):
    with sharing(tmp_path / "a") as a:
        (a.root / "file").write_bytes(b"1")
        signed = a.publish(above_seq=40).signed
    (tmp_path / "a" / ".p2psync" / "index.sqlite").unlink()
    with sharing(tmp_path / "a") as a:
        loop = Loop(a)
        with only_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(loop.publisher.run)
                assert (await loop.heads(1)).seq == 1
                (a.root / "file").write_bytes(b"2")  # from now on nothing but that head is a reason to look
                assert (await loop.heads(2)).seq == 2
                a.swarm.hear(signed)
                assert (await loop.heads(3)).seq == 42
                nursery.cancel_scope.cancel()


def test_the_keys_of_a_folder_inside_that_is_shared_by_itself_are_not_published(tmp_path):
    (tmp_path / "a").mkdir()
    with sharing(tmp_path / "a" / "inner") as inner:
        (inner.root / "file").write_bytes(b"shared twice")
        inner.publish()
    with sharing(tmp_path / "a") as a:
        a.publish()
        published = [file.entry.path for file in a.folder.index.iter_files()]
    assert published == [b"inner", b"inner/file"]
