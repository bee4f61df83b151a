"""Repage: a manifest after some entries changed, by cutting anew only the pages that they touch. Pure."""

import struct
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable

from p2psync.blocks.block import block_id
from p2psync.ids import BlockId
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.page import MOST_BLOCKS, cut_pages, decode_page, encode_page
from p2psync.manifest.tree import Manifest


class Repaging:
    """One manifest on its way to the next.

    Where a page ends follows from its own records. So once a page comes out as it was, what follows it is as it was
    too, up to the next entry that changed.

    Args:
        before: The manifest that everything but the changed entries still is as it says.
        load: Gives the bytes of a page of it.
        entries_from: Gives all entries as they are now from a key on, in key order.

    Attributes:
        made: The pages that were cut anew, by id; some of them may be as they were.
    """

    def __init__(
        self,
        before: Manifest,
        load: Callable[[BlockId], bytes],
        entries_from: Callable[[bytes], Iterable[Entry]],
    ) -> None:
        self.made: dict[BlockId, bytes] = {}
        self._before = before
        self._load = load
        self._entries_from = entries_from
        self._pages: list[BlockId] = []
        self._firsts: list[bytes] = []
        self._files, self._size_bytes = before.files, before.size_bytes
        self._position = {page: at for at, page in enumerate(before.pages)}

    def run(self, changed: Collection[bytes]) -> Manifest:
        """Return the manifest after the entries at these keys have changed, come or gone."""
        keys = sorted(changed)
        done = at = 0
        while done < len(keys):
            start = max(self._page_of(keys[done]), at)
            self._keep(at, start)
            done, at = self._cut_anew(start, keys, done)
        self._keep(at, len(self._before.pages))
        return Manifest(
            tuple(self._pages), tuple(self._firsts), self._files, self._size_bytes, self._before.ignore
        )  # fmt: skip

    def _page_of(self, key: bytes) -> int:
        """Return the page that a key belongs in; of a file of many pages the one that it begins in."""
        at = max(bisect_right(self._before.first_keys, key) - 1, 0)
        while at > 0 and decode_page(self._load(self._before.pages[at])).records[0].kind is Kind.CONTINUATION:
            at -= 1
        return at

    def _keep(self, start: int, end: int) -> None:
        self._pages += self._before.pages[start:end]
        self._firsts += self._before.first_keys[start:end]

    def _cut_anew(self, start: int, keys: list[bytes], done: int) -> tuple[int, int]:
        """Cut from the beginning of a page on; return how many keys are dealt with, and which page is next."""
        firsts = self._before.first_keys
        for records in cut_pages(self._entries_from(firsts[start] if start else b"")):
            data = encode_page(records)
            page, first, last = block_id(data), records[0].key, records[-1]
            self._pages.append(page)
            self._firsts.append(first)
            while done < len(keys) and keys[done] <= last.key:
                done += 1
            at = self._position.get(page, -1)
            may_go_on = len(last.lengths) == MOST_BLOCKS * 4
            is_as_it_was = at >= start and not may_go_on
            if is_as_it_was and (done == len(keys) or (at + 1 < len(firsts) and keys[done] >= firsts[at + 1])):
                self._forget(start, at)
                return done, at + 1
            self.made[page] = data
            self._count(records, 1)
        self._forget(start, len(firsts))
        return len(keys), len(firsts)

    def _forget(self, start: int, end: int) -> None:
        for page in self._before.pages[start:end]:
            self._count(decode_page(self._load(page)).records, -1)

    def _count(self, records: list[Entry], sign: int) -> None:
        lengths = b"".join(record.lengths for record in records)
        self._files += sign * sum(record.kind is Kind.FILE for record in records)
        self._size_bytes += sign * sum(struct.unpack(f">{len(lengths) // 4}I", lengths))
