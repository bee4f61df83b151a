"""What a scan does where the process has as many files open as it may."""

import os
import resource

import pytest
import trio

from p2psync.errors import StoreError
from p2psync.sync.events import LeftOut, PublishedHead, Remark
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
