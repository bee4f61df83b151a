"""A block that is longer than may be held at once: read a stretch at a time, and verified with its last."""

from collections.abc import Callable

from blake3 import blake3

from p2psync.ids import BlockId


class LongBlock:
    """One pass over a block's bytes, in which no more than a stretch of them is in memory. Blocking.

    Whoever passes the stretches on never completes a block that is not what its id says: the last stretch is held back.

    Args:
        id_: What all bytes must hash to.
        length: How many they are.
        read_at: Reads so many bytes from an offset within the block; fewer, or None, if they are not there any more.
        on_wrong: Called once if the bytes were not the block's.

    Attributes:
        id: See `id_`.
        offset: Where the next stretch begins.
        is_ended: All stretches were read, or what was read is not the block.
    """

    def __init__(
        self, id_: BlockId, length: int, read_at: Callable[[int, int], bytes | None], on_wrong: Callable[[], None]
    ) -> None:
        self.id = id_
        self.offset = 0
        self.is_ended = False
        self._length = length
        self._read_at, self._on_wrong = read_at, on_wrong
        self._hash = blake3()

    def __len__(self) -> int:
        return self._length

    def read(self, count: int) -> bytes | None:
        """Return the next stretch, of `count` bytes or what is left; None, and no more, if this is not the block."""
        count = min(count, self._length - self.offset)
        data = self._read_at(self.offset, count)
        if data is not None:
            self._hash.update(data)
            self.offset += len(data)
        is_last = self.offset == self._length
        if data is None or len(data) < count or (is_last and self._hash.digest() != self.id):
            self.is_ended = True
            self._on_wrong()
            return None
        self.is_ended = is_last
        return data
