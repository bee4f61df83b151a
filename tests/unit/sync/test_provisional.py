"""What a first scan has found so far is followed, and nothing is concluded from what it lacks."""

from itertools import pairwise

import pytest
import trio

from p2psync.sync.events import Matched, PublishedHead
from p2psync.sync.follower import Follower, PullOptions
from p2psync.sync.heads import NewestHead
from p2psync.sync.provisional import FIRST_S, ShowTimes
from p2psync.sync.publisher import Publisher
from p2psync.sync.watch import clock_ns
from tests.unit.sync.direct_swarm import DirectSwarm
from tests.unit.sync.folders import DEVICE, KEYS, following, sharing, tree


class Following:
    """A follower at work, as `sync` has it."""

    def __init__(self, getter, sharer, *, exact=False) -> None:
        self.matched: list[Matched] = []
        self.swarm = DirectSwarm(getter.folder.store)
        sharer.swarm.connect(self.swarm)
        newest = NewestHead(getter.folder.database, getter.keys)
        self.follower = Follower(
            getter.folder, getter.keys, newest, self.swarm, self.matched.append, PullOptions(exact=exact)
        )

    async def until(self, is_so) -> None:
        with trio.fail_after(20):
            while not is_so():  # noqa: ASYNC110 - what a follower has done so far is told to nobody
                await trio.sleep(0.01)


def show(sharer) -> None:
    """Offer what is there now, as the middle of a first scan does."""
    sharer.scan()
    published = sharer._writer.publish_provisional(clock_ns())
    sharer.swarm.publish(published.signed, published.head.root, complete=True, provisional=True)


async def test_it_is_fetched_at_once_and_matches_only_with_the_first_real_head(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "d").mkdir()
        (a.root / "d" / "one").write_bytes(b"1")
        show(a)
        work = Following(b, a)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: work.follower.run(after_hearing=True))
            await work.until((b.root / "d" / "one").exists)
            await work.until(lambda: work.follower.progress.activity.value == "waiting")
            assert work.follower.progress.provisional
            (a.root / "two").write_bytes(b"2")
            show(a)
            await work.until((b.root / "two").exists)
            assert work.matched == []
            (a.root / "three").write_bytes(b"3")
            head = a.publish().head
            await work.until(lambda: work.matched)
            nursery.cancel_scope.cancel()
        assert (head.seq, work.matched[0].root, work.matched[0].problems) == (1, head.root, ())
        assert len(work.matched) == 1
        assert work.matched[0].reused_bytes == 0  # all of it was fetched, if for heads before this one
        assert not work.follower.progress.provisional
        assert tree(b.root) == tree(a.root)
        assert len(work.swarm.fetched) == 3


async def test_what_it_lacks_is_neither_removed_nor_moved_away_even_with_exact(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "gone").write_bytes(b"ours by the first provisional head")
        show(a)
        (b.root / "mine").write_bytes(b"the user's")
        work = Following(b, a, exact=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: work.follower.run(after_hearing=True))
            await work.until((b.root / "gone").exists)
            (a.root / "gone").unlink()
            (a.root / "new").write_bytes(b"2")
            show(a)
            await work.until((b.root / "new").exists)
            await work.until(lambda: work.follower.progress.activity.value == "waiting")
            assert (b.root / "gone").exists()
            assert (b.root / "mine").exists()
            a.publish()
            await work.until(lambda: work.matched)
            nursery.cancel_scope.cancel()
        assert not (b.root / "gone").exists()
        assert b.moved_aside() == {b"the user's"}


async def test_one_that_comes_after_a_real_head_changes_nothing(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "one").write_bytes(b"1")
        show(a)
        early = a.swarm.published[-1][0]
        (a.root / "two").write_bytes(b"2")
        a.publish()
        await b.get()
        before = tree(b.root)
        work = Following(b, a)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work.follower.run)
            await work.until(lambda: work.matched)
            work.swarm.hear(early)
            (a.root / "three").write_bytes(b"3")
            a.publish()
            await work.until(lambda: len(work.matched) == 2)
            nursery.cancel_scope.cancel()
        assert before.items() <= tree(b.root).items()
        with sharing(tmp_path / "c") as c:
            c.newest.adopt(a.newest.head, a.newest.signed)
            assert c.newest.judge(early)[0].value == "older"


async def test_after_a_crash_of_the_sharer_the_next_ones_are_newer(tmp_path):
    with sharing(tmp_path / "a") as a:
        (a.root / "one").write_bytes(b"1")
        show(a)
        first = a.newest.judge(a.swarm.published[-1][0])[1]
    with sharing(tmp_path / "a") as a:
        (a.root / "two").write_bytes(b"2")
        show(a)
        second = a.newest.judge(a.swarm.published[-1][0])[1]
        assert second.standing_against(first).value == "newer"
        assert (a.publish().head.seq, a.newest.head.provisional) == (1, False)


async def published_from_the_start(sharer) -> list[PublishedHead]:
    """Let a publisher begin that shows what it has found whenever it may; return what it told until a real head."""
    told: list[PublishedHead] = []
    done = trio.Event()

    def tell(event) -> None:
        told.append(event)
        if not event.provisional:
            done.set()

    publisher = Publisher(sharer.folder, KEYS, DEVICE, sharer.newest, sharer.swarm, tell)
    publisher.show_after_s = 0.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publisher.run)
        with trio.fail_after(20):
            await done.wait()
        nursery.cancel_scope.cancel()
    return told


async def test_a_publisher_offers_what_its_first_scan_has_found_and_then_the_whole(tmp_path):
    with sharing(tmp_path / "a") as a:
        for number in range(5):
            (a.root / str(number)).write_bytes(b"%d" % number)
        for first in (True, False):
            told = await published_from_the_start(a)
            assert told[0].provisional == first
            assert not told[-1].provisional
            assert (told[-1].seq, told[-1].files) == (1, 5)
            assert 1 <= told[0].files <= 5


@pytest.mark.parametrize("is_heard", [False, True])
async def test_after_the_first_only_peers_are_shown_how_far_a_scan_is(tmp_path, is_heard):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        for number in range(200):
            (a.root / str(number)).write_bytes(b"%d" % number)
        if is_heard:
            a.swarm.connect(DirectSwarm(b.folder.store))
        *shown, last = [head.provisional for head in await published_from_the_start(a)]
        assert not last
        assert all(shown)
        assert len(shown) > 1 if is_heard else len(shown) == 1


def test_a_scan_is_shown_after_a_while_and_each_time_after_as_long_again():
    times = ShowTimes(100.0)
    shown = [second / 10 for second in range(1000, 2000) if times.is_due(second / 10)]
    assert shown[0] == 100.0 + FIRST_S
    assert len(shown) == 6
    assert all(later - 100 >= 2 * (earlier - 100) for earlier, later in pairwise(shown))
