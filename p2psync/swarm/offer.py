"""What we hold and tell others: our head, and HAVE messages, whole or as changes. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from p2psync.blocks.need import PageHolding
from p2psync.ids import BlockId
from p2psync.wire.messages import Have

HAVE_BYTES = 256 << 10
"""Size of one HAVE, well below its limit: a long statement is said in several."""
_ROW_BYTES = 48
NO_ROOT = BlockId(b"")
ANNOUNCE_S = 0.04
ANNOUNCE_LINK_S = 0.004
"""Blocks of so long, and of so much more for every link, are announced together: others can pass on only what they know
of, and a message costs some 100 µs at either end. Half or twice as much makes no difference in the simulator."""


def announce_delay_s(links: int) -> float:
    """Return how long to gather what is to be announced."""
    return ANNOUNCE_S + ANNOUNCE_LINK_S * links


class Offer:
    """Our newest manifest and which of its blocks we hold.

    Attributes:
        head: Signed head; empty before there is one.
        root: Its root; empty before there is one.
        complete: Every page and block of it is held.
        provisional: Only peers that know of such heads are told of it.
    """

    def __init__(
        self, head: bytes = b"", root: BlockId = NO_ROOT, *, complete: bool = False, provisional: bool = False
    ) -> None:
        self.head = head
        self.provisional = provisional
        self.root = root
        self.complete = complete
        self._bits: dict[BlockId, bytearray] = {}
        self._lacking: dict[BlockId, int] = {}
        self._changed: dict[BlockId, None] = {}
        self._untold: dict[BlockId, None] = {}

    def hold(self, holdings: Mapping[BlockId, PageHolding]) -> None:
        """Take what is held of the manifest's pages, also where that is nothing; adds to what is known."""
        for page, holding in holdings.items():
            known = int.from_bytes(self._bits.get(page, b""), "big")
            joined = known | int.from_bytes(holding.bits, "big")
            self._bits[page] = bytearray(joined.to_bytes(len(holding.bits), "big"))
            self._lacking[page] = holding.blocks - joined.bit_count()
            if joined != known:
                self._changed[page] = self._untold[page] = None

    def add(self, page: BlockId, position: int) -> None:
        """One more block is held; pages that `hold` was not told of are not announced."""
        bits = self._bits.get(page)
        mask = 0x80 >> (position & 7)
        if bits is not None and not bits[position >> 3] & mask:
            bits[position >> 3] |= mask
            self._lacking[page] -= 1
            self._changed[page] = self._untold[page] = None

    def everything(self) -> Iterator[Have]:
        """Yield the HAVE messages for a peer that was told nothing."""
        if self.complete:
            yield Have(complete=[self.root])
        else:
            yield from self._haves(page for page, bits in self._bits.items() if any(bits))

    def changes(self) -> Iterator[Have]:
        """Yield the HAVE messages for what was added since the last call."""
        changed, self._changed = self._changed, {}
        if not self.complete:
            yield from self._haves(changed)

    def changes_for_complete(self) -> Iterator[Have]:
        """Yield the same for peers that need nothing from us, and only show to people how far we are."""
        untold, self._untold = self._untold, {}
        if not self.complete:
            yield from self._haves(untold)

    def _haves(self, pages: Iterable[BlockId]) -> Iterator[Have]:
        whole: list[BlockId] = []
        partial: list[tuple[BlockId, bytes]] = []
        size = 0
        for page in pages:
            if self._lacking[page]:
                bits = bytes(self._bits[page])
                partial.append((page, bits))
                size += len(bits)
            else:
                whole.append(page)
            size += _ROW_BYTES
            if size > HAVE_BYTES:
                yield Have(whole=whole, partial=partial)
                whole, partial, size = [], [], 0
        if whole or partial:
            yield Have(whole=whole, partial=partial)
