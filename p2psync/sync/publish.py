"""Publish: turn what the index says of the folder into pages, a root and a signed head."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from p2psync.blocks.block import block_id
from p2psync.ids import BlockId, DeviceId
from p2psync.keys import FolderKeys
from p2psync.manifest.entry import Entry
from p2psync.manifest.head import Head
from p2psync.manifest.page import iter_pages
from p2psync.manifest.repage import Repaging
from p2psync.manifest.tree import Manifest
from p2psync.manifest.version import bump
from p2psync.store.folder_state import FolderState
from p2psync.sync.heads import NewestHead

_NO_HEAD = bytes(32)
_PROVISIONAL_NOTE = "provisional"
"""The sequence number of the last provisional head."""
_INDEXED_NOTE = "indexed"
"""The root whose manifest says just what the index says; absent as soon as the index has moved on."""
_PAGES_A_TIME = 64
_FEW = 300
"""Entries read at a time where only a page or two is made: about a page."""
MOST_CHANGED_KEYS = 50_000
"""Changes that are kept in mind: with more of them, or after a crash, the manifest is made from the whole index."""


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
        noted = folder.database.note(_INDEXED_NOTE)
        self._indexed = BlockId(noted) if noted else None
        self._changed: set[bytes] = set()
        self._provisional: BlockId | None = None

    def note_changes(self, keys: Collection[bytes]) -> None:
        """Learn which entries the index is about to change, in the transaction that does it."""
        if self._indexed is None or not keys:
            return
        self._database.drop_note(_INDEXED_NOTE)  # each time: the transaction before may have failed
        self._changed.update(keys)
        if len(self._changed) > MOST_CHANGED_KEYS:
            self._indexed = None
            self._changed.clear()

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
        holds = before is not None and before.seq > above_seq
        if before is not None and holds and before.root == self._indexed and not self._changed:
            return None
        manifest, root = self._build(checkpoint)
        if before is not None and holds and before.root == root:
            with self._database.transaction():
                self._remember(root)
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
            last = before.root if before else self._provisional
            self._pages.sweep([*self._blocks_of(last), root, *manifest.pages])
            self._remember(root)
        return Published(head, signed, manifest)

    def publish_provisional(self, now_ns: int, checkpoint: Callable[[], None] = lambda: None) -> Published:
        """Make a head of what the index has so far of a folder that never had one; it does not become the newest."""
        manifest, root = self._build(checkpoint)
        head = Head(
            folder=self._keys.folder,
            device=self._device,
            seq=self._database.number(_PROVISIONAL_NOTE) + 1,
            root=root,
            version=bump({}, self._device),
            previous=_NO_HEAD,
            time_ns=now_ns,
            provisional=True,
        )
        with self._database.transaction():
            self._database.set_note(_PROVISIONAL_NOTE, b"%d" % head.seq)
            self._pages.sweep([*self._blocks_of(self._provisional), root, *manifest.pages])
            self._remember(root)
        self._provisional = root
        return Published(head, head.signed(self._keys), manifest)

    def current(self) -> Published | None:
        """Return the newest head if its manifest is kept here."""
        head = self._newest.head
        data = self._pages.get([head.root]) if head else {}
        if head is None or not data:
            return None
        return Published(head, self._newest.signed, Manifest.parse_untrusted(data[head.root]))

    def _remember(self, root: BlockId) -> None:
        self._database.set_note(_INDEXED_NOTE, root)
        self._indexed = root
        self._changed.clear()

    def _build(self, checkpoint: Callable[[], None]) -> tuple[Manifest, BlockId]:
        manifest = self._build_on(checkpoint) or self._build_whole(checkpoint)
        data = manifest.encode()
        root = block_id(data)
        self._pages.put([(root, data)])
        return manifest, root

    def _build_on(self, checkpoint: Callable[[], None]) -> Manifest | None:
        """Make the manifest from the one that the index was like before its last changes, if that is known."""
        data = self._pages.get([self._indexed]) if self._indexed else {}
        if self._indexed is None or not data:
            return None

        def load(page: BlockId) -> bytes:
            checkpoint()
            return self._pages.one(page)

        repaging = Repaging(Manifest.parse_untrusted(data[self._indexed]), load, self._entries_from)
        with self._database.transaction():
            manifest = repaging.run(self._changed)
            self._pages.put(repaging.made.items())
        return manifest

    def _build_whole(self, checkpoint: Callable[[], None]) -> Manifest:
        ids: list[BlockId] = []
        firsts: list[bytes] = []
        made: list[tuple[BlockId, bytes]] = []
        files, size_bytes = self._index.totals()
        for first, data in iter_pages(file.entry for file in self._index.iter_files()):
            checkpoint()
            firsts.append(first)
            ids.append(block_id(data))
            made.append((ids[-1], data))
            if len(made) >= _PAGES_A_TIME:  # one by one would be slow, all in one would keep others from the index
                self._put(made)
        self._put(made)
        return Manifest(tuple(ids), tuple(firsts), files, size_bytes)

    def _put(self, made: list[tuple[BlockId, bytes]]) -> None:
        with self._database.transaction():
            self._pages.put(made)
        made.clear()

    def _entries_from(self, first: bytes) -> Iterator[Entry]:
        return (file.entry for file in self._index.iter_files(first, batch=_FEW))

    def _blocks_of(self, root: BlockId | None) -> list[BlockId]:
        data = self._pages.get([root]) if root else {}
        return [root, *Manifest.parse_untrusted(data[root]).pages] if root and data else []
