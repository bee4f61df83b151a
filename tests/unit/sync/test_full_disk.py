"""A disk that is full: a sentence, nothing lost, and done once there is room."""

import os
import random
import subprocess

import pytest

from p2psync.errors import StoreError
from tests.unit.sync.folders import following, sharing, tree
from tests.unit.sync.mounts import mounted_disk


def make_more_room(path):
    subprocess.run(["mount", "-o", "remount,size=64m", path], check=True)


@pytest.mark.parametrize("size", ["64k", "128k", "200k", "400k", "800k", "1600k", "3m", "5m"])
async def test_a_full_disk_is_said_and_the_next_run_finishes(size, tmp_path):
    with sharing(tmp_path / "a") as a, mounted_disk(tmp_path / "disk", size):
        for number in range(200):
            (a.root / f"{number % 7}").mkdir(mode=0o755, exist_ok=True)
            (a.root / f"{number % 7}/small {number}").write_bytes(random.Random(number).randbytes(3000))
        (a.root / "large").write_bytes(random.Random(0).randbytes(6_000_000))
        a.publish()
        root = tmp_path / "disk" / "b"
        with (
            pytest.raises(StoreError, match="make room and run the same command again") as caught,
            following(root, a.swarm) as b,
        ):
            await b.get()
        assert caught.value.transient
        assert root.is_dir()
        published = tree(a.root)
        for path, (_, mode, _, content) in tree(root).items():
            assert (mode, content) == (published[path][1], published[path][3])
        make_more_room(tmp_path / "disk")
        with following(root, a.swarm) as b:
            matched = await b.get()
            assert (matched.problems, matched.displaced) == ((), 0)
            assert tree(root) == tree(a.root)


async def test_an_update_that_does_not_fit_leaves_every_file_old_or_new(tmp_path):
    with sharing(tmp_path / "a") as a, mounted_disk(tmp_path / "disk", "2m"):
        for number in range(10):
            (a.root / f"file {number}").write_bytes(b"old" * 20_000)
        a.publish()
        root = tmp_path / "disk" / "b"
        with following(root, a.swarm) as b:
            await b.get()
            for number in range(10):
                (a.root / f"file {number}").write_bytes(random.Random(number).randbytes(150_000 + number))
            a.publish()
            with pytest.raises(StoreError):
                await b.get()
        for number in range(10):
            data = (root / f"file {number}").read_bytes()
            assert data in (b"old" * 20_000, random.Random(number).randbytes(150_000 + number))
        make_more_room(tmp_path / "disk")
        with following(root, a.swarm) as b:
            assert (await b.get()).displaced == 0
            assert tree(root) == tree(a.root)


async def test_publishing_on_a_full_disk_is_said_and_the_same_folder_goes_on_afterwards(tmp_path):
    with mounted_disk(tmp_path / "disk", "600k"):
        root = tmp_path / "disk" / "a"
        root.mkdir()
        (root / "first").write_bytes(b"first")
        with sharing(root) as a:
            before = a.publish().head
            for number in range(3000):
                (root / f"empty file with a rather long name {number:0200}").touch()
            filler = root / "filler"
            with pytest.raises(OSError, match="No space"):
                filler.write_bytes(bytes(2_000_000))
            with pytest.raises(StoreError, match="make room"):
                a.publish()
        os.truncate(filler, 0)
        make_more_room(tmp_path / "disk")
        with sharing(root) as a:
            assert not a.folder.was_damaged
            after = a.publish().head
            assert after.seq > before.seq
            assert after.version != before.version


def test_a_disk_too_full_to_open_the_index_does_not_cost_the_index(tmp_path):
    with mounted_disk(tmp_path / "disk", "2m"):
        root = tmp_path / "disk" / "a"
        root.mkdir()
        (root / "file").write_bytes(b"1")
        with sharing(root) as a:
            seq = a.publish().head.seq
        with pytest.raises(OSError, match="No space"):
            (tmp_path / "disk" / "filler").write_bytes(bytes(4_000_000))
        with pytest.raises(StoreError, match="make room"), sharing(root) as a:
            a.publish()
        (tmp_path / "disk" / "filler").unlink()
        with sharing(root) as a:
            assert not a.folder.was_damaged
            assert a.newest.head.seq == seq
