"""Files of so many blocks that they fill pages, among others."""

import struct

import pytest

from p2psync.blocks.block import block_id
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.page import MOST_BLOCKS, cut_pages, encode_page
from p2psync.manifest.tree import Manifest
from p2psync.sync.cuts import CutHints
from p2psync.sync.page_groups import PageGroups
from tests.unit.sync.folders import following


def file(name, blocks, cut):
    ids = b"".join(name[:1] + at.to_bytes(31, "big") for at in range(blocks))
    return Entry(b"", name, Kind.FILE, 1, 0o644, cut, ids, struct.pack(f">{blocks}I", *[1000] * blocks))


ENTRIES = [file(b"a", 1, 16), file(b"b", 2 * MOST_BLOCKS + 5, 17), file(b"c", 3, 18), file(b"d", MOST_BLOCKS + 1, 19)]
ENTRIES.append(file(b"e", 1, 20))


@pytest.fixture
def folder(tmp_path):
    with following(tmp_path, None) as getter:
        yield getter.folder


@pytest.fixture
def manifest(folder):
    pages = list(cut_pages(ENTRIES))
    assert [page[0].name for page in pages] == [b"a", b"b", b"b", b"d"], "two begin in the middle of a page"
    data = [encode_page(page) for page in pages]
    ids = [block_id(page) for page in data]
    with folder.database.transaction():
        folder.pages.put(list(zip(ids, data, strict=True)))
    return Manifest(tuple(ids), tuple(page[0].key for page in pages), files=len(ENTRIES), size_bytes=1)


def test_each_is_found_whole_wherever_one_looks(folder, manifest):
    groups = PageGroups(manifest, folder.pages)
    for entry in ENTRIES:
        assert groups.find(entry.key) == entry
        assert entry in [found for group in groups.between(entry.key, entry.key + b"\0") for found in group.entries]
    assert [entry for group in groups.between() for entry in group.entries] == ENTRIES
    assert groups.find(b"\0bb") is None


def test_blocks_are_numbered_through_a_group_and_runs_are_of_one_page(folder, manifest):
    (group,) = PageGroups(manifest, folder.pages).between(ENTRIES[1].key, ENTRIES[1].key + b"\0")
    start = group.starts[ENTRIES[1].key]
    one, two = group.runs({start + MOST_BLOCKS - 1, start + MOST_BLOCKS})
    for run, at in ((one, MOST_BLOCKS - 1), (two, MOST_BLOCKS)):
        assert run.ids == [ENTRIES[1].ids[32 * at : 32 * at + 32]]
    assert one.page != two.page


def test_a_file_that_begins_at_the_end_of_a_page_is_cut_as_its_first_record_says(folder, manifest):
    hints = CutHints(manifest, folder.pages)
    assert [hints.of(entry.key) for entry in ENTRIES] == [16, 17, 18, 19, 20]
    assert hints.of(b"\0bb") is None
