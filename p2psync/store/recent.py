"""Blocks that have just been written, for peers who want them next. Pure."""

from collections.abc import Iterable, Sequence

from p2psync.ids import BlockId
from p2psync.store.base import Payload

_COPIED_BYTES = 16 << 10
"""Shorter blocks are copied, which costs next to nothing: each might hold on to the buffer of a megabyte it came in."""


class RecentBlocks:
    """The latest verified blocks, as far as they fit a number of bytes.

    In a swarm what one peer has just received the others ask it for within a second or two. Reading it back would cost
    a hop to a thread, a look into the index, opening the file and hashing: several times what sending it costs.

    Args:
        most_bytes: What they take at most.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._blocks: dict[BlockId, Payload] = {}
        self._bytes = 0

    def put(self, blocks: Iterable[tuple[BlockId, Payload]]) -> None:
        """Remember verified blocks, and forget the oldest."""
        for id_, data in blocks:
            if id_ not in self._blocks:
                self._blocks[id_] = bytes(data) if len(data) < _COPIED_BYTES else data
                self._bytes += len(data)
        while self._bytes > self._most_bytes:
            self._bytes -= len(self._blocks.pop(next(iter(self._blocks))))

    def first(self, ids: Sequence[BlockId], size_bytes: int) -> list[Payload]:
        """Return the blocks at the beginning of `ids` that are remembered, up to the one that reaches `size_bytes`."""
        found: list[Payload] = []
        for id_ in ids:
            data = self._blocks.get(id_)
            if data is None or size_bytes <= 0:
                break
            found.append(data)
            size_bytes -= len(data)
        return found

    def clear(self) -> None:
        """Forget all."""
        self._blocks.clear()
        self._bytes = 0
