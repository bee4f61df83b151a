"""The write key signs any bytes: what is safe is made, the rest is said, and nothing outside is touched."""

import os
import random
import resource

import pytest

from p2psync.blocks.block import block_id
from p2psync.errors import RemoteProtocolError
from tests.unit.sync.author import Author, directory, in_order, link
from tests.unit.sync.folders import contents, following, tree

DATA = b"hostile content"


@pytest.fixture
def author():
    return Author()


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "outside"
    (path / "below").mkdir(parents=True)
    (path / "precious").write_bytes(b"precious")
    before = tree(path)
    yield path
    assert tree(path) == before


@pytest.fixture
def b(tmp_path, author):
    with following(tmp_path / "in" / "b", author.swarm) as getter:
        yield getter
    assert os.listdir(tmp_path / "in") == ["b"]


def refused(matched) -> set[bytes]:
    return {problem.path for problem in matched.problems}


async def test_paths_that_climb_out_are_refused_one_by_one(author, b, outside):
    good = author.file(b"", b"good", DATA)
    bad = [
        author.file(b"..", b"x", DATA),
        author.file(b"", b"..", DATA),
        author.file(b"", b".", DATA),
        author.file(b"", b"../x", DATA),
        author.file(b"", b"/etc/x", DATA),
        author.file(b"/etc", b"x", DATA),
        author.file(b"/", b"x", DATA),
        author.file(b"a/../..", b"x", DATA),
        author.file(b"./.", b"x", DATA),
        author.file(b"", b".p2psync", DATA),
        author.file(b".p2psync", b"link", DATA),
        author.file(b".p2psync/staging", b"1", DATA),
        directory(b"", b".p2psync"),
        link(b"", b".p2psync", b"/tmp"),
        author.file(b"no/such/directory", b"x", DATA),
        author.file(b"", b"n" * 256, DATA),
        directory(b"..", b"x"),
        link(b"..", b"x", b"y"),
    ]
    for entry in bad:
        author.publish(in_order(good, entry))
        matched = await b.get()
        assert refused(matched) == {entry.path}
        assert contents(b.root) == {b"good": DATA}
        assert b.swarm.completed == []


async def test_a_link_made_by_the_manifest_leads_nowhere(author, b, outside):
    target = os.fsencode(outside)
    author.publish(in_order(
        link(b"", b"way", target), author.file(b"way", b"precious", DATA), directory(b"way", b"below"),
        author.file(b"way/below", b"new", DATA), link(b"way", b"l", b"x"), author.file(b"", b"good", DATA),
    ))  # fmt: skip
    matched = await b.get()
    assert refused(matched) == {b"way/precious", b"way/below", b"way/below/new", b"way/l"}
    assert contents(b.root) == {b"way": target, b"good": DATA}


async def test_a_link_of_the_users_gives_way_and_is_kept(author, b, outside):
    (b.root / "way").symlink_to(outside)
    author.publish(in_order(directory(b"", b"way"), author.file(b"way", b"precious", DATA)))
    matched = await b.get()
    assert (matched.problems, matched.displaced) == ((), 1)
    assert contents(b.root) == {b"way/precious": DATA}
    assert b.versions() == {(b"way", os.fsencode(outside))}


@pytest.mark.parametrize("first_a_directory", [False, True])
async def test_a_path_below_something_that_is_no_directory_is_refused(first_a_directory, author, b):
    if first_a_directory:
        author.publish(in_order(directory(b"", b"d"), author.file(b"d", b"old", DATA)))
        await b.get()
    author.publish(in_order(link(b"", b"d", b"elsewhere"), author.file(b"d", b"x", DATA)))
    matched = await b.get()
    assert refused(matched) == {b"d/x"}
    assert contents(b.root) == {b"d": b"elsewhere"}
    assert b.versions() == set()


async def test_a_path_in_a_directory_that_only_the_user_has_is_refused(author, b):
    (b.root / "mine").mkdir()
    author.publish([author.file(b"mine", b"x", DATA)])
    matched = await b.get()
    assert refused(matched) == {b"mine/x"}
    assert os.listdir(b.root / "mine") == []


async def test_blocks_that_are_not_as_long_as_the_manifest_says_are_not_put_together(author, b):
    author.publish(in_order(
        author.file(b"", b"good", DATA), author.file(b"", b"longer", DATA, lengths=[5]),
        author.file(b"", b"middle", DATA, b"x" * 70_000, b"end", lengths=[15, 80_000, 3]),
        author.file(b"", b"shorter", DATA, lengths=[500]),
    ))  # fmt: skip
    matched = await b.get()
    assert refused(matched) == {b"longer", b"middle", b"shorter"}
    assert contents(b.root) == {b"good": DATA}


