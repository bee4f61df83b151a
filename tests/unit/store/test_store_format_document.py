"""FORMAT.md names every table, column and file that there is, and no others."""

import re
from importlib.resources import files

from trio.testing import wait_all_tasks_blocked

from p2psync.node.control import serve_control
from p2psync.node.identity import own_folder
from p2psync.store.database import Database
from p2psync.store.folder_state import FolderState
from p2psync.store.schema import SCHEMA_VERSION
from p2psync.sync.fingerprint import fingerprint, unsettled
from tests.unit.sync.folders import sharing

DOCUMENT = (files("p2psync.store") / "FORMAT.md").read_text()
TABLES = dict(re.findall(r"^\*\*(\w+)\*\*: (.*?)(?=^\*\*|^#)", DOCUMENT, re.M | re.S))
NAMES = re.compile(r"`(\w+)`")


def first_column(section: str) -> set[str]:
    return {name for row in re.findall(r"^\|([^|]*)\|", section, re.M) for name in NAMES.findall(row)}


def test_every_table_and_column_is_described(tmp_path):
    database = Database(tmp_path / "index.sqlite")
    tables = [name for (name,) in database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert set(TABLES) == set(tables)
    for table in set(tables) - {"notes", "pages"}:
        columns = {row[1] for row in database.rows(f"PRAGMA table_info({table})")}
        assert first_column(TABLES[table]) == columns
    assert [row[1] for row in database.rows("PRAGMA table_info(pages)")] == NAMES.findall(TABLES["pages"])
    assert f"schema's number, {SCHEMA_VERSION};" in DOCUMENT
    database.close()


async def nobody_asks(question):
    raise AssertionError(question)


async def test_every_file_of_the_state_directory_is_described(tmp_path, nursery):
    folder = FolderState.open(tmp_path, create=False)
    own_folder(folder.directory)
    nursery.start_soon(serve_control, folder.directory, nobody_asks, print)
    await wait_all_tasks_blocked()
    described = re.search(r"^\| name \|.*?\n\n", DOCUMENT, re.M | re.S).group()
    assert {path.name.removeprefix("index.sqlite") for path in folder.directory.iterdir()} - {""} == {
        "link", "device.key", "lock", "control", "staging", "-wal", "-shm",
    }  # fmt: skip
    for path in folder.directory.iterdir():
        assert f"`{path.name}" in described or path.name.removeprefix("index.sqlite") in described
    for name in ("link", "device.key", "control"):
        assert (folder.directory / name).stat().st_mode & 0o777 == 0o600
    assert len((folder.directory / "device.key").read_bytes()) == 32
    folder.close()


def test_a_fingerprint_has_the_length_that_is_described(tmp_path):
    mark = fingerprint(tmp_path.stat())
    assert (len(mark), mark[-2:]) == (4 * 8 + 2 + 2, b"\0\0")
    assert unsettled(mark) == b"?" + mark


def test_the_newest_head_is_kept_under_the_name_that_is_described(tmp_path):
    with sharing(tmp_path / "a") as a:
        published = a.publish()
        assert a.folder.database.note("head") == published.signed
    assert "`head`: the newest head" in DOCUMENT
