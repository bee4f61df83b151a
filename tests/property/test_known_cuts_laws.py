"""A file that was hashed before: known cuts save work, and change nothing of what comes out."""

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from p2psync.blocks.block import split_ids
from p2psync.manifest.entry import Entry, Kind
from p2psync.sync.hashing import FileHasher
from p2psync.sync.known_cuts import SPAN_BYTES, KnownCuts
from tests.property.hashed_files import SEED, GivenUpError, give_up_at, opened

OTHER_SEED = 5
CUT = 16
SIZE = 3_000_000
NOISE = blake3(b"noise").digest(SIZE)


def hashed(path, pool, data, before=None, *, cut=CUT, seed=SEED, segment_bytes=1 << 20, checkpoint=lambda: None):
    """Return what comes out, as the entry that the next hashing knows."""
    with opened(path, data) as handle:
        hasher = FileHasher(seed, pool, checkpoint, segment_bytes)
        packed = hasher.hash(handle, len(data), cut, before, sparse=False)
    return Entry(b"", b"file", Kind.FILE, 0, 0o644, cut, *packed)


EDITS = st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, 400_000), st.binary(max_size=200)), max_size=5)


def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, gone, new in edits:
        data = data[:at] + new + data[at + gone :]
    return data


@settings(max_examples=60, deadline=None)
@given(EDITS, st.booleans(), st.integers(1 << 14, 1_500_000))
def test_whatever_changed_the_file_is_cut_as_if_it_were_new(path, pool, edits, repeats, segment_bytes):
    data = NOISE[: SIZE // 3] * 3 if repeats else NOISE
    before = hashed(path, pool, data)
    now = edited(data, edits)
    assert hashed(path, pool, now, before, segment_bytes=segment_bytes) == hashed(path, pool, now)


@pytest.mark.parametrize("size", [SIZE // 2, SIZE - 1, SIZE, 2 * SIZE])
def test_a_file_that_ends_elsewhere_is_cut_to_its_new_end(path, pool, size):
    before, now = hashed(path, pool, NOISE), (NOISE + NOISE[::-1])[:size]
    assert hashed(path, pool, now, before) == hashed(path, pool, now)


def test_a_file_that_is_cut_to_another_size_now_has_no_known_cuts(path, pool):
    before = hashed(path, pool, NOISE)
    assert hashed(path, pool, NOISE, before, cut=CUT + 1) == hashed(path, pool, NOISE, cut=CUT + 1)


def test_what_has_not_changed_is_not_cut_again(path, pool):
    before = hashed(path, pool, NOISE)
    now = hashed(path, pool, NOISE + b"more", before, seed=OTHER_SEED)  # with which it would be cut elsewhere
    assert split_ids(now.ids)[: len(split_ids(before.ids)) - 1] == split_ids(before.ids)[:-1]


@pytest.mark.parametrize(
    "data", [NOISE * 10, b"".join(bytes([at]) + NOISE[at::4] + bytes(600_000) for at in range(20))]
)
def test_behind_a_change_the_known_cuts_are_found_again(path, pool, data):
    steps = []
    before = hashed(path, pool, data)
    now = edited(data, [(len(data) // 2, 7, b"changed")])
    found = hashed(path, pool, now, before, segment_bytes=1 << 16, checkpoint=lambda: steps.append(1))
    assert found == hashed(path, pool, now)
    assert len(steps) < 2 * len(data) // SPAN_BYTES  # cutting alone would make one for each 64 KiB


def test_known_cuts_that_fail_again_and_again_are_given_up(pool):
    before = Entry(b"", b"file", Kind.FILE, 0, 0o644, CUT, bytes(32 * 1000), b"\0\1\0\0" * 1000)
    known, tries = KnownCuts(before, pool, lambda: None), 0
    while known.after(None) is not None:
        assert known.held(0, 0, lambda offset, lengths: [b"\1" * 32] * len(lengths)) == ([], [])
        tries += 1
        assert tries < 50
    assert tries > 5


def test_hashing_by_known_cuts_can_be_given_up(path, pool):
    before = hashed(path, pool, NOISE * 5)
    with pytest.raises(GivenUpError):
        hashed(path, pool, NOISE * 5, before, checkpoint=give_up_at(3))
