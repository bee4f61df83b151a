"""What a scan does where the process has as many files open as it may."""

import os
import resource

import pytest
import trio

from p2psync.errors import StoreError
from p2psync.sync.descriptors import PAUSE_S, DescriptorWait
from p2psync.sync.events import LeftOut, Matched, PublishedHead, Remark
from p2psync.sync.follower import Follower
from p2psync.sync.heads import NewestHead
from p2psync.sync.publisher import Publisher
from tests.unit.sync.folders import DEVICE, KEYS, following, make_deep, sharing, tree


class Descriptors:
    """Takes descriptors away for a while."""

    def __init__(self):
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._taken = []

    def leave(self, count):
        """Let so many more be opened: the limit says how high their numbers may be, so gaps are filled first."""
        highest = max(int(number) for number in os.listdir("/proc/self/fd"))
        while not self._taken or self._taken[-1] < highest:
            self._taken.append(os.open("/", os.O_PATH))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(self._taken) + 1 + count, self._limits[1]))

    def leave_none(self):
        """Let none be opened, not even in the place of one that is closed."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, self._limits[1]))

    def give_back(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
        while self._taken:
            os.close(self._taken.pop())


@pytest.fixture
def descriptors():
    descriptors = Descriptors()
    yield descriptors
    descriptors.give_back()


@pytest.fixture
def a(tmp_path):
    with sharing(tmp_path / "a") as sharer:
        for directory in ("one", "one/two", "one/two/three", "four"):
            (sharer.root / directory).mkdir()
            for number in range(3):
                (sharer.root / directory / str(number)).write_bytes(b"%d" % number)
        yield sharer


@pytest.mark.parametrize("left", range(6))
@pytest.mark.parametrize("only", [None, [b"", b"one", b"one/two"]])
async def test_what_could_not_be_opened_is_scanned_once_that_is_possible(a, tmp_path, descriptors, left, only):
    a.wait_descriptor = descriptors.give_back
    descriptors.leave(left)
    a.publish(only=only)
    descriptors.give_back()
    assert a.report.problems == []
    with following(tmp_path / "b", a.swarm) as b:
        await b.get()
        assert tree(b.root) == tree(a.root)


@pytest.mark.parametrize("left", range(4))
def test_what_is_known_stays_published_meanwhile(a, descriptors, left):
    a.publish()
    before = {local.entry.path for local in a.folder.index.iter_files()}

    def look():
        descriptors.give_back()
        assert {local.entry.path for local in a.folder.index.iter_files()} == before

    (a.root / "one" / "0").write_bytes(b"changed")
    a.wait_descriptor = look
    descriptors.leave(left)
    assert a.publish() is not None


@pytest.mark.parametrize("left", range(4))
def test_what_changed_in_one_directory_is_looked_at_once_that_is_possible(a, descriptors, left):
    a.publish()
    (a.root / "one" / "0").write_bytes(b"changed")
    a.wait_descriptor = descriptors.give_back
    descriptors.leave(left)
    published = a.publish(only=[b"one"])
    assert published is not None
    assert published.manifest.size_bytes == 12 - 1 + len(b"changed")


@pytest.mark.parametrize("only", [None, [b""]])
@pytest.mark.parametrize("at", range(5))
def test_at_whatever_moment_the_last_is_taken_nothing_is_missed(tmp_path, descriptors, at, only):
    moments = iter(range(at + 1))
    with sharing(tmp_path / "a") as a:
        for path in ("one/two/file", "three/file"):
            (a.root / path).parent.mkdir(parents=True)
            (a.root / path).write_bytes(b"1")
        (a.root / "file").write_bytes(bytes(2 << 20))  # its reading is a moment of its own
        a.on_checkpoint = lambda: descriptors.leave_none() if next(moments, None) == at else None
        a.wait_descriptor = descriptors.give_back
        published = a.publish(only=only)
        descriptors.give_back()
        assert next(moments, None) is None  # that moment has come
        assert (published.manifest.files, a.report.problems) == (3, [])


async def test_who_waits_tries_again_every_second_and_says_so_once(autojump_clock):
    told = []
    began, descriptors = trio.current_time(), DescriptorWait(told.append)
    for _ in range(3):
        await trio.to_thread.run_sync(descriptors.wait)
    assert (trio.current_time() - began, len(told)) == (3 * PAUSE_S, 1)


async def test_a_follower_waits_too(a, tmp_path, descriptors):
    a.publish()
    matched = trio.Event()

    def tell(event):
        if isinstance(event, Remark):
            descriptors.give_back()
        elif isinstance(event, Matched):
            matched.set()

    with following(tmp_path / "b", a.swarm) as b, trio.fail_after(30):
        a.swarm.connect(b.swarm)
        follower = Follower(b.folder, b.keys, NewestHead(b.folder.database, b.keys), b.swarm, tell)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: follower.run(after_hearing=True))
            descriptors.leave(0)
            await matched.wait()
            nursery.cancel_scope.cancel()
        assert tree(b.root) == tree(a.root)


def test_who_cannot_wait_is_told_what_to_do(a, descriptors):
    descriptors.leave(0)
    with pytest.raises(StoreError, match="ulimit"):
        a.scan()


def test_a_tree_deeper_than_descriptors_is_scanned_in_several_goes(tmp_path, descriptors):
    goes = iter(range(30))
    with sharing(tmp_path / "a") as a:
        make_deep(a.root, 300, b"the bottom")
        a.wait_descriptor = lambda: next(goes)
        descriptors.leave(150)
        published = a.publish()
        descriptors.give_back()
        assert (published.manifest.files, a.report.problems) == (1, [])


async def test_a_share_waits_says_so_once_and_publishes_everything(a, descriptors):
    told = []
    published = trio.Event()

    def tell(event):
        told.append(event)
        if isinstance(event, Remark):
            nursery.start_soon(give_back_later)
        elif isinstance(event, PublishedHead) and not event.provisional:
            published.set()

    async def give_back_later():
        await trio.sleep(1.5)  # so that it has to try a second time
        descriptors.give_back()

    publisher = Publisher(a.folder, KEYS, DEVICE, a.newest, a.swarm, tell)
    async with trio.open_nursery() as nursery:
        descriptors.leave(2)
        nursery.start_soon(publisher.run)
        with trio.fail_after(30):
            await published.wait()
        nursery.cancel_scope.cancel()
    (remark,) = [event for event in told if isinstance(event, Remark)]
    assert "too many files" in remark.sentence
    assert told[-1].files == 12
    assert not [event for event in told if isinstance(event, LeftOut)]
