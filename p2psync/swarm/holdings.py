"""What one peer says it holds: complete roots, whole pages, and bit sets over the blocks of other pages. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence

from p2psync.errors import RemoteProtocolError
from p2psync.ids import BlockId
from p2psync.wire import limits
from p2psync.wire.messages import Have

_SOME = re.compile(rb"[^\0]")
_BITS = [[bit for bit in range(8) if byte & (0x80 >> bit)] for byte in range(256)]
Grown = Mapping[BlockId, bytes | None]
"""Pages of which more is held, each with the bits that are new; None stands for every block of it."""


class Holdings:
    """Everything that one peer announced and has not withdrawn.

    Attributes:
        root: Root of the head it offered last; it holds that root and all its pages.
        complete: Roots of which it holds every page and block.
    """

    def __init__(self) -> None:
        self.root: BlockId | None = None
        self.complete: set[BlockId] = set()
        self._whole: set[BlockId] = set()
        self._partial: dict[BlockId, bytes] = {}
        self._bits_bytes = 0

    @property
    def has_all(self) -> bool:
        """It holds every block of the manifest that it offered last."""
        return self.root in self.complete

    @property
    def pages(self) -> int:
        """Pages of which it holds something, those of complete roots not counted."""
        return len(self._whole) + len(self._partial)

    def page_sum(self) -> float:
        """Return the number of pages it holds, those of which it holds a part counted by that part.

        How many blocks a page has is not known here but to eight, so a part may be taken for a little less than it is.
        """
        return len(self._whole) + sum(
            int.from_bytes(bits, "big").bit_count() / (8 * len(bits)) for bits in self._partial.values()
        )

    def offer(self, root: BlockId) -> None:
        """A new head voids all that was said before."""
        self.clear()
        self.root = root

    def clear(self) -> None:
        """Forget all that was said."""
        self.root = None
        self.complete.clear()
        self._whole.clear()
        self._partial.clear()
        self._bits_bytes = 0

    def is_upset_by(self, have: Have) -> bool:
        """Say whether a HAVE takes something back or completes a root: more than what it adds must be judged anew."""
        is_taken_back = any(self.knows(id_) or id_ in self.complete for id_ in have.gone)
        return is_taken_back or not self.complete.issuperset(have.complete)

    def hear(self, have: Have) -> Grown:
        """Take in a HAVE; return what more is held now.

        Raises:
            RemoteProtocolError: The peer announces more than one peer may.
        """
        for id_ in have.gone:
            self.complete.discard(id_)
            self._whole.discard(id_)
            self._forget_bits(id_)
        for id_ in have.whole:
            self._forget_bits(id_)
        grown: dict[BlockId, bytes | None] = {}
        for page, bits in have.partial:
            grown[page] = self._add_bits(page, bits)
        grown.update(dict.fromkeys(have.whole))
        self.complete.update(have.complete)
        self._whole.update(have.whole)
        if len(self.complete) > limits.MAX_COMPLETE_ROOTS:
            raise RemoteProtocolError(f"more than {limits.MAX_COMPLETE_ROOTS} complete manifests announced")
        if self.pages > limits.MAX_ANNOUNCED_PAGES:
            raise RemoteProtocolError(f"more than {limits.MAX_ANNOUNCED_PAGES} pages announced")
        return grown

    def knows(self, page: BlockId) -> bool:
        """Say whether anything of a page was announced, complete roots aside."""
        return page in self._whole or page in self._partial

    def holds_all(self, page: BlockId, positions: Sequence[int]) -> bool:
        """Say whether every one of a page's blocks at `positions` was announced, complete roots aside."""
        if page in self._whole:
            return True
        bits = self._partial.get(page)
        return bits is not None and all(has_bit(bits, position) for position in positions)

    def holds(self, page: BlockId, position: int) -> bool:
        """Say whether one of a page's blocks was announced, complete roots aside."""
        bits = self._partial.get(page)
        return page in self._whole if bits is None else has_bit(bits, position)

    def _add_bits(self, page: BlockId, bits: bytes) -> bytes:
        """Take in a page's bits; return those that are new."""
        if page in self._whole:
            return b""
        known = self._partial.get(page)
        if known is None:
            self._bits_bytes += len(bits)
            if self._bits_bytes > limits.MAX_ANNOUNCED_BITS_BYTES:
                raise RemoteProtocolError(f"more than {limits.MAX_ANNOUNCED_BITS_BYTES} bytes of bits announced")
            self._partial[page] = bits
        elif len(known) != len(bits):
            raise RemoteProtocolError("a page whose number of blocks changed")
        else:
            was = int.from_bytes(known, "big")
            joined = was | int.from_bytes(bits, "big")
            self._partial[page] = joined.to_bytes(len(bits), "big")
            return (joined ^ was).to_bytes(len(bits), "big")
        return bits

    def _forget_bits(self, page: BlockId) -> None:
        bits = self._partial.pop(page, None)
        if bits is not None:
            self._bits_bytes -= len(bits)


def ones(bits: bytes) -> Iterator[int]:
    """Yield the positions of the ones, counted from the highest bit of the first byte."""
    for found in _SOME.finditer(bits):
        at = found.start()
        for bit in _BITS[bits[at]]:
            yield 8 * at + bit


def has_bit(bits: bytes, position: int) -> bool:
    """Say whether there is a one at a position, counted in the same way."""
    at = position >> 3
    return at < len(bits) and bool(bits[at] & (0x80 >> (position & 7)))
