"""What a plan passes over because the folder agrees with it already, and when it must not."""

import os
import shutil
from contextlib import contextmanager

import pytest

from p2psync.manifest.page import decode_page
from p2psync.manifest.tree import Manifest
from p2psync.sync import page_groups
from tests.unit.sync.author import Author, directory, in_order, link
from tests.unit.sync.folders import contents, following, sharing, tree

DATA = b"content"


@contextmanager
def pair(tmp_path, directories: int):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        for place in range(directories):
            (a.root / f"d{place}").mkdir()
            for number in range(100):
                (a.root / f"d{place}" / f"f{number}").write_bytes(b"%d %d" % (place, number))
        a.publish()
        yield a, b


async def test_an_update_looks_at_the_pages_that_have_changed_and_no_others(tmp_path, monkeypatch):
    with pair(tmp_path, 50) as (a, b):
        looked_at = []
        async with b.staying() as matches:
            whole = await matches.of(a.newest.head.root)
            pages = Manifest.parse_untrusted(a.folder.pages.one(whole.root)).pages
            monkeypatch.setattr(page_groups, "decode_page", lambda data: looked_at.append(data) or decode_page(data))
            for number in range(3):
                (a.root / "d7" / "f3").write_bytes(b"changed %d" % number)
                (a.root / "d20" / "f4").unlink(missing_ok=True)
                (a.root / "d30" / f"new {number}").mkdir()
                a.publish()
                matched = await matches.of(a.newest.head.root)
                assert tree(b.root) == tree(a.root)
                assert whole.size_bytes - 100 < matched.reused_bytes < matched.size_bytes
                assert 0 < len(looked_at) < len(pages) / 2
                assert len(b.swarm.held - set(pages)) < len(pages) / 2 < len(b.swarm.held & set(pages))
                looked_at.clear()
                b.swarm.held.clear()


async def test_what_the_user_changes_between_two_heads_is_seen(tmp_path):
    with pair(tmp_path, 12) as (a, b):
        async with b.staying() as matches:
            await matches.of(a.newest.head.root)
            (b.root / "d3" / "f3").write_bytes(b"edited")
            (b.root / "d4" / "f4").unlink()
            (b.root / "d8" / "f8").chmod(0o600)
            shutil.rmtree(b.root / "d5")
            (b.root / "d1" / "mine").write_bytes(b"my own")
            for number in range(3):
                (a.root / "d7" / "f3").write_bytes(b"changed %d" % number)
                a.publish()
                assert (await matches.of(a.newest.head.root)).additions == (b"d1/mine",)
                assert b.moved_aside() == {b"edited"}
                assert contents(b.root) == contents(a.root) | {b"d1/mine": b"my own"}
        assert os.stat(b.root / "d8" / "f8").st_mode == os.stat(a.root / "d8" / "f8").st_mode


async def test_what_cannot_be_made_is_told_of_at_every_head(tmp_path):
    author = Author()
    with following(tmp_path / "b", author.swarm) as b:
        bad = in_order(author.file(b"", b"..", DATA), author.file(b"", b"good", DATA))
        wrong = [author.file(b"", b"wrong", DATA, lengths=[len(DATA) + 1])]
        async with b.staying() as matches:
            for number in range(3):
                root = author.publish(bad, wrong, [author.file(b"x", b"file", b"%d" % number)])
                problems = (await matches.of(root)).problems
                assert {problem.path for problem in problems} == {b"..", b"wrong", b"x/file"}


@pytest.mark.parametrize("instead", [link(b"", b"d", b"elsewhere"), None], ids=["a link", "nothing"])
async def test_what_stands_in_a_directory_that_is_none_any_more_goes_though_its_page_is_the_same(tmp_path, instead):
    author = Author()
    inside = [author.file(b"d", b"file", DATA), author.file(b"d", b"other", DATA)]
    with following(tmp_path / "b", author.swarm) as b:
        async with b.staying() as matches:
            for _ in range(2):
                root = author.publish([directory(b"", b"d")], inside)
                assert (await matches.of(root)).problems == ()
                assert contents(b.root) == {b"d/file": DATA, b"d/other": DATA}
                beside = author.file(b"", b"a", DATA)
                root = author.publish([beside, *([instead] if instead else [])], inside)
                assert {problem.path for problem in (await matches.of(root)).problems} == {b"d/file", b"d/other"}
                assert contents(b.root) == {b"a": DATA} | ({b"d": b"elsewhere"} if instead else {})


async def test_keys_that_a_page_no_longer_answers_for_are_looked_at(tmp_path):
    author = Author()
    pages = [[author.file(b"", name, DATA)] for name in (b"a", b"m", b"z")]
    with following(tmp_path / "b", author.swarm) as b:
        async with b.staying() as matches:
            for wanted in (pages, pages[:1], pages, pages[::2], pages, pages[1:], pages, []):
                matched = await matches.of(author.publish(*wanted))
                assert (matched.problems, matched.additions) == ((), ())
                assert set(contents(b.root)) == {page[0].name for page in wanted}
