"""What staging believes of its own notes after a crash."""

import os
import struct
from functools import partial

import pytest

from p2psync.blocks.block import block_id
from p2psync.manifest.entry import Entry, Kind
from p2psync.store.folder_state import FolderState
from p2psync.store.resume import holds_sample
from p2psync.store.staging import _set_looks
from tests.meddler import before_opening

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
    missing = list(file.missing_slots())
    held = [data is not None for data in folder.store.read(list(map(block_id, BLOCKS)))]
    folder.close()
    return missing, held


def test_what_was_noted_need_not_come_again(crashed):
    root, staged = crashed
    assert staged.read_bytes().startswith(BLOCKS[0] + BLOCKS[1])
    assert reopened(root) == ([2], [True, True, False])


def test_what_is_unfinished_is_told_until_it_has_all_its_blocks(tmp_path):
    folder = FolderState.open(tmp_path, create=False)
    (file,) = folder.staging.begin([ENTRY])
    assert folder.staging.unfinished() == [b"file"]
    for slot, block in enumerate(BLOCKS):
        folder.staging.await_block(block_id(block), file, slot)
        folder.staging.write(block_id(block), block)
    assert folder.staging.unfinished() == []
    folder.close()


@pytest.mark.parametrize("count", [1, 3])
def test_what_is_abandoned_while_its_last_block_is_being_written_is_not_finished_by_it(tmp_path, count):
    folder = FolderState.open(tmp_path, create=False)
    (file,) = folder.staging.begin([ENTRY._replace(ids=ENTRY.ids[: 32 * count], lengths=ENTRY.lengths[: 4 * count])])
    for slot, block in enumerate(BLOCKS[:count]):
        if slot == count - 1:
            before_opening(file.name, lambda: folder.staging.abandon(lambda key, ids: True))
        folder.staging.await_block(block_id(block), file, slot)
        folder.staging.write(block_id(block), block)
    assert folder.staging.take_finished(1) == []
    folder.close()


@pytest.mark.parametrize("count", [1, 3])
def test_a_file_that_begins_to_wait_for_a_block_while_it_is_being_written_gets_it_too(tmp_path, count):
    folder = FolderState.open(tmp_path, create=False)
    entry = ENTRY._replace(ids=ENTRY.ids[: 32 * count], lengths=ENTRY.lengths[: 4 * count])
    first, second = folder.staging.begin([entry, entry._replace(name=b"second")])
    for slot, block in enumerate(BLOCKS[:count]):
        folder.staging.await_block(block_id(block), first, slot)
        before_opening(first.name, partial(folder.staging.await_block, block_id(block), second, slot))
        assert folder.staging.write(block_id(block), block)
    assert folder.staging.take_finished(2) == [first, second]
    folder.close()


def test_notes_are_not_believed_where_a_sample_of_the_blocks_is_wrong(crashed):
    root, staged = crashed
    with staged.open("r+b") as file:
        file.write(b"X")
    assert reopened(root) == ([0, 2], [False, True, False])


def test_of_many_noted_blocks_only_a_sample_is_read(tmp_path):
    blocks = [b"%d" % number * 1000 for number in range(100)]
    entry = ENTRY._replace(
        ids=b"".join(map(block_id, blocks)), lengths=b"".join(struct.pack(">I", len(b)) for b in blocks)
    )
    offsets = [sum(map(len, blocks[:number])) for number in range(101)]
    path = tmp_path / "staged"
    path.write_bytes(b"".join(blocks))
    with path.open("r+b") as file:
        wrong = set()
        for slot in range(100):
            file.seek(offsets[slot])
            file.write(b"X")
            file.flush()
            if not holds_sample(file.fileno(), entry.ids, offsets, [True] * 100):
                wrong.add(slot)
            file.seek(offsets[slot])
            file.write(blocks[slot][:1])
            file.flush()
        assert 5 <= len(wrong) <= 9
        assert {0, 99} <= wrong
        assert holds_sample(file.fileno(), entry.ids, offsets, [False] * 100)


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


def test_a_staged_file_that_nobody_noted_is_removed(crashed):
    root, staged = crashed
    for name in ("999", "strange"):
        (staged.parent / name).write_bytes(b"left over")
    reopened(root)
    assert {path.name for path in staged.parent.iterdir()} == {staged.name, "strange"}


def test_looks_that_cannot_be_set_are_left_to_who_puts_the_file_in_its_place(tmp_path):
    with open(tmp_path / "file", "wb") as file:
        assert _set_looks(file.fileno(), ENTRY)
        read_only = os.open("/proc/self/status", os.O_RDONLY)
    assert not _set_looks(read_only, ENTRY)
    os.close(read_only)
