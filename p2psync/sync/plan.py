"""Plan: go through a manifest page by page, do what needs no fetching, and say which blocks are wanted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from p2psync.blocks.block import block_id
from p2psync.blocks.need import PageHolding, Run
from p2psync.chunking import largest_chunk
from p2psync.errors import PathError
from p2psync.ids import BLOCK_ID_BYTES, BlockId
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.tree import Manifest
from p2psync.store.folder_state import FolderState
from p2psync.store.local_file import LocalFile
from p2psync.store.staged_file import StagedFile
from p2psync.sync.apply import FolderWriter
from p2psync.sync.asked import AskedPath, KeySpans, Span, overlaps, within
from p2psync.sync.choice import NOTHING, PathChoice
from p2psync.sync.cuts import CutHints
from p2psync.sync.page_groups import PageGroup, PageGroups
from p2psync.sync.paths import PathGate
from p2psync.sync.reconcile import Decision, Step, reconcile
from p2psync.sync.settled import SettledGroups

MOVED_BYTES = 1 << 20
"""From here on a file that was renamed is renamed here too; copying a smaller one costs no more than finding out."""
SPARSE_BYTES = 64 << 10
"""In smaller files zeros are not looked for: they are many, and it would spare little."""
_EVERYTHING: Sequence[Span] = [(b"", None)]
_RUNS_A_STEP = 256
"""So much of what is asked for is handed out at a time: the most of one huge file need not be told at once."""
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


@dataclass(frozen=True, slots=True)
class _Pass:
    """One way through some of the manifest.

    Attributes:
        gate: Refuses paths.
        spans: Of which keys it plans what it is to plan.
        early: Only what comes first is planned, or only the rest; None: both.
        tells: Paths that are refused are told of; each is by one pass.
    """

    gate: PathGate
    spans: Sequence[Span]
    early: bool | None
    tells: bool


class Planner:
    """Plans one pull of one manifest; blocking, for one thread at a time.

    Args:
        manifest: Where the folder is to get to; its pages are all kept here.
        folder: The folder.
        writer: Makes what needs no blocks.
        gate: Refuses paths.
        checkpoint: Called for every page; may raise to give up.

    Attributes:
        totals: What it has come to so far.
        first: Which files are planned, and so fetched, before all others.
        settled: What is passed over, as nothing would be done about it.
        may_move: Whether a file that the manifest has no more may be moved to where it now has its content.
    """

    def __init__(
        self,
        manifest: Manifest,
        folder: FolderState,
        writer: FolderWriter,
        gate: PathGate,
        checkpoint: Callable[[], None],
    ) -> None:
        self.totals = PlanTotals()
        self.groups = PageGroups(manifest, folder.pages)
        self._folder = folder
        self._staging = folder.staging
        self._writer = writer
        self._gate = gate
        self._checkpoint = checkpoint
        self.first: PathChoice = NOTHING
        self.settled = SettledGroups()
        self._planned = {True: KeySpans(), False: KeySpans()}
        self._is_hurried = False
        self._listed = CutHints(manifest, folder.pages)
        self.may_move = True

    def passes(self) -> Iterator[Iterator[GroupPlan]]:
        """Plan the manifest: once, or once for what comes first and once for the rest. Each plan is to be used up.

        Raises:
            RemoteProtocolError: A page breaks the format, or is not the one that the root promises.
            StoreError: The disk failed or is full.
        """
        if self.first:
            yield self._plan(_Pass(PathGate(folds=self._gate.folds), _EVERYTHING, early=True, tells=False))
        yield self._plan(_Pass(self._gate, _EVERYTHING, early=False, tells=True))

    def hurry(self, asked: AskedPath, kind: Kind) -> Iterator[GroupPlan]:
        """Plan what is asked for, however far the passes are, and say all that is still to be fetched of it.

        Each step may come between two steps of a pass; what one has planned is left out by the other.
        """
        spans = [*asked.ancestors(), *asked.spans(kind)]
        # Of two names that the disk takes for one the first is made, so that all before must be looked at.
        looked_at = [(b"", spans[-1][1])] if self._gate.folds else spans
        way = _Pass(PathGate(folds=self._gate.folds), spans, early=None, tells=False)
        for group in self.groups_of(looked_at):
            for plan in self._plan_group(group, way):
                yield GroupPlan([], plan.holdings)
            runs = self._lacking_runs(group, asked.spans(kind), asked.offset)
            for at in range(0, len(runs), _RUNS_A_STEP):
                yield GroupPlan(runs[at : at + _RUNS_A_STEP], {})

    def lacks(self, group: PageGroup, spans: Sequence[Span]) -> Entry | None:
        """Return the first entry of some spans that is not in its place in the folder yet."""
        entries = [entry for entry in group.entries if within(spans, entry.key)]
        decisions = reconcile(entries, self._folder.index.files_between(group.first, group.end))
        return next((entry for step, entry, _ in decisions if step is Step.MAKE), None)

    def groups_of(self, spans: Sequence[Span]) -> Iterator[PageGroup]:
        """Yield the groups that some spans, in key order, lie in; each once."""
        last: bytes | None = b""
        for first, end in spans:
            for group in self.groups.between(first, end):
                if last is not None and (group.end is None or group.end > last):
                    last = group.end
                    self._checkpoint()
                    yield group

    def _plan(self, way: _Pass) -> Iterator[GroupPlan]:
        passed: dict[BlockId, PageHolding] = {}

        def pass_over(manifest: Manifest, at: int) -> int:
            group = self.settled.find(manifest, at) if self._is_plain(way) else None
            if group is None or not way.gate.admit_again(group.parents, group.directories):
                return 0
            self._note_planned(group.first, group.end, way)
            self.totals.right_bytes += group.size_bytes
            passed.update(group.holdings)
            return len(group.pages)

        for group in self.groups.but_for(pass_over):
            self._checkpoint()
            yield from self._plan_group(group, way)
        if passed:
            yield GroupPlan([], passed)

    def _is_plain(self, way: _Pass) -> bool:
        """Say whether a pass plans each path, and no other pass does."""
        return way.early is False and not self.first and not self._is_hurried

    def _plan_group(self, group: PageGroup, way: _Pass) -> Iterator[GroupPlan]:
        """Yield what must come from others, and once what is here has been copied, what that leaves."""
        self.settled.drop(group)
        admitted = [entry for entry in group.entries if self._admit(entry, way)]
        compared = reconcile(admitted, self._folder.index.files_between(group.first, group.end))
        decisions = [decision for decision in compared if self._is_due(decision.entry, way)]
        due = [entry for entry in admitted if self._is_due(entry, way)]
        self._note_planned(group.first, group.end, way)
        if self._is_plain(way) and len(admitted) == len(group.entries):
            self._note_settled(group, {decision.step for decision in decisions})
        made = [entry for step, entry, _ in decisions if step is Step.MAKE and entry and entry.kind is not Kind.FILE]
        self._writer.make(made)
        to_begin: list[Entry] = []
        for decision in decisions:
            to_begin += self._carry_out(decision)
        begun, awaited = self._begin(to_begin, group.starts)
        self._writer.flush()
        at_hand = self._at_hand(awaited)
        if at_hand:
            elsewhere = {number for number in awaited if number not in at_hand}
            yield GroupPlan(list(group.runs(elsewhere)), group.holdings(_lacking(group, due, to_begin, begun)))
            self._reuse(at_hand, group.lengths)
            awaited = at_hand
        yield GroupPlan(list(group.runs(set(awaited))), group.holdings(_lacking(group, due, to_begin, begun)))

    def _lacking_runs(self, group: PageGroup, spans: Sequence[Span], offset: int) -> list[Run]:
        """Return what staged files wait for and cannot be copied: of each from `offset` on, then what is before it."""
        sought = {entry.key for entry in group.entries if within(spans, entry.key)}
        waits: dict[int, BlockId] = {}
        before: set[int] = set()
        for file in self._staging.active_at(sought):
            start = group.starts[file.entry.key]
            waits.update((start + slot, block) for slot, block in file.missing_blocks())
            before.update(start + slot for slot, _ in file.missing_blocks() if file.offsets[slot + 1] <= offset)
        at_hand = self._at_hand(waits)
        elsewhere = {number for number in waits if number not in at_hand}
        self._reuse(at_hand, group.lengths)
        wanted = elsewhere | set(at_hand)
        return [*group.runs(wanted - before), *group.runs(wanted & before)]

    def _is_due(self, entry: Entry | None, way: _Pass) -> bool:
        """Say whether a path is planned in a pass: directories in every one, as files need them."""
        if self._is_plain(way):
            return True
        if entry is None:
            return way.early is False
        if entry.kind is Kind.DIRECTORY:
            return within(way.spans, entry.key)
        early = bool(self.first) and self.first.holds(entry.path)
        return within(way.spans, entry.key) and way.early in (early, None) and not self._planned[early].holds(entry.key)

    def _note_planned(self, first: bytes, end: bytes | None, way: _Pass) -> None:
        self._is_hurried = self._is_hurried or way.early is None
        for span in overlaps(way.spans, first, end):
            for early in (True, False) if way.early is None else (way.early,):
                self._planned[early].add(*span)

    def _note_settled(self, group: PageGroup, steps: set[Step]) -> None:
        if steps <= {Step.KEEP, Step.ADOPT}:
            self.settled.add(group)
        elif not steps & {Step.REMOVE, Step.ADDITION}:
            self.settled.expect(group)

    def _admit(self, entry: Entry, way: _Pass) -> bool:
        if way.early is None and not (self._gate.folds or within(way.spans, entry.key)):
            return False
        try:
            way.gate.admit(entry)
        except PathError as problem:
            if entry.kind is not Kind.TOMBSTONE and way.tells:
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
        self, entries: list[Entry], starts: Mapping[bytes, int]
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
            wanted = file.missing_blocks()
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
                self._staging.filled(file, local.fingerprint)
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
                    if size is not None:
                        self.totals.reused_bytes += size
                        del waits[number]
        finally:
            pool.shutdown(cancel_futures=True)

    def _copy(self, blocks: Sequence[BlockId]) -> list[int | None]:
        """Write blocks that stand elsewhere in the folder.

        Returns the size of each, None where it is gone, 0 where it came meanwhile.
        """
        sizes: list[int | None] = []
        for block, data in zip(blocks, self._folder.store.read(blocks), strict=True):
            sizes.append(None if data is None else len(data) if self._staging.write(block, data) else 0)
        return sizes


def _lacking(
    group: PageGroup, due: list[Entry], to_begin: list[Entry], begun: Sequence[tuple[int, StagedFile]]
) -> set[int]:
    """Return the numbers of the blocks of a group that are not held at present, as far as is known."""
    missing = {start + slot for start, file in begun for slot in file.missing_slots()}
    if len(begun) < len(to_begin):
        missing |= group.numbers_of(to_begin, {file.entry.key for _, file in begun})
    if len(due) < len(group.entries):
        missing |= group.numbers_of(group.entries, {entry.key for entry in due})
    return missing


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
