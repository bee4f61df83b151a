"""What is to come first comes first, and nothing else is different."""

import os
import random
import shutil

import pytest

from p2psync.sync.choice import PathChoice
from tests.unit.sync.folders import contents, following, sharing, tree


def make_folder(root):
    rng = random.Random(3)
    for path in ("a/one", "a/two", "b/film.mkv", "c/deep/er/three", "z/film.mkv", "z/last", "first file"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(rng.randbytes(90_000))
    (root / "z/link.mkv").symlink_to("last")
    (root / "empty").mkdir()
    (root / "b/nothing.mkv").write_bytes(b"")


def blocks_of(folder, *paths):
    """Return the ids of the files' blocks."""
    found = set()
    for path in paths:
        parent, _, name = path.rpartition("/")
        local = folder.index.file_at(f"{parent}\0{name}".encode())
        found |= {local.entry.ids[at : at + 32] for at in range(0, len(local.entry.ids), 32)}
    return found


@pytest.mark.parametrize(
    ("patterns", "early"),
    [
        (["*.mkv"], ["b/film.mkv", "z/film.mkv"]),
        (["z"], ["z/film.mkv", "z/last"]),
        (["c/**", "a/two"], ["a/two", "c/deep/er/three"]),
        (["**"], ["a/one", "a/two", "b/film.mkv", "c/deep/er/three", "z/film.mkv", "z/last", "first file"]),
        (["nothing like it"], []),
    ],
)
async def test_chosen_files_are_fetched_before_all_others(tmp_path, patterns, early):
    with sharing(tmp_path / "a") as sharer:
        make_folder(tmp_path / "a")
        sharer.publish()
        expected = blocks_of(sharer.folder, *early)
        with following(tmp_path / "b", sharer.swarm) as getter:
            await getter.get(first=PathChoice(patterns))
            assert set(getter.swarm.fetched[: len(expected)]) == expected
            assert len(getter.swarm.fetched) == len(set(getter.swarm.fetched))
    assert tree(tmp_path / "b") == tree(tmp_path / "a")


async def test_an_update_with_a_choice_ends_like_one_without(tmp_path):
    with sharing(tmp_path / "a") as sharer:
        make_folder(tmp_path / "a")
        sharer.publish()
        matches = {}
        for name, options in (("plain", {}), ("chosen", {"first": PathChoice(["*.mkv", "c"])})):
            with following(tmp_path / name, sharer.swarm) as getter:
                await getter.get(**options)
                for path, data in (("c/mine", b"an addition"), ("z/film.mkv", b"changed here")):
                    (tmp_path / name / path).write_bytes(data)
                    os.utime(tmp_path / name / path, (1e9, 1e9))
        shutil.rmtree(tmp_path / "a/b")
        (tmp_path / "a/a/one").rename(tmp_path / "a/c/moved.mkv")
        (tmp_path / "a/z/link.mkv").unlink()
        (tmp_path / "a/z/link.mkv").mkdir()
        (tmp_path / "a/z/link.mkv/inside").write_bytes(b"inside")
        sharer.publish()
        for name, options in (("plain", {}), ("chosen", {"first": PathChoice(["*.mkv", "c"])})):
            with following(tmp_path / name, sharer.swarm) as getter:
                matched = await getter.get(**options)
                matches[name] = (matched.additions, matched.problems, matched.displaced, getter.swarm.fetched_bytes)
                assert getter.moved_aside() == {b"changed here"}
    assert matches["plain"] == matches["chosen"]
    assert tree(tmp_path / "chosen") == tree(tmp_path / "plain")
    assert contents(tmp_path / "chosen")[b"c/mine"] == b"an addition"


async def test_a_path_that_cannot_be_made_is_told_once(tmp_path):
    with sharing(tmp_path / "a") as sharer:
        make_folder(tmp_path / "a")
        (tmp_path / "a/c/.p2psync").mkdir()
        (tmp_path / "a/c/.p2psync/x.mkv").write_bytes(b"x")
        sharer.publish()
        with following(tmp_path / "b", sharer.swarm) as getter:
            matched = await getter.get(first=PathChoice(["*.mkv"]))
            plain = [str(problem) for problem in matched.problems]
            assert len(plain) == len(set(plain))
