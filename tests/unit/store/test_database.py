"""One statement for many rows does what one for each would."""

import sqlite3
from contextlib import closing

import pytest

from p2psync.errors import StoreError
from p2psync.manifest.entry import Entry, Kind
from p2psync.store.database import Database
from p2psync.store.folder_state import FolderState


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "index.sqlite")
    yield database
    database.close()


def readable_by_others(directory):
    return [path.name for path in directory.glob("index.sqlite*") if path.stat().st_mode & 0o077]


def test_nobody_else_may_read_it_from_the_first_moment_on(tmp_path, monkeypatch):
    def connect(*arguments, **options):
        connection = make(*arguments, **options)
        assert readable_by_others(tmp_path) == []
        return connection

    make = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", connect)
    with closing(Database(tmp_path / "index.sqlite")) as database:
        database.set_note("a", b"secret")
        assert len(list(tmp_path.iterdir())) == 3
        assert readable_by_others(tmp_path) == []


def test_what_others_could_read_they_can_not_any_more(tmp_path):
    with closing(Database(tmp_path / "index.sqlite")) as of_before:
        of_before.set_note("a", b"secret")
        for path in tmp_path.iterdir():
            path.chmod(0o644)
        with closing(Database(tmp_path / "index.sqlite")) as database:
            assert database.note("a") == b"secret"
            assert readable_by_others(tmp_path) == []


def test_a_path_too_long_for_sqlite_is_said_and_the_longest_works(tmp_path):
    def below(length):
        path = tmp_path
        while (missing := length - len(str(path / "index.sqlite")) - 1) > 0:
            path = path / ("d" * min(missing, 100 if missing > 101 else missing))
        path.mkdir(parents=True, exist_ok=True)
        return path / "index.sqlite"

    assert len(str(below(504))) == 504
    Database(below(504)).close()
    with pytest.raises(StoreError, match="shorter path"):
        Database(below(505))


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 255, 256, 300, 1000])
def test_every_row_is_inserted_once_in_order(database, count):
    rows = [(b"%04d" % number, b"data %d" % number) for number in range(count)]
    database.insert("INSERT INTO pages", rows)
    assert database.rows("SELECT id, data FROM pages ORDER BY rowid") == rows


@pytest.mark.parametrize("count", [1, 16, 300])
def test_each_file_gets_its_own_fingerprint(tmp_path, count):
    folder = FolderState.open(tmp_path, create=True)
    try:
        entries = [Entry(b"", b"%04d" % number, Kind.DIRECTORY, number) for number in range(count + 1)]
        folder.index.put_files([(number + 1, entry, b"", True) for number, entry in enumerate(entries)])
        folder.index.set_fingerprints([(b"mark %d" % number, number + 1) for number in range(count)])
        marks = [file.fingerprint for file in folder.index.iter_files()]
        assert marks == [b"mark %d" % number for number in range(count)] + [b""]
    finally:
        folder.close()
