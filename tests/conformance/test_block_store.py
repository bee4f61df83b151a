"""What every BlockStore must do; a store joins by a factory of its own in `FACTORIES`."""

import threading
from collections.abc import Callable

import pytest

from p2psync.blocks.block import block_id
from p2psync.store.base import BlockStore
from p2psync.store.memory import MemoryStore

MakeStore = Callable[[list[bytes]], BlockStore]
"""Makes an empty store that is ready to be given these blocks."""


@pytest.fixture
def make_memory_store() -> MakeStore:
    return lambda expected: MemoryStore()


FACTORIES = ["make_memory_store"]


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
