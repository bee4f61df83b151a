"""Publish: turn what the index says of the folder into pages, a root and a signed head."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from p2psync.blocks.block import block_id
from p2psync.ids import BlockId, DeviceId
from p2psync.keys import FolderKeys
from p2psync.manifest.entry import Entry
from p2psync.manifest.head import Head
from p2psync.manifest.page import iter_pages
from p2psync.manifest.tree import Manifest
from p2psync.manifest.version import bump
from p2psync.store.folder_state import FolderState
from p2psync.sync.heads import NewestHead

_NO_HEAD = bytes(32)


@dataclass(frozen=True, slots=True)
class Published:
    """A manifest that is kept here, and the head that names it."""

    head: Head
    signed: bytes
    manifest: Manifest


class HeadWriter:
    """Makes the heads of a folder whose write key is here.

    Args:
        folder: The folder.
        keys: Keys of a writer.
        device: Who we are.
        newest: The newest head; moved on by `publish`.
    """

    def __init__(self, folder: FolderState, keys: FolderKeys, device: DeviceId, newest: NewestHead) -> None:
        self._database = folder.database
        self._index = folder.index
        self._pages = folder.pages
        self._keys = keys
        self._device = device
        self._newest = newest

    def publish(
        self, now_ns: int, above_seq: int = 0, checkpoint: Callable[[], None] = lambda: None
    ) -> Published | None:
        """Make the next head, if the folder's manifest is not the newest head's, or that must be above `above_seq`.

        Args:
            now_ns: The time of day, nanoseconds since 1970.
            above_seq: The highest sequence number that is known to be taken.
            checkpoint: Called for every page; may raise to give up, and then nothing has changed.

        Returns:
            The new head, or None where the one there still holds.
        """
        before = self._newest.head
        manifest, root = self._build(checkpoint)
        if before is not None and before.root == root and before.seq > above_seq:
            return None
        head = Head(
            folder=self._keys.folder,
            device=self._device,
            seq=max(before.seq if before else 0, above_seq) + 1,
            root=root,
            version=bump(before.version if before else {}, self._device),
            previous=block_id(self._newest.signed) if before else _NO_HEAD,
            time_ns=now_ns,
        )
        signed = head.signed(self._keys)
        with self._database.transaction():
            self._newest.adopt(head, signed)
            # The version before stays, for peers that are in the middle of it.
            self._pages.sweep([*self._blocks_of(before.root if before else None), root, *manifest.pages])
        return Published(head, signed, manifest)

    def current(self) -> Published | None:
        """Return the newest head if its manifest is kept here."""
        head = self._newest.head
        data = self._pages.get([head.root]) if head else {}
        if head is None or not data:
            return None
        return Published(head, self._newest.signed, Manifest.parse_untrusted(data[head.root]))

    def _build(self, checkpoint: Callable[[], None]) -> tuple[Manifest, BlockId]:
        ids: list[BlockId] = []
        firsts: list[bytes] = []
        files, size_bytes = self._index.totals()
        with self._database.transaction():
            for first, data in iter_pages(self._entries()):
                checkpoint()
                firsts.append(first)
                ids.append(block_id(data))
                self._pages.put([(ids[-1], data)])
            manifest = Manifest(tuple(ids), tuple(firsts), files, size_bytes)
            data = manifest.encode()
            self._pages.put([(block_id(data), data)])
        return manifest, block_id(data)

    def _entries(self) -> Iterator[Entry]:
        return (file.entry for file in self._index.iter_files())

    def _blocks_of(self, root: BlockId | None) -> list[BlockId]:
        data = self._pages.get([root]) if root else {}
        return [root, *Manifest.parse_untrusted(data[root]).pages] if root and data else []
