"""A file is renamed into place only where nothing stands, whether or not the system can do that in one step."""

import ctypes
import errno
import os

import pytest

from p2psync.store import files
from p2psync.store.files import rename_into_gap


def cannot(*_):
    ctypes.set_errno(errno.EINVAL)
    return -1


RENAMES = {"in one step": files._renameat2, "where the system cannot": None, "where the file system cannot": cannot}


@pytest.fixture(params=RENAMES)
def directories(request, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_renameat2", RENAMES[request.param])
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "from" / "old").write_bytes(b"ours")
    handles = [os.open(tmp_path / name, os.O_RDONLY) for name in ("from", "to")]
    yield tmp_path / "from", tmp_path / "to", *handles
    for handle in handles:
        os.close(handle)


def test_into_a_gap_the_file_is_renamed(directories):
    source, target, *handles = directories
    assert rename_into_gap(b"old", b"n\xff", *handles)
    assert not list(source.iterdir())
    assert (os.fsencode(target) + b"/n\xff", b"ours") in {
        (os.fsencode(path), path.read_bytes()) for path in target.iterdir()
    }


@pytest.mark.parametrize("stand", ["write_bytes", "symlink_to", "mkdir"])
def test_what_stands_there_is_left_alone(directories, stand):
    source, target, *handles = directories
    make = getattr(target / "new", stand)
    make() if stand == "mkdir" else make(b"theirs" if stand == "write_bytes" else "nowhere")
    before = (target / "new").lstat()
    assert not rename_into_gap(b"old", b"new", *handles)
    assert os.path.samestat((target / "new").lstat(), before)
    assert (source / "old").read_bytes() == b"ours"


def test_what_fails_otherwise_is_an_error(directories):
    *_, source, target = directories
    with pytest.raises(FileNotFoundError):
        rename_into_gap(b"no such file", b"new", source, target)
