import pytest

from p2psync.blocks.block import MAX_BLOCK_BYTES, block_id, split_ids
from p2psync.blocks.need import Run


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # from the test vectors of BLAKE3 itself
        (b"", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        (b"\x00", "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
        (bytes(n % 251 for n in range(1024)), "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"),
    ],
)
def test_a_block_is_named_by_its_blake3(data, expected):
    assert block_id(data).hex() == expected
    assert block_id(memoryview(bytearray(data))).hex() == expected


def test_the_largest_block_is_4_mib():
    assert MAX_BLOCK_BYTES == 4 * 1024 * 1024


def test_packed_ids_are_taken_apart_in_order():
    ids = [bytes([n]) * 32 for n in range(3)]
    assert split_ids(b"".join(ids)) == ids
    assert split_ids(b"") == []


def test_a_run_knows_its_payload():
    assert Run(bytes(32), [0, 2], [b"a" * 32, b"b" * 32], [3, 4]).size_bytes == 7
