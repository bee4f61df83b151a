"""What staging believes of its own notes after a crash."""

import os
import struct

import pytest

from p2psync.blocks.block import block_id
from p2psync.manifest.entry import Entry, Kind
from p2psync.store.folder_state import FolderState
from p2psync.store.staging import wanted_slots

BLOCKS = [b"first" * 1000, b"second" * 1000, b"third" * 1000]
ENTRY = Entry(
    b"", b"file", Kind.FILE, 5, 0o644, 16, b"".join(map(block_id, BLOCKS)), struct.pack(">3I", *map(len, BLOCKS))
)  # fmt: skip


@pytest.fixture
def crashed(tmp_path):
    """A folder whose process was killed when two of three blocks were written and noted."""
    folder = FolderState.open(tmp_path, create=False)
    (file,) = folder.staging.begin([ENTRY])
    for slot in (0, 1):
        folder.staging.await_block(block_id(BLOCKS[slot]), file, slot)
        folder.staging.write(block_id(BLOCKS[slot]), BLOCKS[slot])
    folder.staging.checkpoint()
    staged = tmp_path / ".p2psync" / "staging" / file.name
    folder.database.close()
    os.close(folder._lock)
    return tmp_path, staged


def reopened(root):
    folder = FolderState.open(root, create=False)
    (file,) = folder.staging.begin([ENTRY])
    missing = [slot for slot, _ in wanted_slots(file)]
    held = [data is not None for data in folder.store.read(list(map(block_id, BLOCKS)))]
    folder.close()
    return missing, held


def test_what_was_noted_need_not_come_again(crashed):
    root, staged = crashed
    assert staged.read_bytes().startswith(BLOCKS[0] + BLOCKS[1])
    assert reopened(root) == ([2], [True, True, False])


def test_notes_of_a_file_that_has_left_staging_are_not_believed(crashed):
    root, staged = crashed
    staged.unlink()
    assert reopened(root) == ([0, 1, 2], [False, False, False])


def test_a_file_that_took_its_place_before_the_crash_still_serves_its_blocks(crashed):
    root, staged = crashed
    folder = FolderState.open(root, create=False)
    staged.write_bytes(b"".join(BLOCKS))
    with folder.database.transaction():
        folder.index.put_files([(int(staged.name), ENTRY, b"", True)])
    staged.rename(root / "file")
    folder.database.close()
    os.close(folder._lock)
    folder = FolderState.open(root, create=False)
    folder.staging.abandon(lambda key, ids: False)
    assert list(map(bytes, folder.store.read(list(map(block_id, BLOCKS))))) == BLOCKS
    assert folder.database.rows("SELECT id FROM staged") == []
    folder.close()


def test_what_nobody_noted_is_removed_from_staging(crashed):
    root, staged = crashed
    for name in ("999", "strange"):
        (staged.parent / name).write_bytes(b"left over")
    reopened(root)
    assert [path.name for path in staged.parent.iterdir()] == [staged.name]
