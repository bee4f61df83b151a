"""Plan: go through a manifest page by page, do what needs no fetching, and say which blocks are wanted."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from p2psync.blocks.block import block_id
from p2psync.blocks.need import PageHolding, Run
from p2psync.chunking import largest_chunk
from p2psync.errors import PathError
from p2psync.ids import BLOCK_ID_BYTES, BlockId
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.page import Page, decode_page, page_block_ids
from p2psync.manifest.tree import Manifest, join_continuations
from p2psync.store.folder_state import FolderState
from p2psync.store.local_file import LocalFile
from p2psync.store.staging import StagedFile, wanted_slots
from p2psync.sync.apply import FolderWriter
from p2psync.sync.choice import NOTHING, PathChoice
from p2psync.sync.cuts import CutHints
from p2psync.sync.paths import PathGate
from p2psync.sync.reconcile import Decision, Step, reconcile

RUN_BYTES = 1 << 20
"""Blocks of a page are asked for about this much at a time: one frame, one hop to a worker thread."""
MOVED_BYTES = 1 << 20
"""From here on a file that was renamed is renamed here too; copying a smaller one costs no more than finding out."""
SPARSE_BYTES = 64 << 10
"""In smaller files zeros are not looked for: they are many, and it would spare little."""
_COPY_THREADS = 2
_COPY_BLOCKS = 256
"""What a thread copies at a time from elsewhere in the folder at most, however small they are."""


@dataclass(slots=True)
class PlanTotals:
    """What a plan has come to so far.

    Attributes:
        right_bytes: Bytes of files that were right already.
        reused_bytes: Bytes copied from other places of the folder, or that are holes.
        removals: What the manifest no longer has and p2psync had put there.
        additions: What the user put there and the manifest does not know.
    """

    right_bytes: int = 0
    reused_bytes: int = 0
    removals: list[LocalFile] = field(default_factory=list)
    additions: list[LocalFile] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """The outcome for a few pages: what to fetch, and what of them is held already."""

    runs: list[Run]
    holdings: dict[BlockId, PageHolding]


class Planner:
    """Plans one pull of one manifest; blocking, for one thread at a time.

    Args:
        manifest: Where the folder is to get to; its pages are all kept here.
        folder: The folder.
        writer: Makes what needs no blocks.
        gate: Refuses paths.
        checkpoint: Called for every page; may raise to give up.
        first: Which files are planned, and so fetched, before all others.

    Attributes:
        totals: What it has come to so far.
        may_move: Whether a file that the manifest has no more may be moved to where it now has its content.
    """

    def __init__(
        self,
        manifest: Manifest,
        folder: FolderState,
        writer: FolderWriter,
        gate: PathGate,
        checkpoint: Callable[[], None],
        first: PathChoice = NOTHING,
    ) -> None:
        self.totals = PlanTotals()
        self._manifest = manifest
        self._folder = folder
        self._staging = folder.staging
        self._writer = writer
        self._gate = gate
        self._checkpoint = checkpoint
        self._first = first
        self._is_early = False
        self._listed = CutHints(manifest, folder.pages)
        self.may_move = True

    def passes(self) -> Iterator[Iterator[GroupPlan]]:
        """Plan the manifest: once, or once for what comes first and once for the rest. Each plan is to be used up.

        Raises:
            RemoteProtocolError: A page breaks the format, or is not the one that the root promises.
            StoreError: The disk failed or is full.
        """
        if self._first:
            gate, self._gate, self._is_early = self._gate, PathGate(folds=self._gate.folds), True
            yield self._groups()
            self._gate, self._is_early = gate, False
        yield self._groups()

    def _groups(self) -> Iterator[GroupPlan]:
        """Plan a page at a time, or as many as one huge file fills."""
        at = 0
        ids, firsts = self._manifest.pages, self._manifest.first_keys
        first: bytes | None = b""
        if not ids:
            yield from self._plan_group([], b"", None)
        while at < len(ids):
            self._checkpoint()
            group = [self._load(at)]
            while at + len(group) < len(ids) and firsts[at + len(group)] == group[-1][1].records[-1].key:
                group.append(self._load(at + len(group)))
            at += len(group)
            end = firsts[at] if at < len(ids) else None
            yield from self._plan_group(group, first or b"", end)
            first = end

    def _load(self, at: int) -> tuple[BlockId, Page]:
        block = self._manifest.pages[at]
        page = decode_page(self._folder.pages.get([block])[block])
        self._manifest.check_page(at, page)
        return block, page

    def _plan_group(self, group: list[tuple[BlockId, Page]], first: bytes, end: bytes | None) -> Iterator[GroupPlan]:
        """Yield what must come from others, and once what is here has been copied, what that leaves."""
        entries = list(join_continuations(record for _, page in group for record in page.records))
        admitted = [entry for entry in entries if self._admit(entry)]
        starts = _block_starts(entries)
        compared = reconcile(admitted, self._folder.index.files_between(first, end))
        decisions = [decision for decision in compared if self._is_due(decision.entry)]
        made = [entry for step, entry, _ in decisions if step is Step.MAKE and entry and entry.kind is not Kind.FILE]
        self._writer.make(made)
        to_begin: list[Entry] = []
        for decision in decisions:
            to_begin += self._carry_out(decision)
        begun, awaited = self._begin(to_begin, starts)
        self._writer.flush()
        at_hand = self._at_hand(awaited)
        if at_hand:
            elsewhere = {number for number in awaited if number not in at_hand}
            holdings = _holdings(group, self._lacking(entries, admitted, to_begin, begun, starts))
            yield GroupPlan(list(_runs(group, elsewhere)), holdings)
            self._reuse(at_hand, [length for _, page in group for length in page.block_lengths])
            awaited = at_hand
        holdings = _holdings(group, self._lacking(entries, admitted, to_begin, begun, starts))
        yield GroupPlan(list(_runs(group, set(awaited))), holdings)

    def _lacking(
        self,
        entries: list[Entry],
        admitted: list[Entry],
        to_begin: list[Entry],
        begun: Sequence[tuple[int, StagedFile]],
        starts: dict[bytes, int],
    ) -> set[int]:
        """Return the numbers of the blocks of a group that are not held at present."""
        missing = {start + slot for start, file in begun for slot in file.missing_slots()}
        if len(begun) < len(to_begin):
            missing |= _numbers_of(to_begin, starts, {file.entry.key for _, file in begun})
        if self._first or len(admitted) < len(entries):
            missing |= _numbers_of(entries, starts, {entry.key for entry in admitted if self._is_due(entry)})
        return missing

    def _is_due(self, entry: Entry | None) -> bool:
        """Say whether a path is planned in this pass: directories in every one, as files need them."""
        if not self._first:
            return True
        if entry is None:
            return not self._is_early
        return entry.kind is Kind.DIRECTORY or self._first.holds(entry.path) is self._is_early

    def _admit(self, entry: Entry) -> bool:
        try:
            self._gate.admit(entry)
        except PathError as problem:
            if entry.kind is not Kind.TOMBSTONE and not self._is_early:
                self._writer.problems.append(problem)
            return False
        return True

    def _carry_out(self, decision: Decision) -> list[Entry]:
        """Do what can be done at once; return the file if it must be put together from blocks."""
        step, entry, local = decision
        if entry is None:
            if local is not None:
                (self.totals.removals if step is Step.REMOVE else self.totals.additions).append(local)
            return []
        if step is Step.MAKE:
            return [entry] if entry.kind is Kind.FILE else []
        self.totals.right_bytes += entry.size_bytes
        if local is not None and step is Step.TOUCH:
            self._writer.touch(entry, local)
        elif local is not None and step is Step.ADOPT:
            self._writer.adopt(entry, local)
        return []

    def _begin(
        self, entries: list[Entry], starts: dict[bytes, int]
    ) -> tuple[list[tuple[int, StagedFile]], dict[int, BlockId]]:
        """Begin files; return them with where their blocks begin in the group, and the blocks that they wait for."""
        begun: list[tuple[int, StagedFile]] = []
        waits: dict[int, BlockId] = {}
        for file in self._staging.begin(entries):
            start = starts[file.entry.key]
            begun.append((start, file))
            if self.may_move and file.size_bytes >= MOVED_BYTES and self._move_here(file):
                self.totals.reused_bytes += file.size_bytes
                continue
            wanted = wanted_slots(file)
            if len(wanted) < len(file.offsets) - 1:
                self.totals.right_bytes += file.size_bytes - sum(file.length(slot) for slot, _ in wanted)
            if file.size_bytes >= SPARSE_BYTES:
                wanted = self._without_zeros(file, wanted)
            for slot, block in wanted:
                if not self._staging.await_block(block, file, slot):
                    waits[start + slot] = block
        return begun, waits

    def _without_zeros(self, file: StagedFile, wanted: list[tuple[int, BlockId]]) -> list[tuple[int, BlockId]]:
        """Leave holes for zeros, which fill the largest blocks or the file's last one; return what else is wanted."""
        lengths = {largest_chunk(file.entry.cut), file.length(len(file.offsets) - 2)}
        zeros = {length: block_id(bytes(length)) for length in lengths & {file.length(slot) for slot, _ in wanted}}
        holes = [slot for slot, block in wanted if zeros.get(file.length(slot)) == block]
        for slot in holes:
            self._staging.fill_zeros(file, slot)
            self.totals.reused_bytes += file.length(slot)
        return [(slot, block) for slot, block in wanted if not file.has(slot)] if holes else wanted

    def _move_here(self, file: StagedFile) -> bool:
        """Take the file that has been renamed, if that is what happened: a file of ours that the folder has no more."""
        first = BlockId(file.entry.ids[:BLOCK_ID_BYTES])
        for place in self._folder.index.places([first]).get(first, ()):
            local = self._folder.index.file_at(place.key) if not place.staged and not place.slot else None
            if local is None or local.entry.ids != file.entry.ids or self._listed.of(place.key) is not None:
                continue
            if self._writer.take(local, file.name):
                self._staging.filled(file)
                return True
        return False

    def _at_hand(self, waits: dict[int, BlockId]) -> dict[int, BlockId]:
        """Return which blocks stand elsewhere in the folder; places of staged files that wait for them do not count."""
        places, staging = self._folder.index.places(list(waits.values())), self._staging
        held = {
            block
            for block, found in places.items()
            if any(not place.staged or staging.has(place.number, place.slot) for place in found)
        }
        return {
            number: block
            for number, block in waits.items()
            if block in held or staging.whole_file_of(block) is not None
        }

    def _reuse(self, waits: dict[int, BlockId], lengths: Sequence[int]) -> None:
        """Copy what stands elsewhere in the folder, and take it out of `waits`."""
        batches = list(_batches(list(waits), lengths, self._folder.memory.copy_bytes))
        pool = ThreadPoolExecutor(_COPY_THREADS)  # each reads, checks and writes; nearly all of it without the GIL
        try:
            copies = pool.map(self._copy, [[waits[number] for number in batch] for batch in batches])
            for batch, copied in zip(batches, copies, strict=True):
                self._checkpoint()
                for number, size in zip(batch, copied, strict=True):
                    if size:
                        self.totals.reused_bytes += size
                        del waits[number]
        finally:
            pool.shutdown(cancel_futures=True)

    def _copy(self, blocks: Sequence[BlockId]) -> list[int]:
        """Write blocks that stand elsewhere in the folder; return the size of each, 0 where it is gone."""
        sizes = []
        for block, data in zip(blocks, self._folder.store.read(blocks), strict=True):
            if data is not None:
                self._staging.write(block, data)
            sizes.append(len(data) if data is not None else 0)
        return sizes


