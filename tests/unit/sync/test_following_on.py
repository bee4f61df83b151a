"""A follower that goes from head to head."""

import trio

from p2psync.keys import Role
from p2psync.sync.events import Matched
from p2psync.sync.follower import Follower
from p2psync.sync.heads import NewestHead
from tests.unit.sync.folders import KEYS, following, sharing, tree


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
        matched: list[Matched] = []
        a.swarm.connect(b.swarm)
        b.swarm.before_write = publish_another
        newest = NewestHead(b.folder.database, KEYS.limited_to(Role.READ))
        at_last = trio.Event()

        def tell(event: Matched) -> None:
            matched.append(event)
            if event.root == a.newest.head.root and heads == 3:
                at_last.set()

        follower = Follower(b.folder, b.keys, newest, b.swarm, tell)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.run)
            await at_last.wait()
            nursery.cancel_scope.cancel()
        assert tree(b.root) == tree(a.root)
        assert all((event.problems, event.additions, event.displaced) == ((), (), 0) for event in matched)
        assert b.versions() == set()


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
