"""Groups of a manifest's pages, each a page or as many as one huge file fills: their blocks, numbered through."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from p2psync.blocks.need import PageHolding, Run
from p2psync.ids import BlockId
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.page import Page, decode_page, page_block_ids
from p2psync.manifest.tree import Manifest, join_continuations
from p2psync.store.pages import PageStore

RUN_BYTES = 1 << 20
"""Blocks of a page are asked for about this much at a time: one frame, one hop to a worker thread."""


class PageGroup(NamedTuple):
    """Some pages whose entries are whole.

    Attributes:
        pages: The pages with their ids.
        first: From which key on they say what the folder holds.
        end: Before which key that ends; None: nothing follows.
        entries: Their entries.
        starts: By key, where an entry's blocks begin among all blocks of the group.
    """

    pages: list[tuple[BlockId, Page]]
    first: bytes
    end: bytes | None
    entries: list[Entry]
    starts: Mapping[bytes, int]

    @property
    def lengths(self) -> list[int]:
        """The lengths of all its blocks."""
        return [length for _, page in self.pages for length in page.block_lengths]

    def numbers_of(self, entries: Iterable[Entry], but: set[bytes]) -> set[int]:
        """Return the numbers of all blocks of entries, but for those at some keys."""
        spans = [(self.starts[entry.key], len(entry.lengths) // 4) for entry in entries if entry.key not in but]
        return {number for start, count in spans for number in range(start, start + count)}

    def runs(self, wanted: set[int]) -> Iterator[Run]:
        """Turn wanted blocks into runs of about RUN_BYTES, none across two pages."""
        start = 0
        for page_id, page in self.pages:
            ids = page_block_ids(page)
            positions: list[int] = []
            size = 0
            for position in range(len(ids)):
                if start + position not in wanted:
                    continue
                length = page.block_lengths[position]
                if positions and size + length > RUN_BYTES:
                    yield _run(page_id, page, ids, positions)
                    positions, size = [], 0
                positions.append(position)
                size += length
            if positions:
                yield _run(page_id, page, ids, positions)
            start += len(ids)

    def holdings(self, missing: set[int]) -> dict[BlockId, PageHolding]:
        """Say what is held of each page if some blocks are not."""
        holdings, start = {}, 0
        for page_id, page in self.pages:
            count = len(page.block_lengths)
            bits = bytearray((((1 << count) - 1) << (-count % 8)).to_bytes((count + 7) // 8, "big"))
            for number in missing.intersection(range(start, start + count)):
                bits[(number - start) >> 3] &= ~(0x80 >> ((number - start) & 7))
            holdings[page_id] = PageHolding(count, bytes(bits))
            start += count
        return holdings


class PageGroups:
    """The groups of a manifest whose pages are kept here."""

    def __init__(self, manifest: Manifest, pages: PageStore) -> None:
        self._manifest = manifest
        self._pages = pages

    def between(self, first: bytes = b"", end: bytes | None = None) -> Iterator[PageGroup]:
        """Yield the groups that say what the folder holds from a key to before another.

        Raises:
            RemoteProtocolError: A page breaks the format, or is not the one that the root promises.
        """
        ids, firsts = self._manifest.pages, self._manifest.first_keys
        if not ids:
            yield PageGroup([], b"", None, [], {})
        at = self._place(first)
        while at < len(ids) and (at == 0 or end is None or firsts[at] < end):
            group = self._group(at)
            yield group
            at += len(group.pages)

    def but_for(self, passed: Callable[[Manifest, int], int]) -> Iterator[PageGroup]:
        """Yield all groups that are not passed over.

        Args:
            passed: Told where in the manifest's pages a group begins; returns of how many pages it is, or 0 if it is
                not passed over.

        Raises:
            RemoteProtocolError: As with `between`.
        """
        pages = self._manifest.pages
        if not pages:
            yield from self.between()
        at = 0
        while at < len(pages):
            count = passed(self._manifest, at)
            if not count:
                group = self._group(at)
                yield group
                count = len(group.pages)
            at += count

    def find(self, key: bytes) -> Entry | None:
        """Return the entry at a key, None if there is none."""
        group = next(self.between(key, key + b"\0"), None)
        return next((entry for entry in group.entries if entry.key == key), None) if group else None

    def _place(self, key: bytes) -> int:
        """Return the first page of the group that would name a key."""
        firsts = self._manifest.first_keys
        at = max(bisect_right(firsts, key) - 1, 0)
        while at > 0 and (firsts[at - 1] == firsts[at] or self._goes_on(at)):
            at -= 1
        return at

    def _goes_on(self, at: int) -> bool:
        """Say whether a page begins within a file that another one has begun, with whatever comes before it there."""
        return self._load(at)[1].records[0].kind is Kind.CONTINUATION

    def _group(self, at: int) -> PageGroup:
        ids, firsts = self._manifest.pages, self._manifest.first_keys
        first = firsts[at] if at else b""
        group = [self._load(at)]
        while at + len(group) < len(ids) and firsts[at + len(group)] == group[-1][1].records[-1].key:
            group.append(self._load(at + len(group)))
        at += len(group)
        entries = list(join_continuations(record for _, page in group for record in page.records))
        return PageGroup(group, first, firsts[at] if at < len(ids) else None, entries, _block_starts(entries))

    def _load(self, at: int) -> tuple[BlockId, Page]:
        block = self._manifest.pages[at]
        page = decode_page(self._pages.one(block))
        self._manifest.check_page(at, page)
        return block, page


def _block_starts(entries: list[Entry]) -> dict[bytes, int]:
    starts, at = {}, 0
    for entry in entries:
        starts[entry.key] = at
        at += len(entry.lengths) // 4
    return starts


def _run(page_id: BlockId, page: Page, ids: list[BlockId], positions: list[int]) -> Run:
    return Run(page_id, positions, [ids[at] for at in positions], [page.block_lengths[at] for at in positions])
