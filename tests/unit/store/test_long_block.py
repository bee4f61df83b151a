"""Blocks that are longer than may be held at once are read in stretches, and never completed if they are not right."""

import pytest

from p2psync.blocks.block import block_id
from p2psync.store.long_block import LongBlock
from tests.unit.sync.folders import sharing

DATA = bytes(range(250)) * 4
STRETCH = 300


def stretches(block: LongBlock) -> list[bytes | None]:
    read = []
    while not block.is_ended:
        read.append(block.read(STRETCH))
    return read


def test_a_right_block_comes_whole_in_stretches_of_the_length_asked_for():
    block = LongBlock(block_id(DATA), len(DATA), lambda offset, count: DATA[offset : offset + count], pytest.fail)
    read = stretches(block)
    assert list(map(len, read)) == [300, 300, 300, 100]
    assert b"".join(read) == DATA


@pytest.mark.parametrize("found", [b"x" + DATA[1:], DATA[:-1] + b"x", DATA[:-1], DATA[:600], b""])
def test_what_is_not_the_block_lacks_its_end_and_is_told_of_once(found):
    told = []
    block = LongBlock(
        block_id(DATA), len(DATA), lambda offset, count: found[offset : offset + count], lambda: told.append("wrong")
    )
    *read, last = stretches(block)
    assert last is None
    assert sum(map(len, read)) < len(DATA)
    assert told == ["wrong"]


def test_what_cannot_be_read_any_more_is_not_the_block():
    told = []
    block = LongBlock(block_id(DATA), len(DATA), lambda offset, count: None, lambda: told.append("wrong"))
    assert stretches(block) == [None]
    assert told == ["wrong"]


def test_a_folder_reads_what_is_longer_than_may_be_held_from_where_it_stands(tmp_path):
    with sharing(tmp_path / "a") as a:
        (a.root / "file").write_bytes(DATA)
        (a.root / "short").write_bytes(b"short")
        a.publish()
        store, ids = a.folder.store, [block_id(DATA), block_id(b"short")]
        assert store.read_first(ids, 10_000, len(DATA)) == [DATA, b"short"]
        long, short = store.read_first(ids, 10_000, len(DATA) - 1)
        assert short == b"short"
        assert b"".join(stretches(long)) == DATA


def test_a_file_that_changes_while_it_is_read_is_not_completed_and_will_be_looked_at_again(tmp_path):
    with sharing(tmp_path / "a") as a:
        (a.root / "file").write_bytes(DATA)
        a.publish()
        stale = []
        a.folder.store.on_stale = stale.append
        (long,) = a.folder.store.read_first([block_id(DATA)], 1, 1)
        assert long.read(STRETCH) == DATA[:STRETCH]
        (a.root / "file").write_bytes(DATA[::-1])
        assert stretches(long)[-1] is None
        assert stale == [b"\0file"]
