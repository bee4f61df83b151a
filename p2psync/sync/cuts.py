"""How the folder's manifest cuts a file, so that a local copy of it is cut alike and its blocks are recognised."""

from bisect import bisect_right
from functools import lru_cache

from p2psync.ids import BlockId
from p2psync.manifest.entry import Kind
from p2psync.manifest.page import decode_page
from p2psync.manifest.tree import Manifest
from p2psync.store.pages import PageStore


class CutHints:
    """Looks up cut exponents in a manifest whose pages are kept here."""

    def __init__(self, manifest: Manifest, pages: PageStore) -> None:
        self._manifest = manifest
        self._pages = pages
        self._cuts_of = lru_cache(maxsize=4)(self._read_cuts)

    def of(self, key: bytes) -> int | None:
        """Return the exponent that the file at `key` is cut with, or None if the manifest has no file there."""
        at = bisect_right(self._manifest.first_keys, key) - 1
        # A file of many pages begins on the first of those that start with its key.
        while at > 0 and self._manifest.first_keys[at - 1] == key:
            at -= 1
        if at < 0:
            return None
        cut = self._cuts_of(self._manifest.pages[at]).get(key)
        if cut is None and at > 0 and self._manifest.first_keys[at] == key:  # or at the end of the page before
            cut = self._cuts_of(self._manifest.pages[at - 1]).get(key)
        return cut

    def _read_cuts(self, page: BlockId) -> dict[bytes, int]:
        data = self._pages.one(page)
        return {record.key: record.cut for record in decode_page(data).records if record.kind is Kind.FILE}
