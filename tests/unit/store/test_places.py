"""Where blocks are found, however often they occur."""

import pytest

from p2psync.blocks.block import block_id
from p2psync.manifest.entry import Entry, Kind
from p2psync.store.folder_state import FolderState
from p2psync.store.index import MOST_PLACES


@pytest.fixture
def folder(tmp_path):
    folder = FolderState.open(tmp_path, create=False)
    yield folder
    folder.close()


def put(folder, name: bytes, *contents: bytes) -> None:
    ids = b"".join(map(block_id, contents))
    lengths = b"".join(len(content).to_bytes(4, "big") for content in contents)
    folder.index.put_files([(None, Entry(b"", name, Kind.FILE, ids=ids, lengths=lengths), b"mark", False)])


def test_of_a_block_that_thousands_of_files_have_some_places_are_given_and_all_of_the_others(folder):
    rare = [b"%d" % number for number in range(300)]
    for number, content in enumerate(rare):
        put(folder, b"rare %d" % number, content)
    with folder.database.transaction():
        for number in range(5000):
            put(folder, b"popular %d" % number, b"the same")
    asked = [block_id(content) for content in (*rare, b"the same", b"nowhere")]
    places = folder.index.places(asked)
    assert set(places) == set(asked[:-1])
    assert all(len(places[block]) == 1 for block in asked[:300])
    assert len(places[block_id(b"the same")]) == MOST_PLACES


def test_a_block_that_a_file_has_many_times_takes_one_row(folder):
    put(folder, b"file", *[b"again"] * 10_000, b"last")
    assert folder.database.row("SELECT count(*) FROM places") == (2,)
    (place,) = folder.index.places([block_id(b"last")])[block_id(b"last")]
    assert (place.slot, place.offset, place.length) == (10_000, 50_000, 4)
    put(folder, b"file", b"other")
    assert folder.database.row("SELECT count(*) FROM places") == (1,)
