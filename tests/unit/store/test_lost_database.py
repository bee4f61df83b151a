"""An index that is lost or damaged costs a scan, never a file, and never another link."""

import contextlib
import random
import shutil
import sqlite3
from contextlib import closing

import pytest

from p2psync.errors import StoreError
from p2psync.store.database import DamagedError
from p2psync.store.files import make_durable
from p2psync.store.folder_state import FolderState
from tests.unit.sync.folders import following, sharing, tree


def remove(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def fill_with_garbage(path):
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def garble_the_middle(path):
    data = bytearray(path.read_bytes())
    data[4096:] = random.Random(2).randbytes(len(data) - 4096)
    path.write_bytes(data)


def make_of_another_schema(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 999")


def garble_the_name_of_a_table(path):
    path.write_bytes(path.read_bytes().replace(b"tablefilesfiles", b"tablefi\xf5\xfe\xfffiles"))


def give_a_table_another_name(path):
    path.write_bytes(
        path.read_bytes().replace(b"tablefilesfiles", b"tablefolesfoles").replace(b"TABLE files", b"TABLE foles")
    )


def change(path, statement):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


def make_text_that_is_none(path):
    change(path, "UPDATE files SET kind = CAST(x'ff' AS TEXT)")


def make_files_that_cannot_be(path):
    change(path, "UPDATE files SET lengths = x'00'")


def make_numbers_of_files(path):
    change(path, "UPDATE files SET ids = 1, lengths = 2")


def garble_pages(path):
    change(path, "UPDATE pages SET data = zeroblob(length(data))")


def make_pages_numbers(path):
    change(path, "UPDATE pages SET data = 5")


def lose_some_pages(path):
    change(path, "DELETE FROM pages WHERE length(data) > 1000")


DAMAGES = [
    remove,
    empty,
    cut,
    fill_with_garbage,
    garble_the_middle,
    make_of_another_schema,
    garble_the_name_of_a_table,
    give_a_table_another_name,
    make_text_that_is_none,
    make_files_that_cannot_be,
    make_numbers_of_files,
    garble_pages,
    make_pages_numbers,
    lose_some_pages,
]


def make_tree(root):
    for number in range(300):
        directory = root / f"directory {number % 7}"
        directory.mkdir(exist_ok=True)
        (directory / f"file {number}").write_bytes(b"%d" % number * number)
    (root / "large").write_bytes(random.Random(3).randbytes(1_000_000))


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_getter_begins_its_index_anew_fetches_nothing_and_loses_nothing(damage, tmp_path):
    with sharing(tmp_path / "a") as a:
        make_tree(a.root)
        a.publish()
        with following(tmp_path / "b", a.swarm) as b:
            await b.get()
        (b.root / "mine").write_bytes(b"the user's own")
        damage(b.folder.directory / "index.sqlite")
        with contextlib.suppress(DamagedError), following(b.root, a.swarm) as b:
            await b.get()  # what is found to be damaged in the middle of a run is made anew by the next
        with following(b.root, a.swarm) as b:
            matched = await b.get()
        assert b.swarm.fetched == []
        assert (matched.problems, matched.displaced, matched.additions) == ((), 0, (b"mine",))
        assert {path: state for path, state in tree(b.root).items() if path != b"mine"} == tree(a.root)
        (a.root / "large").write_bytes(b"small now")
        (a.root / "directory 1" / "file 1").unlink()
        a.publish()
        with following(b.root, a.swarm) as b:
            await b.get()
            assert (b.root / "large").read_bytes() == b"small now"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_sharer_publishes_the_same_manifest_again(damage, tmp_path):
    with sharing(tmp_path / "a") as a:
        make_tree(a.root)
        a.publish()
        before = a.newest.head
        expected = tree(a.root)
    damage(a.folder.directory / "index.sqlite")
    with contextlib.suppress(DamagedError), sharing(tmp_path / "a") as a:
        a.publish(above_seq=before.seq)
    with sharing(tmp_path / "a") as a:
        a.publish(above_seq=before.seq)
        assert a.newest.head.root == before.root
        assert a.newest.head.seq == before.seq + 1
    assert tree(a.root) == expected


def test_what_is_left_of_a_damaged_index_is_kept(tmp_path):
    with sharing(tmp_path / "a") as a:
        a.publish()
    fill_with_garbage(a.folder.directory / "index.sqlite")
    garbage = (a.folder.directory / "index.sqlite").read_bytes()
    folder = FolderState.open(tmp_path / "a", create=False)
    folder.close()
    assert folder.was_damaged
    assert (folder.directory / "index.sqlite.damaged").read_bytes() == garbage


@pytest.mark.parametrize("values", ["1, 2, 3", "x'00', x'', x''", "zeroblob(32), zeroblob(8), x'00'"])
def test_a_staged_file_that_cannot_be_is_damage(values, tmp_path):
    with sharing(tmp_path / "a") as a:
        a.publish()
    change(a.folder.directory / "index.sqlite", f"INSERT INTO staged VALUES (7, x'00', {values})")
    with pytest.raises(DamagedError):
        FolderState.open(a.root, create=False)
    with sharing(a.root) as a:
        assert a.folder.was_damaged


@pytest.mark.parametrize("value", ["key = CAST('no key' AS BLOB)", "version = zeroblob(37)"])
def test_a_row_that_cannot_be_is_damage(tmp_path, value):
    with sharing(tmp_path / "a") as a:
        make_tree(a.root)
        a.publish()
        a.folder.database.execute(f"UPDATE files SET {value} WHERE id = 5")
        with pytest.raises(DamagedError, match="cannot be"):
            list(a.folder.index.iter_files())


def test_a_number_that_is_none_is_damage(tmp_path):
    with sharing(tmp_path / "a") as a:
        a.folder.database.set_note("port", b"\xff1")
        with pytest.raises(DamagedError, match="port is no number"):
            a.folder.database.number("port")


def test_a_row_that_its_index_has_already_is_damage(tmp_path):
    with sharing(tmp_path / "a") as a, pytest.raises(DamagedError):
        a.folder.database.insert("INSERT INTO pages", [(b"id", b"one"), (b"id", b"another")])
    with sharing(tmp_path / "a") as a:
        assert a.folder.was_damaged


def test_a_directory_among_staged_files_is_told_and_stays(tmp_path):
    with sharing(tmp_path / "a") as a:
        a.publish()
    strange = a.folder.directory / "staging" / "17"
    strange.mkdir()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"17' .* move that directory elsewhere"):
            FolderState.open(a.root, create=False)
    assert strange.is_dir()


async def test_a_state_directory_that_goes_while_files_come_is_one_sentence(tmp_path):
    with sharing(tmp_path / "a") as a:
        make_tree(a.root)
        a.publish()
        with following(tmp_path / "b", a.swarm) as b:

            def remove_state(block):
                if b.folder.directory.exists():
                    shutil.rmtree(b.folder.directory)

            b.before_write = remove_state
            with pytest.raises(StoreError):
                await b.get()
        with following(tmp_path / "b", a.swarm) as b:
            assert (await b.get()).problems == ()
        assert tree(b.root) == tree(a.root)


def test_a_disk_that_is_to_be_made_durable_and_has_gone_is_one_sentence(tmp_path):
    with pytest.raises(StoreError, match="must stay while p2psync runs"):
        make_durable(tmp_path / "gone")


async def test_staged_files_that_were_deleted_are_fetched_again(tmp_path):
    with sharing(tmp_path / "a") as a:
        (a.root / "large").write_bytes(random.Random(3).randbytes(3_000_000))
        a.publish()
        with following(tmp_path / "b", a.swarm) as b:
            half = []

            def fail_in_the_middle(block):
                half.append(block)
                if len(half) == 20:
                    raise StoreError("the test has had enough")

            b.before_write = fail_in_the_middle
            with pytest.raises(StoreError, match="enough"):
                await b.get()
        (staged,) = (b.folder.directory / "staging").iterdir()
        staged.unlink()
        with following(tmp_path / "b", a.swarm) as b:
            assert (await b.get()).problems == ()
        assert tree(b.root) == tree(a.root)


async def test_blocks_that_were_noted_are_not_fetched_again(tmp_path):
    with sharing(tmp_path / "a") as a:
        (a.root / "large").write_bytes(random.Random(3).randbytes(3_000_000))
        a.publish()
        with following(tmp_path / "b", a.swarm) as b:
            half = []

            def fail_in_the_middle(block):
                half.append(block)
                if len(half) == 20:
                    raise StoreError("the test has had enough")

            b.before_write = fail_in_the_middle
            with pytest.raises(StoreError, match="enough"):
                await b.get()
        with following(tmp_path / "b", a.swarm) as b:
            assert (await b.get()).problems == ()
            assert not set(b.swarm.fetched) & set(half[:19])
        assert tree(b.root) == tree(a.root)
