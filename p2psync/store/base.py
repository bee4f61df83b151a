"""The interface between blocks on the wire and blocks at rest."""

from collections.abc import Sequence
from typing import Protocol

from p2psync.ids import BlockId
from p2psync.store.long_block import LongBlock

Payload = bytes | bytearray | memoryview


class BlockStore(Protocol):
    """Blocks of one folder. Blocking; every method may be called from several threads at once.

    Laws: `read` never returns bytes that do not hash to their id, nor all stretches of such a block; what `write` has
    accepted, `read` returns from then on, until the file that holds it changes.
    """

    def read(self, ids: Sequence[BlockId]) -> list[Payload | None]:
        """Return each block's verified bytes, or None where it is not held (any more).

        Raises:
            StoreError: The storage as a whole failed.
        """
        ...

    def read_first(
        self, ids: Sequence[BlockId], enough_bytes: int, whole_bytes: int
    ) -> list[Payload | LongBlock | None]:
        """Read like `read` from the beginning of `ids`, up to the block that makes it `enough_bytes`.

        Of a block of a file that is longer than `whole_bytes` nothing is read yet.

        Raises:
            StoreError: The storage as a whole failed.
        """
        ...

    def write(self, blocks: Sequence[tuple[BlockId, Payload]]) -> list[BlockId]:
        """Verify blocks and keep them; return the ids whose bytes did not match, which are not kept.

        A right block that nobody here waits for is dropped silently.

        Raises:
            StoreError: The disk is full or failed; none or some of the blocks were kept.
        """
        ...
