"""What a user without privileges may not read or write is said, path by path; what they own is made all the same."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from p2psync.blocks.block import split_ids
from p2psync.manifest.entry import entry_key
from p2psync.store.folder_state import FolderState
from tests.unit.sync.folders import contents, sharing, tree


def plainly(*arguments: str | Path) -> dict:
    """Work as an owner whom permissions bind: for root that takes giving up what root may do beyond them."""
    bound = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    if bound and shutil.which("setpriv") is None:
        pytest.skip("root needs setpriv for this")
    command = [*bound, sys.executable, "-m", "tests.unit.sync.work_plainly", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[3], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def a(tmp_path):
    with sharing(tmp_path / "a") as sharer:
        yield sharer


@pytest.fixture
def get(tmp_path, a):
    """Publish what stands in `a` and get it without privileges."""

    def run(*exact: str) -> dict:
        a.publish()
        a.folder.close()
        modes = {path: mode for path, (kind, mode, *_) in tree(a.root).items() if kind != "link"}
        for path in modes:  # what is published stays, and the source can be read
            os.chmod(os.fsencode(a.root) + b"/" + path, 0o700)
        try:
            return plainly("get", tmp_path / "b", a.root, *exact)
        finally:
            for path, mode in reversed(modes.items()):
                os.chmod(os.fsencode(a.root) + b"/" + path, mode)
            a.__init__(a.root)

    yield run
    for path, _, _ in os.walk(tmp_path / "b"):
        Path(path).chmod(0o700)


def test_read_only_directories_are_filled_changed_and_emptied(a, get, tmp_path):
    (a.root / "closed" / "inner").mkdir(parents=True)
    (a.root / "closed" / "file").write_bytes(b"1")
    (a.root / "closed" / "gone").write_bytes(b"1")
    (a.root / "closed" / "inner" / "file").write_bytes(b"1")
    (a.root / "closed" / "file").chmod(0o400)
    (a.root / "closed" / "inner").chmod(0o555)
    (a.root / "closed").chmod(0o555)
    assert get() == {"problems": [], "additions": [], "displaced": 0}
    assert tree(tmp_path / "b") == tree(a.root)
    (a.root / "closed" / "file").chmod(0o600)
    (a.root / "closed" / "file").write_bytes(b"22")
    (a.root / "closed" / "file").chmod(0o400)
    (a.root / "closed" / "gone").unlink()
    (a.root / "closed" / "inner" / "new").write_bytes(b"3")
    assert get() == {"problems": [], "additions": [], "displaced": 0}
    assert tree(tmp_path / "b") == tree(a.root)
    shutil.rmtree(a.root / "closed")
    assert get() == {"problems": [], "additions": [], "displaced": 0}
    assert tree(tmp_path / "b") == {}


@pytest.mark.parametrize("mode", [0o000, 0o100, 0o200, 0o300, 0o400, 0o444, 0o600])
def test_directories_that_their_owner_cannot_go_through_are_made_and_changed_too(mode, a, get, tmp_path):
    (a.root / "d" / "e").mkdir(parents=True)
    (a.root / "d" / "file").write_bytes(b"1")
    (a.root / "d" / "e" / "file").write_bytes(b"1")
    (a.root / "d" / "e").chmod(mode)
    (a.root / "d").chmod(mode)
    assert get()["problems"] == []
    assert tree(tmp_path / "b") == tree(a.root)
    (a.root / "d" / "file").write_bytes(b"22")
    (a.root / "d" / "e" / "new").write_bytes(b"3")
    assert get() == {"problems": [], "additions": [], "displaced": 0}
    assert tree(tmp_path / "b") == tree(a.root)


def test_files_that_their_owner_cannot_read_are_made_replaced_and_removed(a, get, tmp_path):
    for mode in (0o000, 0o200, 0o400):
        (a.root / f"{mode:o}").write_bytes(b"1")
        (a.root / f"{mode:o}").chmod(mode)
        (a.root / f"gone {mode:o}").write_bytes(b"1")
        (a.root / f"gone {mode:o}").chmod(mode)
    assert get()["problems"] == []
    for mode in (0o000, 0o200, 0o400):
        (a.root / f"{mode:o}").write_bytes(b"22")
        (a.root / f"gone {mode:o}").unlink()
    assert get() == {"problems": [], "additions": [], "displaced": 0}
    assert tree(tmp_path / "b") == tree(a.root)


@pytest.mark.parametrize("mode", [0o000, 0o200, 0o444])
def test_a_file_that_had_its_permissions_when_the_process_was_killed_is_taken_up_again(mode, a, get, tmp_path):
    (a.root / "file").write_bytes(os.urandom(300_000))
    (a.root / "file").chmod(mode)
    a.publish()
    entry = a.folder.index.file_at(entry_key(b"", b"file")).entry
    blocks = split_ids(entry.ids)
    assert len(blocks) > 1
    killed = FolderState.open(tmp_path / "b", create=True)
    (file,) = killed.staging.begin([entry])
    for slot, (block, data) in enumerate(zip(blocks, a.folder.store.read(blocks), strict=True)):
        killed.staging.await_block(block, file, slot)
        killed.staging.write(block, data)
    os.chmod(file.name, mode, dir_fd=killed.staging.handle)
    killed.close()
    assert get() == {"problems": [], "additions": [], "displaced": 0}
    assert tree(tmp_path / "b") == tree(a.root)


def test_the_users_read_only_directory_is_moved_aside_whole(a, get, tmp_path):
    (a.root / "d").write_bytes(b"a file")
    mine = tmp_path / "b" / "d"
    mine.mkdir(parents=True)
    (mine / "mine").write_bytes(b"mine")
    mine.chmod(0o555)
    assert get() == {"problems": [], "additions": [], "displaced": 1}
    (pull,) = (tmp_path / "b" / ".p2psync" / "versions").iterdir()
    assert contents(pull) == {b"d/mine": b"mine"}
    assert (pull / "d").stat().st_mode & 0o777 == 0o555


def test_what_cannot_be_read_is_said_and_keeps_what_was_published(a):
    (a.root / "secret").write_bytes(b"1")
    (a.root / "open").write_bytes(b"1")
    (a.root / "d").mkdir()
    (a.root / "d" / "inside").write_bytes(b"1")
    a.publish()
    before = {local.entry.path: local.entry for local in a.folder.index.iter_files()}
    a.folder.close()
    (a.root / "secret").write_bytes(b"22")
    (a.root / "secret").chmod(0o000)
    (a.root / "d").chmod(0o000)
    (a.root / "never").write_bytes(b"3")
    (a.root / "never").chmod(0o000)
    done = plainly("share", a.root)
    assert len(done["problems"]) == 3
    a.__init__(a.root)
    now = {local.entry.path: local.entry for local in a.folder.index.iter_files()}
    assert now[b"secret"] == before[b"secret"]
    assert now[b"d/inside"] == before[b"d/inside"]
    assert b"never" not in now


def test_a_folder_that_cannot_be_written_is_an_error_in_words(a, tmp_path):
    a.publish()
    a.folder.close()
    (tmp_path / "b").mkdir(mode=0o555)
    done = plainly("get", tmp_path / "b", a.root)
    assert done["error"] == "StoreError"
    assert f"cannot use '{tmp_path}/b/.p2psync'" in done["message"]
    a.__init__(a.root)


def test_a_folder_made_read_only_later_is_said_path_by_path(a, get, tmp_path):
    (a.root / "file").write_bytes(b"1")
    assert get()["problems"] == []
    (a.root / "file").write_bytes(b"22")
    (a.root / "new").write_bytes(b"3")
    (tmp_path / "b").chmod(0o555)
    assert len(get()["problems"]) == 2
    assert contents(tmp_path / "b") == {b"file": b"1"}
    (tmp_path / "b").chmod(0o755)
    assert get() == {"problems": [], "additions": [], "displaced": 0}
    assert tree(tmp_path / "b") == tree(a.root)


def test_a_directory_that_may_not_be_looked_into_keeps_no_other_from_being_watched(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").mkdir(mode=0o000)
    assert "error" not in plainly("watch", tmp_path, "", "closed", "open")
    (tmp_path / "closed").chmod(0o700)
