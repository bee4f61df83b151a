"""A block's name is the BLAKE3-256 of its bytes; nothing else is ever believed about it."""

from blake3 import blake3

from p2psync.ids import BlockId

MAX_BLOCK_BYTES = 4 << 20
"""Largest block: a share of a file that one peer's failure may cost, and a buffer that every peer can afford."""


def block_id(data: bytes | bytearray | memoryview) -> BlockId:
    """Return the id of a block with these bytes."""
    return BlockId(blake3(data).digest())


def split_ids(packed: bytes) -> list[BlockId]:
    """Return the ids in a byte string of 32-byte ids, end to end."""
    return [BlockId(packed[at : at + 32]) for at in range(0, len(packed), 32)]
