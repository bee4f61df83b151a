import struct
from os import O_RDONLY, close, truncate
from os import open as open_file

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from p2psync.blocks.block import block_id
from p2psync.chunking import LARGEST_CUT, SMALLEST_CUT, choose_cut, iter_chunk_lengths
from p2psync.sync.hashing import SEGMENT_BYTES, SMALL_BYTES, FileHasher
from tests.property.hashed_files import SEED, GivenUpError, give_up_at, opened


def expected(data: bytes, cut: int) -> tuple[bytes, bytes]:
    ids, lengths, at = b"", [], 0
    for length in iter_chunk_lengths(data, cut, SEED):
        ids += block_id(data[at : at + length])
        lengths.append(length)
        at += length
    return ids, struct.pack(f">{len(lengths)}I", *lengths)


def content(size: int, zeros: bool) -> bytes:
    """Noise, which is cut often, or noise around zeros, which are never cut before the largest chunk."""
    noise = blake3(size.to_bytes(4, "big")).digest(size)
    return noise[: size // 3] + bytes(size - 2 * (size // 3)) + noise[: size // 3] if zeros else noise


def hash_file(handle, thought, cut, pool, *, segment_bytes=SEGMENT_BYTES, sparse=False, checkpoint=lambda: None):
    return FileHasher(SEED, pool, checkpoint, segment_bytes).hash(handle, thought, cut, sparse=sparse)


@settings(max_examples=60)
@given(st.integers(0, 2_500_000), st.booleans(), st.integers(0, 3_000_000), st.integers(1 << 14, 1_500_000))
def test_a_file_read_in_any_steps_is_cut_as_if_read_at_once(path, pool, size, zeros, thought, segment_bytes):
    data = content(size, zeros)
    with opened(path, data) as handle:
        assert hash_file(handle, thought, 16, pool, segment_bytes=segment_bytes) == expected(data, 16)


@settings(max_examples=30)
@given(st.sampled_from([0, 1, (1 << 14) - 1, 1 << 14, (1 << 14) + 1, 1 << 16, 1 << 18, (1 << 18) + 1]), st.booleans())
def test_a_file_of_a_size_at_a_limit_is_cut_right(path, pool, size, zeros):
    data = content(size, zeros)
    with opened(path, data) as handle:
        assert hash_file(handle, size, 16, pool) == expected(data, 16)


@pytest.mark.parametrize("size", [SMALL_BYTES - 1, SMALL_BYTES, SMALL_BYTES + 1, 1 << 16])
@pytest.mark.parametrize("thought", [0, (1 << 16) - 1, SMALL_BYTES - 1, SMALL_BYTES])
def test_a_file_that_grew_or_shrank_meanwhile_is_cut_as_it_is_now(path, pool, size, thought):
    data = content(size, zeros=False)
    with opened(path, data) as handle:
        assert hash_file(handle, thought, 16, pool) == expected(data, 16)


@pytest.mark.parametrize("extra", [-1, 0, 1, SEGMENT_BYTES])
def test_a_file_of_whole_segments_is_cut_right(path, pool, extra):
    data = content(SEGMENT_BYTES + extra, zeros=True)
    with opened(path, data) as handle:
        assert hash_file(handle, len(data), 21, pool) == expected(data, 21)


def test_one_hasher_serves_for_files_of_all_sizes_in_turn(path, pool):
    hasher = FileHasher(SEED, pool, lambda: None, 1 << 17)
    for size in (3_000_000, 10, 70_000, 0, 2_000_001, 1 << 17):
        data = content(size, zeros=False)
        with opened(path, data) as handle:
            assert hasher.hash(handle, size, 16, sparse=False) == expected(data, 16)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(1, 600_000)), max_size=4),
    st.integers(0, 3_000_000),
    st.integers(1 << 14, 1_500_000),
)
def test_a_sparse_file_is_cut_as_if_its_holes_were_zeros_on_disk(path, pool, extents, size, segment_bytes):
    path.write_bytes(b"")
    truncate(path, size)
    with path.open("r+b") as file:
        for at, length in extents:
            file.seek(at)
            file.write(content(length, zeros=False))
    data = path.read_bytes()
    handle = open_file(path, O_RDONLY)
    try:
        assert hash_file(handle, len(data), 16, pool, segment_bytes=segment_bytes, sparse=True) == expected(data, 16)
    finally:
        close(handle)


def test_the_holes_of_a_sparse_file_are_not_read(path, pool):
    path.write_bytes(b"")
    truncate(path, 1 << 40)
    with path.open("r+b") as file:
        file.seek(1 << 39)
        file.write(b"in the middle")
    handle = open_file(path, O_RDONLY)
    steps = []
    try:
        ids, _ = hash_file(handle, 1 << 40, 21, pool, sparse=True, checkpoint=lambda: steps.append(1))
    finally:
        close(handle)
    assert len({ids[at : at + 32] for at in range(0, len(ids), 32)}) <= 3
    assert len(steps) < 10


def test_hashing_can_be_given_up_between_segments(path, pool):
    with opened(path, content(3_000_000, zeros=False)) as handle:
        with pytest.raises(GivenUpError):
            hash_file(handle, 3_000_000, 16, pool, segment_bytes=1 << 18, checkpoint=give_up_at(3))
        assert hash_file(handle, 10, 16, pool) == expected(content(3_000_000, zeros=False), 16)


@given(st.integers(0, 2**50), st.none() | st.integers(0, 255))
def test_a_cut_is_always_one_that_files_have_and_is_stable(size, current):
    cut = choose_cut(size, current)
    assert SMALLEST_CUT <= cut <= LARGEST_CUT
    assert choose_cut(size, cut) == cut
    chunks = size >> cut
    assert cut == LARGEST_CUT or chunks <= 2000
    assert cut == SMALLEST_CUT or chunks >= 250


@given(st.integers(0, 2**40))
def test_the_same_size_gives_the_same_cut_and_a_larger_one_no_smaller(size):
    assert choose_cut(size) <= choose_cut(size + 1) <= choose_cut(size * 2)
