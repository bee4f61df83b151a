"""What every BlockStore must do; a store joins by a factory of its own in `FACTORIES`."""

import struct
import threading
from collections.abc import Callable

import pytest

from p2psync.blocks.block import block_id
from p2psync.ids import BlockId
from p2psync.manifest.entry import Entry, Kind
from p2psync.store.base import BlockStore
from p2psync.store.folder_state import FolderState
from p2psync.store.memory import MemoryStore

MakeStore = Callable[[list[bytes]], BlockStore]
"""Makes an empty store that is ready to be given these blocks."""


@pytest.fixture
def make_memory_store() -> MakeStore:
    return lambda expected: MemoryStore()


@pytest.fixture
def make_folder_store(tmp_path):
    """A folder that waits for a file of each block, and whose manifest is to have them too."""
    folders = []

    def make(expected: list[bytes]) -> BlockStore:
        folder = FolderState.open(tmp_path / str(len(folders)), create=True)
        folders.append(folder)
        entries = [
            Entry(b"", b"%d" % n, Kind.FILE, 1, 0o644, 16, block_id(data), struct.pack(">I", len(data)))
            for n, data in enumerate(expected)
        ]
        for file in folder.staging.begin(entries):
            folder.staging.await_block(BlockId(file.entry.ids), file, 0)
        return folder.store

    yield make
    for folder in folders:
        folder.close()


@pytest.fixture
def make_file_store(tmp_path):
    """A folder that waits for one file made of all the blocks."""
    folders = []

    def make(expected: list[bytes]) -> BlockStore:
        folder = FolderState.open(tmp_path / str(len(folders)), create=True)
        folders.append(folder)
        lengths = struct.pack(f">{len(expected)}I", *map(len, expected))
        entry = Entry(b"", b"file", Kind.FILE, 1, 0o644, 16, b"".join(map(block_id, expected)), lengths)
        for file in folder.staging.begin([entry]):
            for slot, block in file.missing_blocks():
                folder.staging.await_block(block, file, slot)
        return folder.store

    yield make
    for folder in folders:
        folder.close()


@pytest.fixture
def make_page_store(tmp_path):
    """A folder that waits for manifest blocks."""
    folders = []

    def make(expected: list[bytes]) -> BlockStore:
        folder = FolderState.open(tmp_path / str(len(folders)), create=True)
        folders.append(folder)
        folder.store.await_pages([block_id(data) for data in expected])
        return folder.store

    yield make
    for folder in folders:
        folder.close()


FACTORIES = ["make_memory_store", "make_folder_store", "make_file_store", "make_page_store"]


@pytest.fixture(params=FACTORIES)
def make_store(request: pytest.FixtureRequest) -> MakeStore:
    return request.getfixturevalue(request.param)


def blocks_of(*contents: bytes):
    return [(block_id(data), data) for data in contents]


def test_a_block_that_was_written_is_read_back(make_store):
    store = make_store([b"one", b"two" * 9999])
    blocks = blocks_of(b"one", b"two" * 9999)
    assert store.write(blocks) == []
    assert [bytes(data) for data in store.read([id_ for id_, _ in blocks])] == [b"one", b"two" * 9999]


def test_what_was_never_written_is_none(make_store):
    store = make_store([b"one", b"two"])
    (one, _), (two, _) = blocks_of(b"one", b"two")
    store.write([(one, b"one")])
    assert [data and bytes(data) for data in store.read([two, one, two])] == [None, b"one", None]


@pytest.mark.parametrize(("enough", "read"), [(1, 1), (100, 1), (101, 2), (200, 2), (301, 4), (999, 4)])
def test_the_first_blocks_are_read_up_to_the_one_that_makes_it_enough(make_store, enough, read):
    contents = [letter * 100 for letter in (b"a", b"b", b"c")]
    store = make_store(contents)
    blocks = blocks_of(*contents)
    store.write(blocks)
    ids = [id_ for id_, _ in blocks] + [block_id(b"never written")]
    got = store.read_first(ids, enough, 100)
    assert [data and bytes(data) for data in got] == [*contents, None][:read]


@pytest.mark.parametrize("make", ["make_memory_store", "make_folder_store", "make_file_store"])
def test_what_is_longer_than_may_be_held_whole_is_left_to_be_read_in_stretches(make, request):
    contents = [b"a" * 100, b"b" * 101, b"c"]
    store = request.getfixturevalue(make)(contents)
    blocks = blocks_of(*contents)
    store.write(blocks)
    short, long, *rest = store.read_first([id_ for id_, _ in blocks], 201, 100)
    assert bytes(short) == contents[0]
    assert (len(long), rest) == (101, [])
    assert [long.read(60), long.read(60), long.is_ended] == [b"b" * 60, b"b" * 41, True]


def test_wrong_bytes_are_named_and_not_kept_and_the_others_are(make_store):
    store = make_store([b"one", b"two"])
    (one, _), (two, _) = blocks_of(b"one", b"two")
    assert store.write([(one, b"not one"), (two, b"two")]) == [one]
    assert [data and bytes(data) for data in store.read([one, two])] == [None, b"two"]


def test_a_right_block_after_a_wrong_one_is_kept(make_store):
    store = make_store([b"one"])
    ((one, _),) = blocks_of(b"one")
    store.write([(one, b"not one")])
    assert store.write([(one, b"one")]) == []
    assert [bytes(data) for data in store.read([one])] == [b"one"]


def test_bytes_may_come_as_bytearray_or_memoryview(make_store):
    store = make_store([b"one", b"two"])
    (one, _), (two, _) = blocks_of(b"one", b"two")
    assert store.write([(one, bytearray(b"one")), (two, memoryview(b"xtwox")[1:4])]) == []
    assert [bytes(data) for data in store.read([one, two])] == [b"one", b"two"]


def test_a_block_written_twice_is_no_error(make_store):
    store = make_store([b"one"])
    blocks = blocks_of(b"one")
    assert store.write(blocks) == store.write(blocks) == []
    assert [bytes(data) for data in store.read([blocks[0][0]])] == [b"one"]


def test_several_threads_may_write_and_read_at_once(make_store):
    contents = [b"%d" % n * 100 for n in range(200)]
    store, wrong = make_store(contents), []

    def work(part: list[bytes]) -> None:
        blocks = blocks_of(*part)
        wrong.extend(store.write(blocks))
        read = store.read([id_ for id_, _ in blocks])
        wrong.extend(data for data, given in zip(read, part, strict=True) if data is None or bytes(data) != given)

    threads = [threading.Thread(target=work, args=(contents[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
