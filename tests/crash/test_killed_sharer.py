"""A sharer that is killed at any moment goes on as the same folder, never backwards."""

import trio

from tests.crash.test_killed_getter import OLD, run_until_killed, update, write
from tests.unit.sync.folders import following, sharing, tree


async def test_wherever_it_is_killed_its_number_never_goes_back_and_what_it_publishes_is_right(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        write(a.root, OLD)
        (a.root / "link").symlink_to("same")
        (a.root / "to link").symlink_to("same")
        first = a.publish()
        await b.get()
    update(a.root)
    new = tree(a.root)
    dead = await trio.to_thread.run_sync(run_until_killed, tmp_path / "dead", "share", tmp_path / "a", 1)
    assert len(dead) > 10
    seen = set()
    for root in dead:
        assert tree(root) == new
        with sharing(root) as a:
            assert a.newest.head.seq in (1, 2)
            assert a.newest.head.seq == 2 or a.newest.head == first.head
            seen.add(a.newest.head.seq)
            if a.publish() is None:
                a.offer()
            assert a.newest.head.seq == 2
            assert a.publish() is None
            with following(root.with_name(f"{root.name} follows"), a.swarm) as c:
                assert (await c.get()).problems == ()
                assert tree(c.root) == new
    assert seen == {1, 2}
