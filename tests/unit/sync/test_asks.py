"""Paths that are asked for while a folder is being fetched."""

import random

import pytest
import trio

from p2psync.errors import ConfigError, PathError
from p2psync.sync.asked import read_asked
from p2psync.sync.asks import MOST_ASKS, Asks
from p2psync.sync.choice import PathChoice
from p2psync.sync.page_groups import PageGroups
from tests.unit.sync.folders import following, sharing, tree

PATHS = ("a/one", "b/film", "c/deep/er/three", "c/deep/four", "c!/five", "z/film", "z/last", "first file")


def make_folder(root):
    rng = random.Random(3)
    for path in PATHS:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(rng.randbytes(400_000))
    (root / "c/copy").write_bytes((root / "z/film").read_bytes())
    (root / "c/link").symlink_to("copy")
    (root / "c/deep/empty").mkdir()
    (root / "c/nothing").write_bytes(b"")


async def get_asking(getter, asks, after, **options):
    """Get the folder, and ask for paths when so many blocks have come; return what was there when they were."""
    seen = {}
    count = 0

    async def ask(text, *place):
        asked = await getter.follower.ask(read_asked(text, *place), waits=True)
        with trio.fail_after(20):
            await asked.wait()
        seen[text] = asked.read_at.read_bytes()[: asked.end] if asked.read_at.is_file() else tree(asked.read_at)

    def before_write(block):
        nonlocal count
        count += 1
        if count == after:
            for each in asks:
                nursery.start_soon(ask, *each)

    getter.before_write = before_write
    async with trio.open_nursery() as nursery:
        matched = await getter.get(**options)
    return matched, seen


@pytest.mark.parametrize("after", [1, 7, 20, 35])
@pytest.mark.parametrize("first", [(), ("film",), ("c",)])
async def test_whatever_is_asked_for_and_when_all_comes_once_and_is_right(tmp_path, after, first):
    with sharing(tmp_path / "a") as sharer:
        make_folder(tmp_path / "a")
        sharer.publish()
        with following(tmp_path / "b", sharer.swarm) as getter:
            asks = [("z/film", 100_000, 150_000), ("c",), ("first file",), ("c/deep",), ("z/film", 0, 10)]
            _, seen = await get_asking(getter, asks, after, first=PathChoice(first))
            assert getter.swarm.fetched_bytes == 400_000 * len(PATHS)
            assert len(getter.swarm.fetched) == len(set(getter.swarm.fetched))
            assert set(seen) == {"z/film", "c", "first file", "c/deep"}
            assert seen["first file"] == (tmp_path / "a/first file").read_bytes()
            for path, state in tree(tmp_path / "a/c").items():
                assert seen["c"][path][3] == state[3]
    assert tree(tmp_path / "b") == tree(tmp_path / "a")


async def test_what_is_here_elsewhere_is_copied_not_fetched(tmp_path):
    with sharing(tmp_path / "a") as sharer:
        make_folder(tmp_path / "a")
        sharer.publish()
        with following(tmp_path / "b", sharer.swarm) as getter:
            (tmp_path / "b/mine").write_bytes((tmp_path / "a/z/last").read_bytes())
            matched, _ = await get_asking(getter, [("z",)], 1)
            assert (matched.reused_bytes, getter.swarm.fetched_bytes) == (400_000, 400_000 * (len(PATHS) - 1))


async def test_what_the_folder_does_not_have_is_refused(tmp_path):
    with sharing(tmp_path / "a") as sharer:
        make_folder(tmp_path / "a")
        sharer.publish()
        with following(tmp_path / "b", sharer.swarm) as getter:
            told = []

            async def ask(text, *place):
                try:
                    await (await getter.follower.ask(read_asked(text, *place), waits=True)).wait()
                except ConfigError as error:
                    told.append((text, str(error)))

            def before_write(block):
                getter.before_write = getter.swarm.before_write = None
                for each in [("d",), ("a/one/x",), ("a/one", 400_001), ("a/one", 400_000)]:
                    nursery.start_soon(ask, *each)

            getter.before_write = before_write
            async with trio.open_nursery() as nursery:
                await getter.get()
            assert sorted(told) == [
                ("a/one", "'a/one' has 400,000 bytes: ask for a place in it"),
                ("a/one/x", "the folder has no 'a/one/x': see how it is written there"),
                ("d", "the folder has no 'd': see how it is written there"),
            ]


async def test_what_could_not_be_made_is_told_to_whoever_waits_for_it_or_a_directory_above(tmp_path):
    with following(tmp_path / "b", None) as getter:
        asks = Asks(getter.folder)
        (tmp_path / "b/c2").mkdir()
        waited_for = {path: asks.add(read_asked(path), waits=True) for path in ("c", "c/x", "c/y", "c2")}
        asks.settle([PathError(b"c/x", "cannot be")])
        for path in ("c", "c/x"):
            with pytest.raises(PathError, match="cannot be"):
                await waited_for[path].wait()
        await waited_for["c2"].wait()
        with pytest.raises(ConfigError, match="was removed here"):
            await waited_for["c/y"].wait()


async def test_no_more_is_asked_for_than_can_be_looked_after_but_a_player_may_seek(tmp_path):
    with sharing(tmp_path / "a") as sharer, following(tmp_path / "b", sharer.swarm) as getter:
        make_folder(tmp_path / "a")
        sharer.publish()
        await getter.get()
        asks = getter.follower._asks
        for offset in range(2 * MOST_ASKS):
            asks.add(read_asked("z/film", offset), waits=False)
        for number in range(MOST_ASKS - 1):
            asks.add(read_asked(str(number)), waits=True)
        with pytest.raises(ConfigError, match="asked for already"):
            asks.add(read_asked("one more"), waits=False)


def test_an_entry_is_found_by_its_key_in_a_manifest_of_many_pages(tmp_path):
    with sharing(tmp_path / "a") as sharer:
        for number in range(700):
            (tmp_path / "a" / f"file {number:04}").write_bytes(b"%d" % number)
        published = sharer.publish()
        groups = PageGroups(published.manifest, sharer.folder.pages)
        entries = [entry for group in groups.between() for entry in group.entries]
        assert len(published.manifest.pages) > 1
        assert all(groups.find(entry.key) == entry for entry in entries)
        assert groups.find(b"\0file") is groups.find(b"\xff\0x") is groups.find(b"") is None
        for at in (0, 1, 300, 699):
            between = [entry for group in groups.between(entries[at].key, entries[-1].key) for entry in group.entries]
            assert entries[at] in between
