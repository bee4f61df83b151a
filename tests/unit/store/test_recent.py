"""What was just written is at hand for who asks next."""

import pytest
import trio

from p2psync.blocks.block import block_id
from p2psync.errors import StoreError
from p2psync.store.memory import MemoryStore
from p2psync.store.recent import RecentBlocks
from p2psync.store.threaded import ThreadedStore


def block(letter, size=10):
    data = letter.encode() * size
    return block_id(data), data


def names(found):
    return "".join(bytes(data[:1]).decode() for data in found)


@pytest.mark.parametrize(
    ("ids", "size_bytes", "found"),
    [("abc", 100, "abc"), ("abc", 11, "ab"), ("abc", 10, "a"), ("abc", 1, "a"), ("axb", 100, "a"), ("xab", 100, "")],
)
def test_the_blocks_at_the_beginning_that_are_remembered_are_found(ids, size_bytes, found):
    recent = RecentBlocks(100)
    recent.put(map(block, "abc"))
    assert names(recent.first([block(letter)[0] for letter in ids], size_bytes)) == found


def test_the_oldest_are_forgotten_when_there_is_too_much():
    recent = RecentBlocks(25)
    recent.put(map(block, "abc"))
    assert [names(recent.first([block(letter)[0]], 100)) for letter in "abc"] == ["", "b", "c"]


def test_a_block_that_comes_twice_counts_once():
    recent = RecentBlocks(25)
    recent.put(map(block, "aaab"))
    assert names(recent.first([block("a")[0], block("b")[0]], 100)) == "ab"


def test_a_short_block_holds_on_to_nothing_of_the_frame_it_came_in():
    frame = bytearray(1 << 20)
    recent = RecentBlocks(1000)
    recent.put([(block("a")[0], memoryview(frame)[:10])])
    frame.pop()  # which Python refuses while anybody looks into it
    assert recent.first([block("a")[0]], 100) == [bytes(10)]


class Watched(MemoryStore):
    """Counts what is read from it."""

    reads = 0

    def read_first(self, ids, enough_bytes, whole_bytes):
        self.reads += 1
        return super().read_first(ids, enough_bytes, whole_bytes)


@pytest.fixture
def stores():
    below = Watched()
    return below, ThreadedStore(below, trio.CapacityLimiter(1))


@pytest.mark.parametrize(("wanted", "reads"), [(True, 0), (False, 1)])
async def test_what_was_written_is_read_again_only_where_nobody_was_to_want_it(stores, wanted, reads):
    below, store = stores
    store.remember(wanted=wanted)
    await store.write([block("a")])
    assert await store.read([block("a")[0]], 100) == [block("a")[1]]
    assert below.reads == reads


async def test_bytes_that_are_not_what_their_id_says_are_not_remembered(stores):
    _, store = stores
    store.remember(wanted=True)
    assert await store.write([(block("a")[0], b"false"), block("b")]) == [block("a")[0]]
    assert await store.read([block("a")[0]], 100) == [None]


async def test_what_could_not_be_written_is_not_remembered():
    class Full(Watched):
        def write(self, blocks):
            raise StoreError("the disk is full")

    store = ThreadedStore(Full(), trio.CapacityLimiter(1))
    store.remember(wanted=True)
    with pytest.raises(StoreError):
        await store.write([block("a")])
    assert await store.read([block("a")[0]], 100) == [None]


async def test_nothing_is_remembered_when_nobody_wants_it_any_more(stores):
    below, store = stores
    store.remember(wanted=True)
    await store.write([block("a")])
    store.remember(wanted=False)
    await store.read([block("a")[0]], 100)
    assert below.reads == 1
