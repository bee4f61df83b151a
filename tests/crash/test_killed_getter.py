"""A getter that is killed at any moment: every file is old or new, and the next run finishes the work."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.unit.sync.folders import following, sharing, tree

BIG = random.Random(7).randbytes(1_500_000)
OLD = {
    "changed": b"old",
    "gone": b"gone",
    "same": b"same",
    "below/changed": b"old below",
    "below/gone": b"gone below",
    "becomes directory": b"file",
    "is directory/inside": b"inside",
    "big": BIG,
    "renamed": b"to be renamed" * 100,
}


def write(root: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def update(root: Path) -> None:
    for path in ("gone", "below/gone", "becomes directory", "is directory/inside", "to link"):
        (root / path).unlink()
    (root / "is directory").rmdir()
    (root / "renamed").rename(root / "new name")
    write(root, {
        "changed": b"new!", "below/changed": b"new below", "becomes directory/inside": b"now", "empty": b"",
        "big": BIG[:500_000] + b"inserted" + BIG[500_000:], "to link": b"no link", "added/deep/down": b"added",
        "zeros": bytes(256 << 10), "is directory": b"a file", "other big": BIG[::-1],
    })  # fmt: skip
    (root / "new link").symlink_to("changed")
    (root / "link").unlink()
    (root / "link").symlink_to("elsewhere")
    (root / "same").chmod(0o400)


def run_until_killed(out: Path, *arguments: str | Path) -> list[Path]:
    """Return the folders that were left behind, one for each moment of dying, and last the one that was finished."""
    out.mkdir()
    work, template, stride, *sharer = map(str, arguments)
    command = [sys.executable, "-m", "tests.crash.run_until_killed", work, template, str(out), stride, *sharer]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    return sorted(out.iterdir(), key=lambda path: int(path.name))


@pytest.fixture(params=[("get", 3), ("get-without-power", 7)], ids=["kill -9", "power cut"])
async def left_behind(request, tmp_path):
    """(how they died, folder at the second head, empty one at the third, old and new tree, what dead getters left)."""
    with sharing(tmp_path / "first") as a, following(tmp_path / "b", a.swarm) as b:
        write(a.root, OLD)
        (a.root / "link").symlink_to("same")
        (a.root / "to link").symlink_to("same")
        a.publish()
        await b.get()
        old = tree(a.root)
        update(a.root)
        a.publish()
        new = tree(a.root)
    with sharing(tmp_path / "last") as last:
        last.publish(above_seq=2)
    work, stride = request.param
    dead = await trio.to_thread.run_sync(
        run_until_killed, tmp_path / "dead", work, tmp_path / "b", stride, tmp_path / "first"
    )
    return work, tmp_path / "first", tmp_path / "last", old, new, dead


async def test_wherever_it_is_killed_every_file_is_old_or_new_and_the_next_run_finishes(left_behind):
    work, second, third, old, new, dead = left_behind
    assert len(dead) > 30, "it was killed at every third or seventh change of the disk"
    may_displace = work == "get-without-power"  # what the index has forgotten to be ours is kept
    with sharing(second) as a, sharing(third) as empty:
        a.offer()
        empty.offer()
        contents = {data for states in (old, new) for *_, data in states.values()}
        for number, root in enumerate(dead):
            for path, (kind, *_, data) in tree(root).items():
                if kind != "directory":
                    assert (kind, data) in {(old.get(path) or new[path])[::3], (new.get(path) or old[path])[::3]}
            if number % 3 == 2:
                clear(root)
            with following(root, a.swarm) as b:
                matched = await b.get()
                assert matched.problems == (), root
                assert may_displace or (matched.additions, matched.displaced) == ((), 0), root
                assert tree(root).items() >= new.items(), root
                assert b.moved_aside() <= contents, root
                served = b.folder.store.read(sorted(blocks_of(a)))
                assert None not in served, root
            with following(root, empty.swarm) as b:
                matched = await b.get(exact=may_displace)
                assert matched.problems == (), root
                assert may_displace or (matched.additions, matched.displaced) == ((), 0), root
                assert tree(root) == {}, root
                assert b.moved_aside() <= contents, root
                assert os.listdir(b.folder.staging.directory) == []


def clear(root: Path) -> None:
    for path in root.iterdir():
        if path.name != ".p2psync":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def blocks_of(sharer):
    return {
        local.entry.ids[at : at + 32]
        for local in sharer.folder.index.iter_files()
        for at in range(0, len(local.entry.ids), 32)
    }
