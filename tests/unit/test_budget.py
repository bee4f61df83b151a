import pytest

from p2psync.blocks.block import MAX_BLOCK_BYTES
from p2psync.budget import DEFAULT_BYTES, LEAST_BYTES, MemoryBudget


@pytest.mark.parametrize("total", [1, LEAST_BYTES, DEFAULT_BYTES, 1 << 30, 1 << 34])
def test_the_parts_are_no_more_than_the_whole_and_never_too_little_to_work_with(total):
    budget = MemoryBudget(total)
    hashing = 3 * (budget.segment_bytes + MAX_BLOCK_BYTES)
    copying = 2 * (budget.copy_bytes + MAX_BLOCK_BYTES)
    assert 2 * budget.payload_bytes + hashing + copying < max(total, LEAST_BYTES)
    assert budget.payload_bytes >= 2 * MAX_BLOCK_BYTES
    assert budget.segment_bytes >= 1 << 20
    assert budget.copy_bytes >= 1 << 20


def test_what_is_said_where_nobody_chooses():
    budget = MemoryBudget()
    assert (budget.payload_bytes, budget.segment_bytes, budget.copy_bytes) == (32 << 20, 8 << 20, 4 << 20)
