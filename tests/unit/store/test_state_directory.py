"""A state directory is p2psync's own: nothing of anybody else's in it is taken for state."""

import pytest

from p2psync.errors import ConfigError
from p2psync.store.folder_state import FolderState


def contents(directory):
    return {path.relative_to(directory): path.is_file() and path.read_bytes() for path in directory.rglob("*")}


def folder(root):
    root.mkdir(parents=True)
    (root / "photo").write_bytes(b"mine")
    return root


@pytest.mark.parametrize("names", [["report"], ["staging/1"], ["staging/report", "control"], ["lock", "report"]])
def test_a_directory_in_use_is_refused_and_left_as_it_is(tmp_path, names):
    root, state = folder(tmp_path / "folder"), tmp_path / "work"
    for name in names:
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_bytes(b"unrelated")
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match="not empty"):
        FolderState.open(root, state, create=False)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("place", ["data", "data/staging", "data/deep/folder"])
def test_a_folder_inside_its_state_is_refused(tmp_path, place):
    root = folder(tmp_path / place)
    with pytest.raises(ConfigError, match="inside"):
        FolderState.open(root, tmp_path / "data", create=False)
    assert (root / "photo").read_bytes() == b"mine"


@pytest.mark.parametrize("lost", ["", "index.sqlite"])
def test_what_was_its_state_is_taken_again_also_if_the_index_is_lost(tmp_path, lost):
    root, state = folder(tmp_path / "folder"), tmp_path / "state"
    FolderState.open(root, state, create=False).close()
    (state / "device.key").write_bytes(bytes(32))
    if lost:
        (state / lost).unlink()
    FolderState.open(root, state, create=False).close()


@pytest.mark.parametrize("begun", [[], ["staging"]])
def test_an_empty_directory_and_one_in_which_a_first_start_was_cut_short_are_taken(tmp_path, begun):
    root, state = folder(tmp_path / "folder"), tmp_path / "state"
    state.mkdir()
    for name in begun:
        (state / name).mkdir()
    FolderState.open(root, state, create=False).close()


def test_what_is_not_called_like_a_staged_file_is_left_in_staging(tmp_path):
    root = folder(tmp_path / "folder")
    FolderState.open(root, create=False).close()
    staging = root / ".p2psync" / "staging"
    for name in ("7", "report"):
        (staging / name).write_bytes(b"unrelated")
    FolderState.open(root, create=False).close()
    assert [path.name for path in staging.iterdir()] == ["report"]
