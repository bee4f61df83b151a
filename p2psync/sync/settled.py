"""Settled groups: pages of a manifest with all of which the folder agrees, so that the next plan passes over them."""

from collections.abc import Mapping
from typing import NamedTuple

from p2psync.blocks.need import PageHolding
from p2psync.ids import BlockId
from p2psync.manifest.entry import Kind
from p2psync.manifest.tree import Manifest
from p2psync.sync.page_groups import PageGroup


class SettledGroup(NamedTuple):
    """What a plan is to know of a group of pages that it passes over.

    Attributes:
        pages: Their ids.
        first: From which key on they say what the folder holds.
        end: Before which key that ends; None: nothing follows.
        parents: The directories that what they name stands in.
        directories: The directories that they name.
        size_bytes: Of the files that they name.
        holdings: That all their blocks are held.
    """

    pages: tuple[BlockId, ...]
    first: bytes
    end: bytes | None
    parents: frozenset[bytes]
    directories: frozenset[bytes]
    size_bytes: int
    holdings: Mapping[BlockId, PageHolding]


class SettledGroups:
    """What is settled in one folder, from one pull to the next. An update costs what has changed, not what there is.

    True as long as nobody but the plans' own steps changes the folder: `clear` when a scan finds that somebody has.
    """

    def __init__(self) -> None:
        self._settled: dict[BlockId, SettledGroup] = {}
        self._expected: list[SettledGroup] = []

    def expect(self, group: PageGroup) -> None:
        """Note a group that will be settled once all has been done that was planned for the manifest."""
        self._expected.append(_settled(group))

    def add(self, group: PageGroup) -> None:
        """Note a group that is settled."""
        self._keep(_settled(group))

    def drop(self, group: PageGroup) -> None:
        """Forget a group that is about to be planned."""
        if group.pages:
            self._settled.pop(group.pages[0][0], None)

    def begin(self, manifest: Manifest) -> None:
        """Forget what does not matter on the way to another manifest."""
        self._expected.clear()
        wanted = set(manifest.pages)
        self._settled = {page: group for page, group in self._settled.items() if page in wanted}

    def reached(self) -> None:
        """All that was planned has been done."""
        for group in self._expected:
            self._keep(group)
        self._expected.clear()

    def clear(self) -> None:
        """Nothing is settled."""
        self._settled.clear()
        self._expected.clear()

    def find(self, manifest: Manifest, at: int) -> SettledGroup | None:
        """Return the settled group of a manifest's pages from a place on, None if there is none."""
        ids, firsts = manifest.pages, manifest.first_keys
        group = self._settled.get(ids[at])
        if group is None:
            return None
        end = at + len(group.pages)
        same_keys = group.first == (firsts[at] if at else b"") and group.end == (
            firsts[end] if end < len(ids) else None
        )
        return group if same_keys and group.pages == ids[at:end] else None

    def _keep(self, group: SettledGroup) -> None:
        if group.pages:
            self._settled[group.pages[0]] = group


def _settled(group: PageGroup) -> SettledGroup:
    return SettledGroup(
        pages=tuple(page for page, _ in group.pages),
        first=group.first,
        end=group.end,
        parents=frozenset(entry.parent for entry in group.entries),
        directories=frozenset(entry.path for entry in group.entries if entry.kind is Kind.DIRECTORY),
        size_bytes=sum(group.lengths),
        holdings=group.holdings(set()),
    )
