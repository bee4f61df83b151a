"""Whatever stands in one folder stands in the other afterwards, exactly."""

import os
import random
from pathlib import Path

import pytest

from p2psync.blocks.block import block_id
from tests.unit.sync.folders import following, make_deep, sharing, tree

YEAR_2100_NS = 4_102_444_800 * 10**9 + 123_456_789


def random_bytes(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def make_strange_tree(root: Path) -> None:
    names = [
        b"plain", b"two words", b"UPPER", b"upper",
        b" leading and trailing ", b"new\nline", b"tab\there", b"-rf", b"--", b"*?[a]", b"'\"`$(x)",
        b"back\\slash", b"con:", b"not utf-8 \xff\xfe\x80", "räksmörgås 动作 🎈".encode(), "e\u0301".encode(),
        "\u00e9".encode(), b".hidden", b"...", b"\x01\x7f", b"n" * 255, b"\xf0\x9f\x8e\x88" * 63,
    ]  # fmt: skip
    for number, name in enumerate(names):
        (root / os.fsdecode(name)).write_bytes(random_bytes(number, 100 * number))
        below = root / "directories" / os.fsdecode(name)
        below.mkdir(parents=True)
        (below / os.fsdecode(name)).write_bytes(b"inside " + name)
    (root / "empty file").touch()
    (root / "empty directory").mkdir()
    (root / "nested" / "empty" / "directories").mkdir(parents=True)
    (root / ".p2psync.not").write_bytes(b"only the name begins alike")
    (root / "large").write_bytes(random_bytes(1, 9_000_000))
    (root / "twice the same").write_bytes(random_bytes(1, 9_000_000))
    (root / "one block of zeros").write_bytes(bytes(256 << 10))
    (root / "many blocks of zeros").write_bytes(bytes(3_000_000))
    with open(root / "sparse", "wb") as file:
        file.write(b"front")
        file.seek(40_000_000)
        file.write(b"back")
    for name, target in {"absolute": "/etc/hostname", "relative": "plain", "dangling": "no/such/thing", "up": "..",
                         "self": "self", "to directory": "nested", "t": "\udcff\n " + "t" * 200}.items():  # fmt: skip
        os.symlink(target, root / name)
    os.utime(root / "dangling", ns=(0, 86_400 * 10**9 + 1), follow_symlinks=False)
    for mode in (0o000, 0o400, 0o555, 0o644, 0o777, 0o111, 0o200):
        file = root / f"mode {mode:o}"
        file.write_bytes(b"m%o" % mode)
        file.chmod(mode)
        directory = root / f"directory mode {mode:o}"
        directory.mkdir()
        (directory / "inside").write_bytes(b"i%o" % mode)
    for number, mtime_ns in enumerate((0, 1, -1, 1_000_000_007, YEAR_2100_NS, -(10**15))):
        (root / f"time {number}").write_bytes(b"t")
        os.utime(root / f"time {number}", ns=(0, mtime_ns))
    os.utime(root / "nested", ns=(0, 5))
    os.utime(root / "nested" / "empty", ns=(0, YEAR_2100_NS))
    for mode in (0o000, 0o400, 0o555, 0o644, 0o777, 0o111, 0o200):
        directory = root / f"directory mode {mode:o}"
        os.utime(directory, ns=(0, 7 + mode))
        directory.chmod(mode)


async def test_a_strange_tree_arrives_exactly(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        make_strange_tree(a.root)
        make_deep(a.root, 60, b"deep")
        expected = tree(a.root)
        a.publish()
        assert a.report.problems == []
        matched = await b.get()
        assert matched.problems == ()
        assert (matched.additions, matched.displaced) == ((), 0)
        assert tree(b.root) == expected
        assert tree(a.root) == expected
        assert b.swarm.completed == [a.newest.head.root]
        assert sorted(set(b.swarm.fetched)) == sorted(b.swarm.fetched), "no block travels twice"


async def test_a_second_get_and_a_second_publish_find_nothing_to_do(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        make_strange_tree(a.root)
        a.publish()
        await b.get()
        before = tree(b.root)
        assert a.publish() is None
        matched = await b.get()
        assert b.swarm.fetched == []
        assert tree(b.root) == before
        assert (matched.problems, matched.displaced) == ((), 0)


async def test_holes_stay_holes(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "sparse").touch()
        os.truncate(a.root / "sparse", 200_000_000)
        a.publish()
        await b.get()
        status = (b.root / "sparse").stat()
        assert status.st_size == 200_000_000
        assert status.st_blocks * 512 < 10_000_000
        assert b.swarm.fetched_bytes < 10_000_000


@pytest.mark.parametrize(
    "content",
    [bytes(256 << 10), bytes(100_001), random_bytes(1, 300_000) + bytes(1_000_001), bytes(3_000_001)],
    ids=["largest block", "smaller block", "zeros at the end", "many blocks"],
)
async def test_blocks_of_zeros_arrive_and_do_not_travel(tmp_path, content):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "zeros").write_bytes(content)
        a.publish()
        assert (await b.get()).problems == ()
        assert (b.root / "zeros").read_bytes() == content
        assert all(any(data) for data in a.folder.store.read(b.swarm.fetched) if data is not None)


async def test_a_year_past_2262_is_no_reason_to_fail(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "far future").write_bytes(b"x")
        (a.root / "directory").mkdir()
        for path in (a.root / "far future", a.root / "directory"):
            os.utime(path, ns=(0, 10_500_000_000 * 10**9))
        (a.root / "ordinary").write_bytes(b"y")
        a.publish()
        assert a.publish() is None
        assert (await b.get()).problems == ()
        assert (b.root / "far future").read_bytes() == b"x"
        assert (b.root / "ordinary").read_bytes() == b"y"


async def test_every_getter_can_serve_the_next_one(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        make_strange_tree(a.root)
        a.publish()
        await b.get()
        everything = list(dict.fromkeys([a.newest.head.root, *b.swarm.fetched]))
        served = b.folder.store.read(everything)
        assert [block_id(data) for data in served if data is not None] == everything
