"""Where only what has changed is looked at and published, the outcome is that of looking at everything."""

import os
import random
import shutil

import pytest

from p2psync.manifest.page import decode_page, iter_pages
from tests.unit.sync.folders import sharing


@pytest.fixture
def a(tmp_path):
    with sharing(tmp_path / "a") as sharer:
        yield sharer


class Hands:
    """Somebody who works in a folder, and the directories that notices would name."""

    def __init__(self, root, rng) -> None:
        self.root, self.rng = root, rng
        self.dirty: set[bytes] = set()
        self.count = 0

    def work(self) -> None:
        act = self.rng.choice([self.make, self.make, self.write, self.remove, self.move, self.grow_tree, self.chmod])
        act()

    def directories(self) -> list[str]:
        return [path for path, names, _ in os.walk(self.root) if ".p2psync" not in path]

    def things(self) -> list[str]:
        return [os.path.join(path, n) for path in self.directories() for n in os.listdir(path) if n != ".p2psync"]

    def touch(self, path: str) -> None:
        self.dirty.add(os.fsencode(os.path.relpath(os.path.dirname(path), self.root)).removeprefix(b"."))

    def new_path(self) -> str:
        self.count += 1
        path = os.path.join(self.rng.choice(self.directories()), f"thing {self.count}")
        self.touch(path)
        return path

    def make(self) -> None:
        with open(self.new_path(), "wb") as file:
            file.write(self.rng.randbytes(self.rng.randrange(50)))

    def grow_tree(self) -> None:
        top = self.new_path()
        os.makedirs(os.path.join(top, "deep", "er"))
        for path in ("one", "deep/two", "deep/er/three"):
            with open(os.path.join(top, path), "wb") as file:
                file.write(self.rng.randbytes(9))

    def write(self) -> None:
        files = [path for path in self.things() if os.path.isfile(path)]
        if files:
            path = self.rng.choice(files)
            self.touch(path)
            with open(path, "ab") as file:
                file.write(b"more")

    def chmod(self) -> None:
        for path in self.rng.sample(self.things(), min(1, len(self.things()))):
            self.touch(path)
            os.chmod(path, self.rng.choice([0o700, 0o755]))

    def remove(self) -> None:
        for path in self.rng.sample(self.things(), min(1, len(self.things()))):
            self.touch(path)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)

    def move(self) -> None:
        for path in self.rng.sample(self.things(), min(1, len(self.things()))):
            self.touch(path)
            target = self.new_path()
            if target.startswith(path + "/"):
                continue
            os.rename(path, target)
            if self.rng.random() < 0.4:  # and something else takes its place
                os.makedirs(os.path.join(path, "instead"))


def manifest_of(sharer) -> list[bytes]:
    return [data for _, data in iter_pages(local.entry for local in sharer.folder.index.iter_files())]


def as_published(sharer) -> list[bytes]:
    manifest = sharer._writer.current().manifest
    return [sharer.folder.pages.get([page])[page] for page in manifest.pages]


@pytest.mark.parametrize("seed", range(12))
def test_looking_into_the_named_directories_finds_what_looking_everywhere_finds(seed, a):
    hands = Hands(str(a.root), random.Random(seed))
    for _ in range(30):
        hands.work()
    a.publish()
    for _ in range(8):
        hands.dirty.clear()
        for _ in range(hands.rng.randrange(1, 6)):
            hands.work()
        a.publish(only=hands.dirty)
        seen = [local.entry for local in a.folder.index.iter_files()]
        assert as_published(a) == manifest_of(a)
        assert a.publish() is None
        assert [local.entry for local in a.folder.index.iter_files()] == seen
    totals = a._writer.current().manifest
    assert (totals.files, totals.size_bytes) == a.folder.index.totals()


def test_directories_that_have_gone_with_all_above_them_are_noted_as_gone(a):
    (a.root / "x" / "y" / "z").mkdir(parents=True)
    (a.root / "x" / "y" / "z" / "file").write_bytes(b"1")
    a.publish()
    shutil.rmtree(a.root / "x")
    a.publish(only=[b"x/y/z"])
    assert a._writer.current().manifest.files == 0
    assert a.publish() is None


@pytest.mark.parametrize("kind", ["link", "file", "directory"])
@pytest.mark.parametrize("named", [[b"", b"d", b"d/e"], [b"d"], [b"d/e"], [b"d", b"d/e"]])
def test_a_directory_that_has_become_something_else_is_that(kind, named, a):
    (a.root / "d" / "e").mkdir(parents=True)
    (a.root / "d" / "e" / "file").write_bytes(b"1")
    a.publish()
    shutil.rmtree(a.root / "d")
    if kind == "link":
        (a.root / "d").symlink_to("elsewhere")
    elif kind == "file":
        (a.root / "d").write_bytes(b"2")
    else:
        (a.root / "d").mkdir()
        (a.root / "d" / "new").write_bytes(b"3")
    a.publish(only=named)
    assert a.publish() is None
    assert as_published(a) == manifest_of(a)


def test_nothing_but_the_named_directories_is_looked_at(a):
    for name in ("one", "two"):
        (a.root / name).mkdir()
        (a.root / name / "file").write_bytes(b"1")
    a.publish()
    for name in ("one", "two"):
        (a.root / name / "file").write_bytes(b"22")
    a.publish(only=[b"one"])
    assert a.report.files == 1
    assert a._writer.current().manifest.size_bytes == 3


def test_what_was_scanned_but_not_published_before_a_crash_is_published_after_it(tmp_path):
    with sharing(tmp_path / "a") as a:
        for number in range(600):
            (a.root / f"{number}").write_bytes(b"%d" % number)
        a.publish()
        (a.root / "7").write_bytes(b"changed")
        a.scan()
    with sharing(tmp_path / "a") as a:
        assert a.publish() is not None
        assert as_published(a) == manifest_of(a)
        assert a.publish() is None


def test_an_unchanged_folder_is_not_paged_again_after_a_restart(tmp_path):
    with sharing(tmp_path / "a") as a:
        (a.root / "file").write_bytes(b"1")
        a.publish()
    with sharing(tmp_path / "a") as a:
        a.folder.database.execute("DELETE FROM files")  # making the manifest again would be noticed
        assert a._writer.publish(0) is None


def test_after_one_change_only_its_page_is_made(a):
    for number in range(3000):
        (a.root / f"{number}").write_bytes(b"%d" % number)
    before = a.publish().manifest
    (a.root / "1234").write_bytes(b"changed")
    after = a.publish().manifest
    assert len(set(after.pages) - set(before.pages)) == 1
    assert next(record.name for record in decode_page(as_published(a)[0]).records) == b"0"
