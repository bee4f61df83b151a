"""The loop of a folder that is shared from here: scan, publish, wait for a change."""

from collections.abc import Callable

import trio

from p2psync.ids import DeviceId
from p2psync.keys import FolderKeys
from p2psync.manifest.entry import split_key
from p2psync.manifest.head import Head
from p2psync.manifest.version import DEVICE_PREFIX_BYTES, bump, encode_version, parse_version
from p2psync.store.folder_state import FolderState
from p2psync.sync.descriptors import DescriptorWait
from p2psync.sync.events import Activity, FolderEvent, FolderProgress, LeftOut, PublishedHead, Remark
from p2psync.sync.exchange import HeadExchange
from p2psync.sync.heads import NewestHead
from p2psync.sync.provisional import FIRST_S, ShowTimes
from p2psync.sync.publish import HeadWriter, Published
from p2psync.sync.scan import scan_folder
from p2psync.sync.scan_policy import ScanPolicy, ScanReport
from p2psync.sync.watch import Watcher, clock_ns

UNSETTLED_S = 1.0
"""How soon to look again at a file that was being written to."""
_STALE_PAUSE_S = 0.5
"""Least time between two scans, so that a file that is always being written to does not keep the disk busy."""


class Publisher:
    """Publishes one folder.

    Args:
        folder: The folder.
        keys: Keys of a writer.
        device: Who we are.
        newest: The newest head.
        exchange: Takes our heads.
        tell: Told of every head, and what else the user should see.

    Attributes:
        progress: Where it stands.
        show_after_s: How long the first scan of a folder must last for what it has found so far to be offered.
    """

    def __init__(
        self,
        folder: FolderState,
        keys: FolderKeys,
        device: DeviceId,
        newest: NewestHead,
        exchange: HeadExchange,
        tell: Callable[[FolderEvent], None],
    ) -> None:
        self.progress = FolderProgress()
        self._folder = folder
        self._keys = keys
        self._device = device
        self._exchange = exchange
        self._newest = newest
        self._tell = tell
        self._writer = HeadWriter(folder, keys, device, newest)
        self._watcher = Watcher(folder.root, folder.index.directories, lambda sentence: tell(Remark(sentence)))
        self._descriptors = DescriptorWait(tell)
        self._seq_seen = 0
        self._is_shown = False
        self.show_after_s = FIRST_S

    async def run(self) -> None:
        """Publish the folder as it is, then after every change, until cancelled."""
        token = trio.lowlevel.current_trio_token()
        self._folder.store.on_stale = lambda key: token.run_sync_soon(self._watcher.poke, {split_key(key)[0]})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watcher.run)
            nursery.start_soon(self._follow_seq)
            report = await self._scan_and_publish(None, first=True)
            await self._watcher.watch_anew()
            while True:
                self.progress.activity = Activity.SERVING
                dirty = await self._watcher.wait_change(at_most_s=UNSETTLED_S if report.unsettled else None)
                if dirty is not None:
                    dirty |= report.unsettled
                report = await self._scan_and_publish(dirty, first=False)
                await self._watcher.watch_anew()
                await trio.sleep(_STALE_PAUSE_S)

    async def _follow_seq(self) -> None:
        """Go above any head of ours that is newer than what we remember, as after a restore from a backup."""
        while True:
            head = Head.parse_untrusted(await self._exchange.next_head(), self._keys)
            if not head.provisional:
                self._seq_seen = max(self._seq_seen, head.seq)
                self._watcher.poke(())

    async def _scan_and_publish(self, only: set[bytes] | None, *, first: bool) -> ScanReport:
        self.progress.activity = Activity.SCANNING
        began = trio.current_time()
        report = await trio.to_thread.run_sync(self._scan, only)
        if only is None:
            self._watcher.scanned(trio.current_time() - began)
        if report.problems:
            self._tell(LeftOut(tuple(report.problems)))
        above = self._seq_seen
        published = await trio.to_thread.run_sync(
            self._writer.publish, clock_ns(), above, trio.from_thread.check_cancelled
        )
        is_new = published is not None
        if published is None and first:
            published = self._writer.current()
        if published is not None:
            self._exchange.publish(published.signed, published.head.root, complete=True)
            self.progress.done_bytes = self.progress.total_bytes = published.manifest.size_bytes
            self._tell(_published_event(published, is_new=is_new))
        return report

    def _scan(self, only: set[bytes] | None) -> ScanReport:
        newest = self._newest.head
        prefix = self._device[:DEVICE_PREFIX_BYTES]
        count = bump(newest.version if newest else {}, self._device)[prefix]

        def version_of(before: bytes) -> bytes:
            return encode_version(parse_version(before) | {prefix: count})

        times = ShowTimes(clock_ns() / 1e9, self.show_after_s)
        is_first = newest is None

        def is_due() -> bool:
            # With the first the user gets the link; all others are of use only to peers.
            is_wanted = is_first and (not self._is_shown or self._exchange.has_peers)
            return is_wanted and times.is_due(clock_ns() / 1e9)

        policy = ScanPolicy(
            gear_seed=self._keys.gear_seed,
            version_of=version_of,
            keeps_tombstones=True,
            forgets_unreadable=False,
            cut_hint=lambda key: None,
            now_ns=clock_ns,
            checkpoint=trio.from_thread.check_cancelled,
            on_changes=self._writer.note_changes,
            is_due=is_due,
            show=self._show_so_far,
            wait_descriptor=self._descriptors.wait,
        )
        return scan_folder(self._folder, policy, self._note_scan, only)

    def _show_so_far(self) -> None:
        """Offer what the first scan of the folder has found by now."""
        published = self._writer.publish_provisional(clock_ns(), trio.from_thread.check_cancelled)
        trio.from_thread.run_sync(self._offer_so_far, published)

    def _offer_so_far(self, published: Published) -> None:
        self._is_shown = True
        self._exchange.publish(published.signed, published.head.root, complete=True, provisional=True)
        self._tell(
            PublishedHead(
                root=published.head.root,
                seq=published.head.seq,
                files=published.manifest.files,
                size_bytes=published.manifest.size_bytes,
                is_new=True,
                provisional=True,
            )
        )

    def _note_scan(self, report: ScanReport) -> None:
        self.progress.scanned_files, self.progress.scanned_bytes = report.files, report.hashed_bytes


def _published_event(published: Published, *, is_new: bool) -> PublishedHead:
    return PublishedHead(
        root=published.head.root,
        seq=published.head.seq,
        files=published.manifest.files,
        size_bytes=published.manifest.size_bytes,
        is_new=is_new,
    )
