"""Manifests as no folder would give them, signed as they should be."""

import struct

from p2psync.blocks.block import block_id
from p2psync.ids import BlockId
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.head import Head
from p2psync.manifest.page import encode_page
from p2psync.manifest.tree import Manifest
from p2psync.store.memory import MemoryStore
from tests.unit.sync.direct_swarm import DirectSwarm
from tests.unit.sync.folders import DEVICE, KEYS


class Author:
    """Publishes whatever it is told to."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.swarm = DirectSwarm(self.store)
        self._seq = 0

    def keep(self, data: bytes):
        block = block_id(data)
        self.store.write([(block, data)])
        return block

    def file(self, parent: bytes, name: bytes, *blocks: bytes, lengths: list[int] | None = None, mode: int = 0o644):
        ids = b"".join(self.keep(data) for data in blocks)
        packed = struct.pack(f">{len(blocks)}I", *(lengths or map(len, blocks)))
        return Entry(parent, name, Kind.FILE, 10**18, mode, 16, ids, packed)

    def publish(self, *pages: list[Entry], firsts: list[bytes] | None = None) -> BlockId:
        ids = [self.keep(encode_page(page)) for page in pages]
        keys = firsts or [page[0].key for page in pages]
        root = self.keep(Manifest(tuple(ids), tuple(keys), 1, 1).encode())
        self._seq += 1
        head = Head(KEYS.folder, DEVICE, self._seq, root, {DEVICE[:8]: self._seq}, bytes(32), 0)
        self.swarm.publish(head.signed(KEYS), root, complete=True)
        return root


def directory(parent: bytes, name: bytes) -> Entry:
    return Entry(parent, name, Kind.DIRECTORY, 10**18, 0o755)


def link(parent: bytes, name: bytes, target: bytes) -> Entry:
    return Entry(parent, name, Kind.SYMLINK, 10**18, 0o777, target=target)


def in_order(*entries: Entry) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.key)