def _batches(numbers: Sequence[int], lengths: Sequence[int], most_bytes: int) -> Iterator[list[int]]:
    """Divide the numbers of blocks into what is copied at a time."""
    batch: list[int] = []
    size = 0
    for number in numbers:
        batch.append(number)
        size += lengths[number]
        if size >= most_bytes or len(batch) >= _COPY_BLOCKS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _block_starts(entries: list[Entry]) -> dict[bytes, int]:
    """Return where each entry's blocks begin among all blocks of the group."""
    starts, at = {}, 0
    for entry in entries:
        starts[entry.key] = at
        at += len(entry.lengths) // 4
    return starts


def _numbers_of(entries: list[Entry], starts: dict[bytes, int], but: set[bytes]) -> set[int]:
    """Return the numbers of all blocks of entries, but for those at some keys."""
    spans = [(starts[entry.key], len(entry.lengths) // 4) for entry in entries if entry.key not in but]
    return {number for start, count in spans for number in range(start, start + count)}


def _runs(group: list[tuple[BlockId, Page]], wanted: set[int]) -> Iterator[Run]:
    """Turn wanted blocks (numbered through the group) into runs of about RUN_BYTES, none across two pages."""
    start = 0
    for page_id, page in group:
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


def _run(page_id: BlockId, page: Page, ids: list[BlockId], positions: list[int]) -> Run:
    return Run(page_id, positions, [ids[at] for at in positions], [page.block_lengths[at] for at in positions])


def _holdings(group: list[tuple[BlockId, Page]], missing: set[int]) -> dict[BlockId, PageHolding]:
    holdings, start = {}, 0
    for page_id, page in group:
        count = len(page.block_lengths)
        bits = bytearray((count + 7) // 8)
        for position in range(count):
            if start + position not in missing:
                bits[position >> 3] |= 0x80 >> (position & 7)
        holdings[page_id] = PageHolding(count, bytes(bits))
        start += count
    return holdings
