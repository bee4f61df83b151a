"""A disk mounted below the folder that is not there is no reason to delete what it holds, here or elsewhere."""

import pytest

from p2psync.errors import StoreError
from tests.unit.sync.folders import contents, following, sharing
from tests.unit.sync.mounts import mounted_disk

FILES = {b"disk/one": b"1", b"disk/deep/two": b"2", b"beside": b"3"}


def fill(root) -> None:
    for path, data in FILES.items():
        place = root / path.decode()
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(data)


@pytest.fixture
def a(tmp_path):
    """A sharer whose disk has just been unmounted."""
    with sharing(tmp_path / "a") as a:
        with mounted_disk(a.root / "disk", "1m"):
            fill(a.root)
            a.publish()
        yield a


@pytest.mark.parametrize("only", [None, [b"disk"], [b"", b"disk", b"disk/deep"]])
@pytest.mark.parametrize("place", ["is empty", "is gone"])
def test_nothing_of_it_is_published_as_deleted(place, only, a):
    if place == "is gone":
        (a.root / "disk").rmdir()
    (a.root / "beside").write_bytes(b"changed")
    assert a.publish(only=only and [b"", *only]).manifest.files == len(FILES)
    assert [problem.path for problem in a.report.problems] == [b"disk"]


def test_of_several_disks_each_is_remembered(a):
    with mounted_disk(a.root / "disk", "1m"), mounted_disk(a.root / "disk too", "1m"):
        fill(a.root)
        (a.root / "disk too" / "three").write_bytes(b"3")
        a.publish()
    a.scan()
    assert {problem.path for problem in a.report.problems} == {b"disk", b"disk too"}


def test_once_it_is_back_all_is_as_it_was(a):
    a.publish()
    with mounted_disk(a.root / "disk", "1m"):
        fill(a.root)
        assert a.publish().manifest.files == len(FILES)
        assert a.report.problems == []
        (a.root / "disk/one").unlink()
        assert a.publish().manifest.files == len(FILES) - 1


def test_a_file_in_its_place_says_that_it_stays_gone(a):
    (a.root / "disk" / "new").write_bytes(b"new")
    assert a.publish().manifest.files == 2
    (a.root / "disk" / "new").unlink()
    assert a.publish().manifest.files == 1
    assert a.report.problems == []


async def test_what_cannot_be_moved_onto_a_disk_below_a_copy_is_said_and_the_rest_is_made(tmp_path):
    with sharing(tmp_path / "a") as a:
        (a.root / "disk").mkdir()
        fill(a.root)
        a.publish()
        (tmp_path / "b").mkdir()
        with mounted_disk(tmp_path / "b/disk", "1m"), following(tmp_path / "b", a.swarm) as b:
            matched = await b.get()
        assert {problem.path for problem in matched.problems} == {b"disk/one", b"disk/deep/two"}
        assert all("another disk is mounted there" in str(problem) for problem in matched.problems)
        assert (tmp_path / "b/beside").read_bytes() == FILES[b"beside"]


def test_an_emptied_disk_that_is_still_mounted_is_published(tmp_path):
    with sharing(tmp_path / "a") as a, mounted_disk(a.root / "disk", "1m"):
        fill(a.root)
        a.publish()
        (a.root / "disk/one").unlink()
        (a.root / "disk/deep/two").unlink()
        (a.root / "disk/deep").rmdir()
        assert a.publish().manifest.files == 1


async def test_a_follower_puts_nothing_in_the_place_of_a_disk(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "disk").mkdir()
        fill(a.root)
        a.publish()
        with mounted_disk(b.root / "disk", "1m"):
            await b.get()
        (a.root / "beside").write_bytes(b"changed")
        a.publish()
        with pytest.raises(StoreError, match="'disk': the disk that was mounted there is gone"):
            await b.get()
        assert contents(b.root) == {b"beside": b"3"}