async def test_one_block_in_many_places_is_fetched_once(author, b):
    big = random.Random(1).randbytes(100_000)
    author.publish(in_order(
        *(author.file(b"", b"%d" % n, DATA) for n in range(300)),
        *(author.file(b"", b"m%d" % n, *[DATA] * n, big, DATA) for n in range(30)),
    ))  # fmt: skip
    matched = await b.get()
    assert matched.problems == ()
    assert sorted(b.swarm.fetched) == sorted([block_id(DATA), block_id(big)])
    assert contents(b.root) == {b"%d" % n: DATA for n in range(300)} | {
        b"m%d" % n: DATA * n + big + DATA for n in range(30)
    }


@pytest.mark.parametrize("how", ["twice in two pages", "not ascending", "first key is another", "the same page twice"])
async def test_pages_that_are_no_ascending_run_are_refused(how, author, b):
    a, c, d = (author.file(b"", name, DATA) for name in (b"a", b"c", b"d"))
    (b.root / "mine").write_bytes(b"mine")
    pages, firsts = {
        "twice in two pages": ([[a, c], [c, d]], None),
        "not ascending": ([[a, d], [c]], [a.key, d.key]),
        "first key is another": ([[a], [d]], [a.key, c.key]),
        "the same page twice": ([[a], [a]], None),
    }[how]
    author.publish(*pages, firsts=firsts)
    with pytest.raises(RemoteProtocolError):
        await b.get()
    assert (b.root / "mine").read_bytes() == b"mine"


async def test_times_at_both_ends_of_the_range_are_made_as_far_as_they_go(author, b):
    entries = [author.file(b"", b"a", DATA)._replace(mtime_ns=-(1 << 63)),
               author.file(b"", b"b", DATA)._replace(mtime_ns=(1 << 63) - 1),
               directory(b"", b"c")._replace(mtime_ns=-(1 << 63))]  # fmt: skip
    author.publish(entries)
    assert (await b.get()).problems == ()
    assert contents(b.root) == {b"a": DATA, b"b": DATA}


async def test_names_clash_on_a_file_system_that_folds_them_only_there(author, b):
    author.publish(in_order(author.file(b"", b"A", DATA), author.file(b"", b"a", b"other")))
    assert (await b.get()).problems == ()
    assert contents(b.root) == {b"A": DATA, b"a": b"other"}


async def test_a_directory_that_becomes_a_link_between_plan_and_placing_is_not_gone_through(
    author, b, outside, tmp_path
):
    author.publish(in_order(
        directory(b"", b"d"), author.file(b"d", b"precious", DATA), author.file(b"d", b"other", b"other"),
        author.file(b"", b"good", b"good"),
    ))  # fmt: skip

    def swap(_: object) -> None:
        if not (b.root / "d").is_symlink():
            (b.root / "d").rename(b.root / "was d")
            (b.root / "d").symlink_to(outside)

    b.before_write = swap
    matched = await b.get()
    assert refused(matched) >= {b"d/precious", b"d/other"}
    assert contents(b.root) == {b"d": os.fsencode(outside), b"good": b"good"}
    b.before_write = None
    matched = await b.get()
    assert matched.problems == ()
    assert contents(b.root) == {b"d/precious": DATA, b"d/other": b"other", b"good": b"good"}


async def test_a_file_that_becomes_a_link_is_not_touched_through_it(author, b, outside):
    author.publish([author.file(b"", b"f", DATA)])
    await b.get()
    author.publish([author.file(b"", b"f", DATA, mode=0o777), author.file(b"", b"g", b"new")])
    (b.root / "f").unlink()
    (b.root / "f").symlink_to(outside / "precious")
    await b.get()
    assert (outside / "precious").stat().st_mode & 0o777 == 0o644


async def test_what_the_user_puts_in_the_way_while_blocks_arrive_is_kept(author, b):
    author.publish(in_order(*(author.file(b"", name, name) for name in (b"file", b"dir", b"link", b"last"))))
    mine = {}

    def come_between(_: object) -> None:
        if not mine:
            (b.root / "file").write_bytes(b"the user's")
            (b.root / "dir").mkdir()
            (b.root / "dir" / "inside").write_bytes(b"inside")
            (b.root / "link").symlink_to("target")
            mine.update({b"file": b"the user's", b"dir/inside": b"inside", b"link": b"target"})

    b.before_write = come_between
    matched = await b.get()
    assert matched.problems == ()
    assert b.versions() == set(mine.items())
    assert contents(b.root) == {name: name for name in (b"file", b"dir", b"link", b"last")}


async def test_a_file_too_large_for_the_file_system_is_refused_alone(author, b):
    zeros = bytes(4 << 20)
    huge = author.file(b"", b"huge", *[zeros] * 20)._replace(cut=20)
    author.publish(in_order(huge, author.file(b"", b"good", DATA), author.file(b"", b"too", *[DATA] * 3)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50 << 20, before[1]))
    try:
        matched = await b.get()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused(matched) == {b"huge"}
    assert contents(b.root) == {b"good": DATA, b"too": DATA * 3}
    assert (await b.get()).problems == ()
    assert (b.root / "huge").stat().st_size == 20 * len(zeros)
