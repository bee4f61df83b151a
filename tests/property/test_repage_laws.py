"""A manifest that is brought up to date page by page is the one that would be made from all entries."""

import random

import pytest

from p2psync.blocks.block import block_id
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.page import MOST_BLOCKS, iter_pages
from p2psync.manifest.repage import Repaging
from p2psync.manifest.tree import Manifest


class Folder:
    """Entries by key, and the pages of every manifest that was made of them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.entries: dict[bytes, Entry] = {}
        self.pages: dict[bytes, bytes] = {}
        self.loaded = 0

    def entry(self, number: int) -> Entry:
        blocks = self.rng.choice([0, 1, 1, 1, 3])
        if number % 397 == 0:  # a file of several pages, or of exactly full ones
            blocks = self.rng.choice([MOST_BLOCKS, MOST_BLOCKS + 1, 2 * MOST_BLOCKS, 2 * MOST_BLOCKS + 5])
        length = self.rng.randrange(1, 1000)
        ids = self.rng.randbytes(32) * blocks
        return Entry(
            b"dir %d" % (number % 7), b"%06d" % number, Kind.FILE, self.rng.randrange(1 << 60), 0o644, 0, ids,
            length.to_bytes(4, "big") * blocks,
        )  # fmt: skip

    def put(self, number: int) -> bytes:
        entry = self.entry(number)
        self.entries[entry.key] = entry
        return entry.key

    def whole(self) -> Manifest:
        pages = list(iter_pages(self.entries[key] for key in sorted(self.entries)))
        ids = [block_id(data) for _, data in pages]
        self.pages.update(zip(ids, (data for _, data in pages), strict=True))
        files = [entry for entry in self.entries.values() if entry.kind is Kind.FILE]
        size = sum(int.from_bytes(entry.lengths[:4], "big") * (len(entry.lengths) // 4) for entry in files)
        return Manifest(tuple(ids), tuple(first for first, _ in pages), len(files), size)

    def repage(self, before: Manifest, changed: set[bytes]) -> Manifest:
        repaging = Repaging(before, self.load, lambda first: (
            self.entries[key] for key in sorted(self.entries) if key >= first
        ))  # fmt: skip
        after = repaging.run(changed)
        self.pages.update(repaging.made)
        assert all(page in self.pages for page in after.pages)
        return after

    def load(self, page: bytes) -> bytes:
        self.loaded += 1
        return self.pages[page]


@pytest.mark.parametrize("seed", range(25))
def test_it_is_the_manifest_of_all_entries_whatever_has_changed(seed):
    folder = Folder(random.Random(seed))
    for number in folder.rng.sample(range(4000), folder.rng.choice([0, 1, 300, 2500])):
        folder.put(number)
    manifest = folder.whole()
    for _ in range(6):
        changed = {
            folder.put(number) for number in folder.rng.sample(range(4200), folder.rng.choice([0, 1, 2, 40, 900]))
        }
        some = sorted(folder.entries)
        for key in folder.rng.sample(some, min(len(some), folder.rng.choice([0, 1, 30]))):
            del folder.entries[key]
            changed.add(key)
        if folder.rng.random() < 0.3:  # the ends
            changed |= set(some[:1] + some[-1:])
            for key in some[:1] + some[-1:]:
                folder.entries.pop(key, None)
        manifest = folder.repage(manifest, changed)
        assert manifest == folder.whole()


def test_a_file_of_many_pages_that_grows_only_at_its_end_is_cut_anew_there():
    folder = Folder(random.Random(1))
    entry = folder.entry(397)
    ids, lengths = b"i" * 32, (5).to_bytes(4, "big")
    for count in (2 * MOST_BLOCKS, 2 * MOST_BLOCKS + 1, 3 * MOST_BLOCKS + 7, MOST_BLOCKS, 1):
        before = folder.whole()
        folder.entries[entry.key] = entry._replace(ids=ids * count, lengths=lengths * count)
        assert folder.repage(before, {entry.key}) == folder.whole()


def test_one_change_costs_a_few_pages_of_a_large_folder():
    folder = Folder(random.Random(2))
    for number in range(1, 20_000):
        if number % 397:
            folder.put(number)
    manifest = folder.whole()
    folder.loaded = 0
    repaging = Repaging(manifest, folder.load, lambda first: (
        folder.entries[key] for key in sorted(folder.entries) if key >= first
    ))  # fmt: skip
    after = repaging.run({folder.put(10_001)})
    assert after == folder.whole() != manifest
    assert len(repaging.made) <= 2
    assert folder.loaded <= 4
