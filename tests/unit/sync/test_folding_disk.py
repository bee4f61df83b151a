"""A file system that takes names differing only by case for the same, as on a memory stick."""

import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from tests.unit.sync.folders import contents, following, sharing


@contextmanager
def folding_disk(path, image):
    """Mount exFAT; case is kept, and ignored. Links and permissions it does not know."""
    if shutil.which("mkfs.exfat") is None or shutil.which("mount.exfat-fuse") is None or os.geteuid() != 0:
        pytest.skip("needs root, exfatprogs and exfat-fuse")
    path.mkdir()
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.exfat", image], check=True, capture_output=True)
    loop = subprocess.run(
        ["losetup", "--find", "--show", image], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        subprocess.run(["mount.exfat-fuse", loop, path], check=True, capture_output=True)
        try:
            yield path
        finally:
            left_open = subprocess.run(["umount", path], check=False).returncode != 0
            if left_open:
                subprocess.run(["umount", "--lazy", path], check=True)
        assert not left_open
    finally:
        subprocess.run(["losetup", "--detach", loop], check=True)


@pytest.fixture
def disk(tmp_path):
    with folding_disk(tmp_path / "disk", tmp_path / "image") as path:
        yield path


@pytest.fixture
def a(tmp_path):
    with sharing(tmp_path / "a") as sharer:
        yield sharer


@pytest.fixture
def b(disk, a):
    with following(disk / "b", a.swarm) as getter:
        yield getter


async def test_of_two_names_that_clash_one_is_made_and_the_other_is_said(a, b):
    for name in ("File", "file", "Dir", "straße", "STRASSE", "é", "É", "other"):
        path = a.root / name
        path.write_bytes(name.encode())
    (a.root / "dir").mkdir()
    (a.root / "dir" / "inside").write_bytes(b"inside")
    a.publish()
    for _ in range(2):
        matched = await b.get()
        refused = {problem.path.decode() for problem in matched.problems}
        made = {path.decode(): data.decode() for path, data in contents(b.root).items()}
        assert set(made) | refused == {
            "File",
            "file",
            "Dir",
            "dir",
            "dir/inside",
            "straße",
            "STRASSE",
            "é",
            "É",
            "other",
        }
        assert not set(made) & refused
        assert all(name == data for name, data in made.items())
        assert b.versions() == set()
        assert matched.additions == ()


async def test_a_name_that_changes_only_its_case_is_renamed_and_nothing_moved_aside(a, b):
    (a.root / "readme").write_bytes(b"1")
    (a.root / "docs").mkdir()
    (a.root / "docs" / "page").write_bytes(b"2")
    a.publish()
    await b.get()
    (a.root / "readme").rename(a.root / "README")
    (a.root / "docs").rename(a.root / "Docs")
    a.publish()
    matched = await b.get()
    assert contents(b.root) == {b"README": b"1", b"Docs/page": b"2"}
    assert (matched.problems, matched.additions, b.versions()) == ((), (), set())


async def test_a_name_that_comes_to_clash_with_one_that_was_made_costs_neither(a, b):
    (a.root / "file").write_bytes(b"lower")
    a.publish()
    await b.get()
    (a.root / "File").write_bytes(b"upper")
    a.publish()
    matched = await b.get()
    assert len(matched.problems) == 1
    assert len(contents(b.root)) == 1
    assert b.versions() == set()


@pytest.mark.parametrize("exact", [False, True])
async def test_the_users_own_under_another_case_is_kept(exact, a, b):
    (a.root / "README").write_bytes(b"theirs")
    a.publish()
    (b.root / "readme").write_bytes(b"mine")
    matched = await b.get(exact=exact)
    assert matched.problems == ()
    assert set(contents(b.root).values()) == {b"theirs"}
    assert b.moved_aside() == {b"mine"}
    matched = await b.get(exact=exact)
    assert (matched.problems, matched.additions, matched.displaced) == ((), (), 0)


async def test_what_such_a_disk_cannot_hold_is_said_and_the_rest_is_made(a, b):
    (a.root / "link").symlink_to("file")
    (a.root / "file").write_bytes(b"1")
    (a.root / "a:b?c").write_bytes(b"2")
    (a.root / "not utf-8").write_bytes(b"3")
    os.rename(os.fsencode(a.root) + b"/not utf-8", os.fsencode(a.root) + b"/\xff")
    (a.root / "private").write_bytes(b"4")
    (a.root / "private").chmod(0o600)
    a.publish()
    matched = await b.get()
    assert {problem.path for problem in matched.problems} == {b"link", b"a:b?c", b"\xff"}
    assert contents(b.root) == {b"file": b"1", b"private": b"4"}
