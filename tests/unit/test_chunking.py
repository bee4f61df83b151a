import hashlib
import random
from itertools import accumulate

import pytest
from blake3 import blake3
from pyfastcdc.py import FastCDC as SlowFastCDC
from pyfastcdc.py.constants import GEAR

from p2psync.chunking import LARGEST_CUT, SMALLEST_CUT, choose_cut, iter_chunk_lengths, largest_chunk

# Changing any of these re-uploads every user's data: nobody's blocks would be recognised again.
SEED = 0x1F04A38FF0EF2D7B
GOLDEN = {
    (16, 1, SEED): [
        93168, 65019, 66163, 68318, 47595, 24565, 67559, 110072, 54490, 38813, 56952, 108080, 30728, 46404,
        39244, 68998, 62408,
    ],
    (16, 1, 1): [
        112241, 110668, 124483, 74473, 18361, 132412, 86880, 53582, 31666, 112336, 37735, 75967, 77772,
    ],
    (16, 1, 2**62 - 1): [192210, 84809, 44456, 93375, 75073, 130880, 111546, 82904, 130901, 67742, 34680],
    (17, 2, SEED): [
        158187, 178233, 209515, 51014, 38813, 56952, 138808, 171374, 182994, 157384, 159902, 89371, 136977,
        67819, 282981, 16828,
    ],
    (18, 4, SEED): [
        340263, 295499, 281408, 268720, 317286, 294167, 322720, 625493, 194388, 837241, 140146, 276973,
    ],
    (19, 6, SEED): [545935, 957241, 676942, 712420, 900627, 757253, 624566, 525750, 559418, 31304],
    (20, 10, SEED): [2939944, 1610474, 1835507, 1164513, 1337910, 1597412],
    (21, 20, SEED): [2939944, 2235040, 2375454, 3978638, 2497492, 575975, 2333613, 2272198, 1763166],
    (21, 20, 1): [4194304, 2546031, 2527165, 3067545, 1053578, 2938909, 3602571, 1041417],
}  # fmt: skip


def noise(size_bytes: int, name: bytes = b"p2psync golden cuts") -> bytes:
    return blake3(name).digest(size_bytes)


def cuts(data: bytes, cut: int = 16, seed: int = SEED) -> list[int]:
    return list(accumulate(iter_chunk_lengths(data, cut, seed)))


@pytest.mark.parametrize(("cut", "mebibytes", "seed"), GOLDEN)
def test_cut_points_are_where_they_have_always_been(cut, mebibytes, seed):
    assert list(iter_chunk_lengths(noise(mebibytes << 20), cut, seed)) == GOLDEN[cut, mebibytes, seed]


def test_the_compiled_cutter_agrees_with_the_one_in_python():
    slow = SlowFastCDC(avg_size=1 << 16, min_size=1 << 14, max_size=1 << 18, normalized_chunking=1, seed=SEED)
    assert [chunk.length for chunk in slow.cut_buf(noise(1 << 20))] == GOLDEN[16, 1, SEED]


def test_the_gear_table_is_made_of_md5_as_the_format_says():
    assert list(GEAR) == [int.from_bytes(hashlib.md5(bytes([n]) * 64).digest()[:8], "big") for n in range(256)]


@pytest.mark.parametrize("cut", range(SMALLEST_CUT, LARGEST_CUT + 1))
def test_chunks_have_between_a_quarter_and_four_times_the_target(cut):
    lengths = list(iter_chunk_lengths(noise(16 << cut), cut, SEED))
    assert sum(lengths) == 16 << cut
    assert all(1 << (cut - 2) <= length <= largest_chunk(cut) for length in lengths[:-1])
    assert next(iter_chunk_lengths(bytes(9 << cut), cut, SEED)) == largest_chunk(cut), "zeros are never cut"
    assert largest_chunk(cut) == min(4 << cut, 4 << 20)


def test_what_is_below_the_smallest_chunk_is_one_chunk():
    assert list(iter_chunk_lengths(b"", 16, SEED)) == []
    assert list(iter_chunk_lengths(b"x", 16, SEED)) == [1]
    assert list(iter_chunk_lengths(noise(1 << 14), 16, SEED)) == [1 << 14]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_cut_alike(kind):
    assert list(iter_chunk_lengths(kind(noise(1 << 20)), 16, SEED)) == GOLDEN[16, 1, SEED]


def test_an_insertion_moves_the_cut_points_behind_it_along():
    data = noise(4 << 20)
    at = 1_000_000
    edited = data[:at] + b"inserted" + data[at:]
    kept = {point + 8 for point in cuts(data) if point > at} & set(cuts(edited))
    assert {point for point in cuts(data) if point < at} == {point for point in cuts(edited) if point < at}
    assert len(kept) >= len([point for point in cuts(data) if point > at]) - 4


def test_another_folder_is_cut_elsewhere():
    assert len(set(cuts(noise(1 << 20))) & set(cuts(noise(1 << 20), seed=SEED + 2))) <= 2


def test_all_chunks_but_the_last_are_the_same_whatever_follows():
    data, points = noise(1 << 20), cuts(noise(1 << 20))
    for end in random.Random(1).sample(range(1 << 20), 100):
        assert cuts(data[:end])[:-1] == [point for point in points if point < end][: len(cuts(data[:end])) - 1]


@pytest.mark.parametrize(
    ("size_bytes", "cut"),
    [
        (0, 16),
        (1, 16),
        (1000 << 16, 16),
        (1001 << 16, 17),
        (1000 << 17, 17),
        (1001 << 17, 18),
        (1000 << 20, 20),
        (1001 << 20, 21),
        (2**62, 21),
    ],
)
def test_a_new_file_is_cut_into_about_a_thousand_chunks(size_bytes, cut):
    assert choose_cut(size_bytes) == cut


@pytest.mark.parametrize(
    ("size_bytes", "current", "cut"),
    [
        (2000 << 16, 16, 16),  # grown to twice the ideal: kept
        (2001 << 16, 16, 17),  # beyond: chosen anew
        (250 << 18, 18, 18),  # shrunk to a quarter: kept
        ((250 << 18) - 1, 18, 16),  # below: chosen anew
        (0, 16, 16),
        (2**62, 21, 21),
        (1 << 40, 16, 21),
        (1 << 20, 21, 16),
        (1001 << 16, 15, 17),  # what no version ever chose does not count
        (1001 << 16, 22, 17),
        (1001 << 16, 0, 17),
        (1001 << 16, 255, 17),
    ],
)
def test_a_file_is_cut_anew_only_when_its_size_has_really_changed(size_bytes, current, cut):
    assert choose_cut(size_bytes, current) == cut
