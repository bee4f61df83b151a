"""The loop of a folder that follows somebody else's: learn of a head, plan, fetch, apply."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import strftime

import trio

from p2psync.errors import PathError, StoreError
from p2psync.ids import BlockId
from p2psync.keys import FolderKeys
from p2psync.manifest.entry import Kind
from p2psync.manifest.head import Head, Standing
from p2psync.manifest.tree import Manifest
from p2psync.store.folder_state import FolderState
from p2psync.sync.apply import FolderWriter
from p2psync.sync.asked import AskedPath
from p2psync.sync.asks import Ask, Asks
from p2psync.sync.choice import NOTHING, PathChoice
from p2psync.sync.conclude import conclude, leave_off, place_batch
from p2psync.sync.cuts import CutHints
from p2psync.sync.descriptors import DescriptorWait
from p2psync.sync.events import Activity, FolderEvent, FolderProgress, Matched
from p2psync.sync.exchange import Swarm
from p2psync.sync.folding import folds_names
from p2psync.sync.heads import NewestHead
from p2psync.sync.page_groups import PageGroups
from p2psync.sync.paths import PathGate
from p2psync.sync.plan import Planner
from p2psync.sync.respell import respell
from p2psync.sync.run_source import RunSource
from p2psync.sync.scan import scan_folder
from p2psync.sync.scan_policy import ScanPolicy, ScanReport
from p2psync.sync.settled import SettledGroups
from p2psync.sync.watch import clock_ns

PAGE_BATCH = 256
"""Pages asked for at a time: some MiB."""
PLACE_INTERVAL_S = 0.2
"""Time between looks for files that are complete: what a small file waits at most before it is in its place."""
LOOK_S = 2.0
"""Whoever asks for a path is told how much is there, unless the folder's files are being copied for so long."""
CHECKPOINT_S = 1.0
"""Time between notes of what has been written: what a crash may cost in transfer."""
SCAN_STANDS_S = 60.0
"""So old may be what is known of the folder's own files if no head has been reached since they were looked at."""


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How a folder is brought to a head.

    Attributes:
        exact: What the manifest does not know is moved to the versions directory.
        first: Files that are fetched before all others.
        in_order: Blocks are asked for in the order of paths, and within a file from its start; else rarest first.
    """

    exact: bool = False
    first: PathChoice = NOTHING
    in_order: bool = False


PLAINLY = PullOptions()


class Follower:
    """Brings one folder to the newest head, and keeps it there.

    Args:
        folder: The folder.
        keys: Keys of a reader.
        newest: The newest head.
        swarm: Gives heads and blocks.
        tell: Told every time the folder has been brought to a head.
        options: What the user asked for.
    """

    def __init__(
        self,
        folder: FolderState,
        keys: FolderKeys,
        newest: NewestHead,
        swarm: Swarm,
        tell: Callable[[FolderEvent], None],
        options: PullOptions = PLAINLY,
    ) -> None:
        self.progress = FolderProgress()
        self._folder = folder
        self._keys = keys
        self._swarm = swarm
        self._newest = newest
        self._tell = tell
        self._options = options
        self._pull_scope = trio.CancelScope()
        self._newer = trio.Event()
        self._is_superseded = False
        self._scanned_at = -math.inf  # for the head that is being gone to, or one before it that was not reached
        self._writer_lock = trio.Lock()
        self._folds = False
        self._listed: PageGroups | None = None
        self._settled = SettledGroups()
        self._problems: list[PathError] = []
        self._asks = Asks(folder)
        self._descriptors = DescriptorWait(tell)
        self._matched_at_bytes = folder.store.received_bytes
        self._displaced = 0

    async def ask(self, what: AskedPath, *, waits: bool) -> Ask:
        """Have a path before all others, from now on until it is there; `waits` says that its `wait` will be called.

        Raises:
            ConfigError: The folder has no such path.
        """
        ask = self._asks.add(what, waits=waits)
        listed = self._listed
        if listed is not None:
            await self._asks.resolve(listed, [ask], more_to_come=self.progress.provisional)
        if self.progress.activity is Activity.MATCHED:
            self._asks.settle(self._problems)
        elif listed is self._listed:
            self._asks.known(ask)
        with trio.move_on_after(LOOK_S):  # else as it was found to be at the next look
            async with self._writer_lock:
                await trio.to_thread.run_sync(self._asks.look)
        self._asks.close_settled()
        if ask.problem is not None:
            raise ask.problem
        return ask

    async def run(self, *, after_hearing: bool = False) -> None:
        """Follow until cancelled.

        Args:
            after_hearing: Whether to wait for a peer's head before bringing the folder to the newest one known.

        Raises:
            StoreError: The disk failed or is full; what was right stays right.
            RemoteProtocolError: The writer published something that is no manifest.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_heads)
            if after_hearing:
                await self._offer_known()
                await self._newest.heard.wait()
            if self._newest.head is not None:
                self._newer.set()
            while True:
                head = self._newest.head
                self.progress.activity = Activity.WAITING if head is None or head.provisional else Activity.MATCHED
                await self._newer.wait()
                self._newer = trio.Event()
                self._is_superseded = False
                with trio.CancelScope() as self._pull_scope:
                    await self._pull()

    async def _offer_known(self) -> None:
        """Offer the head that is known: a writer that has forgotten it, its index being lost, then goes above it."""
        head = self._newest.head
        if head is not None and not head.provisional and await trio.to_thread.run_sync(self._has_pages, head.root):
            self._swarm.publish(self._newest.signed, head.root, complete=False)

    def _has_pages(self, root: BlockId) -> bool:
        data = self._folder.pages.get([root]).get(root)
        if data is None:
            return False
        pages = Manifest.parse_untrusted(data).pages
        return self._folder.pages.held(pages).issuperset(pages)

    async def _follow_heads(self) -> None:
        while True:
            signed = await self._swarm.next_head()
            standing, head = self._newest.judge(signed)
            if standing is Standing.NEWER:
                before = self._newest.head
                same_root = before is not None and before.root == head.root
                await trio.to_thread.run_sync(self._newest.adopt, head, signed)
                self._newer.set()
                # What a provisional one says is right goes on being right: no need to begin anew for more of it.
                if not same_root and not head.provisional:
                    self._supersede()
                self._newest.heard.set()

    def _supersede(self) -> None:
        """Leave the head that is being gone to, of which peers may hold no more what is lacking; but finish a step."""
        self._is_superseded = True
        if self.progress.activity in (Activity.MANIFEST, Activity.FETCHING):
            self._pull_scope.cancel()

    async def _pull(self) -> None:
        head, signed = self._newest.head, self._newest.signed
        if head is None:
            return
        self.progress.activity = Activity.MANIFEST
        self.progress.provisional = head.provisional
        self._listed = None
        manifest = await self._fetch_manifest(head.root)
        self._listed = PageGroups(manifest, self._folder.pages)
        await self._asks.resolve(self._listed, more_to_come=head.provisional)
        self.progress.total_bytes = manifest.size_bytes
        self._swarm.publish(signed, head.root, complete=False, provisional=head.provisional)
        # Fetched for a head that was never matched: one that was provisional, or soon followed by another.
        early_bytes = self._folder.store.received_bytes - self._matched_at_bytes
        if self._folds:
            self._scanned_at = -math.inf
        await trio.to_thread.run_sync(self._place_late)
        while trio.current_time() - self._scanned_at > SCAN_STANDS_S:
            self.progress.activity = Activity.SCANNING
            await trio.to_thread.run_sync(self._scan, manifest)
            self._scanned_at = trio.current_time()
            if self._is_superseded:
                return
            await trio.to_thread.run_sync(self._place_late)
        matched = await self._make(head, manifest, early_bytes)
        if matched is None:
            return
        await trio.to_thread.run_sync(self._sweep, head.root, manifest)
        if not matched.problems:
            self._swarm.complete(head.root)
        self._scanned_at = -math.inf
        if head.provisional:
            await trio.to_thread.run_sync(self._asks.look)
            self._asks.close_settled()
            return
        self._problems = list(matched.problems)
        self._asks.settle(self._problems)
        self.progress.activity = Activity.MATCHED
        self._matched_at_bytes = self._folder.store.received_bytes
        self._displaced = 0
        self._tell(matched)

    async def _make(self, head: Head, manifest: Manifest, early_bytes: int) -> Matched | None:
        """Have the folder match a manifest; return what that came to, None if it was left for a newer one."""
        with self._writing() as writer:
            with trio.CancelScope() as self._pull_scope:
                await trio.to_thread.run_sync(self._begin, manifest)
                if self._is_superseded:  # when there was nothing to cancel yet
                    return None
                planner = await self._fetch_files(head.root, manifest, writer)
            if self._pull_scope.cancelled_caught:  # most of it is as the next head has it, too
                await trio.to_thread.run_sync(leave_off, self._folder, writer)
                return None
            self.progress.activity = Activity.APPLYING
            additions = await trio.to_thread.run_sync(self._conclude, planner, writer)
        here_bytes = planner.totals.right_bytes + planner.totals.reused_bytes
        return Matched(
            root=head.root,
            files=manifest.files,
            size_bytes=manifest.size_bytes,
            reused_bytes=max(0, here_bytes - early_bytes),
            problems=tuple(writer.problems),
            additions=tuple(additions),
            displaced=self._displaced,
        )

    @contextmanager
    def _writing(self) -> Iterator[FolderWriter]:
        writer = FolderWriter(self._folder, strftime("%Y%m%d-%H%M%S"))
        try:
            yield writer
        finally:
            writer.close()
            self._displaced += writer.displaced
            if writer.in_doubt:
                self._scanned_at = -math.inf

    def _place_late(self) -> None:
        """Put in its place what came for a head after that had been left."""
        with self._writing() as writer:
            leave_off(self._folder, writer)

    async def _fetch_manifest(self, root: BlockId) -> Manifest:
        await self._fetch_pages([root], root)
        manifest = Manifest.parse_untrusted(self._folder.pages.one(root))
        held = await trio.to_thread.run_sync(self._folder.pages.held, manifest.pages)
        missing = [page for page in dict.fromkeys(manifest.pages) if page not in held]
        for at in range(0, len(missing), PAGE_BATCH):
            await self._fetch_pages(missing[at : at + PAGE_BATCH], root)
        return manifest

    async def _fetch_pages(self, ids: Sequence[BlockId], root: BlockId) -> None:
        held = self._folder.pages.held(ids)
        missing = [block for block in ids if block not in held]
        if missing:
            self._folder.store.await_pages(missing)
            await self._swarm.fetch(root, missing)

    def _scan(self, manifest: Manifest) -> None:
        policy = ScanPolicy(
            gear_seed=self._keys.gear_seed,
            version_of=lambda before: b"",
            keeps_tombstones=False,
            forgets_unreadable=True,
            cut_hint=CutHints(manifest, self._folder.pages).of,
            now_ns=clock_ns,
            checkpoint=trio.from_thread.check_cancelled,
            on_changes=lambda keys: self._settled.clear() if keys else None,
            wait_descriptor=self._descriptors.wait,
        )
        report = scan_folder(self._folder, policy, self._note_scan)
        self._folds = folds_names(self._folder.staging.handle)
        if self._folds and respell(manifest, self._folder):
            report = scan_folder(self._folder, policy, self._note_scan)
        if report.unmounted:  # what the folder holds there would be fetched into the empty directory below
            raise StoreError(str(report.unmounted[0]))

    def _note_scan(self, report: ScanReport) -> None:
        self.progress.scanned_files, self.progress.scanned_bytes = report.files, report.hashed_bytes

    async def _fetch_files(self, root: BlockId, manifest: Manifest, writer: FolderWriter) -> Planner:
        self.progress.activity = Activity.FETCHING
        gate = PathGate(folds=self._folds)
        planner = Planner(manifest, self._folder, writer, gate, trio.from_thread.check_cancelled)
        planner.first, planner.settled = self._options.first, self._settled
        planner.may_move = not self.progress.provisional  # what that one lacks may be yet to come
        already = self._folder.staging.written_bytes
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._place_files, planner, writer, already)
            await self._fetch_runs(root, planner)
            nursery.cancel_scope.cancel()
        return planner

    async def _fetch_runs(self, root: BlockId, planner: Planner) -> None:
        hold, keep = partial(self._swarm.hold, root), self._folder.staging.awaited

        async def fetch_asked(ask: Ask, kind: Kind) -> None:
            runs = RunSource(planner.hurry(ask.what, kind), hold, self._writer_lock, keep)
            await self._swarm.fetch_runs(root, runs, urgency=ask.urgency)

        async with trio.open_nursery() as nursery:
            self._asks.begin(planner, lambda ask, kind: nursery.start_soon(fetch_asked, ask, kind))
            try:
                for groups in planner.passes():
                    runs = RunSource(groups, hold, self._writer_lock, keep)
                    await self._swarm.fetch_runs(root, runs, in_order=self._options.in_order)
            finally:
                self._asks.end()

    async def _place_files(self, planner: Planner, writer: FolderWriter, already: int) -> None:
        last_checkpoint = trio.current_time()
        while True:
            await trio.sleep(PLACE_INTERVAL_S)
            async with self._writer_lock:
                await trio.to_thread.run_sync(place_batch, self._folder, writer)
                if self._asks:
                    await trio.to_thread.run_sync(self._asks.look)
                    self._asks.close_settled()
            if trio.current_time() - last_checkpoint >= CHECKPOINT_S:
                await trio.to_thread.run_sync(self._folder.staging.checkpoint)
                last_checkpoint = trio.current_time()
            written = self._folder.staging.written_bytes - already
            self.progress.done_bytes = min(planner.totals.right_bytes + written, self.progress.total_bytes)

    def _begin(self, manifest: Manifest) -> None:
        self._folder.staging.abandon(lambda key, ids: True)
        self._settled.begin(manifest)

    def _conclude(self, planner: Planner, writer: FolderWriter) -> list[bytes]:
        if self.progress.provisional:  # what it lacks may be yet to come
            leave_off(self._folder, writer)
            additions: list[bytes] = []
        else:
            additions = conclude(self._folder, planner, writer, exact=self._options.exact)
        self.progress.done_bytes = self.progress.total_bytes
        return additions

    def _sweep(self, root: BlockId, manifest: Manifest) -> None:
        with self._folder.database.transaction():
            self._folder.pages.sweep([root, *manifest.pages])
