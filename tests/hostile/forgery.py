"""Folders as raw peers serve them: copied from a real share, or made up and signed with the real write key."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import bencodepy
from blake3 import blake3

from p2psync.ids import BlockId, DeviceId
from p2psync.keys import FolderKeys, Role
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.head import Head
from p2psync.manifest.page import encode_page
from p2psync.manifest.tree import Manifest
from p2psync.sharelink import ShareLink
from tests.hostile.raw_link import BLOCKS, HEAD, MISSING, PART, WANT, RawLink, block_frames, dial, split_ids

NOW_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class Version:
    """All that a peer needs to serve one version of a folder."""

    head: bytes
    root: bytes
    blocks: Mapping[bytes, bytes]

    @property
    def pages(self) -> list[bytes]:
        return split_ids(bencodepy.decode(self.blocks[self.root])[b"pages"])

    @property
    def file_blocks(self) -> list[bytes]:
        """Ids of blocks of files alone, in the manifest's order."""
        return [id_ for page in self.pages for id_ in split_ids(bencodepy.decode(self.blocks[page])[b"ids"])]

    def with_block(self, id_: bytes, data: bytes) -> "Version":
        """Return the same with other bytes under an id."""
        return self.with_blocks({id_: data})

    def with_blocks(self, blocks: Mapping[bytes, bytes]) -> "Version":
        """Return the same with more blocks, or others under the same ids."""
        return replace(self, blocks={**self.blocks, **blocks})


def id_of(data: bytes) -> BlockId:
    return BlockId(blake3(data).digest())


def code_for(keys: FolderKeys) -> str:
    """Return the read link without a hint on where to look."""
    return str(ShareLink(keys.limited_to(Role.READ)))


def copy_of(address: str, keys: FolderKeys) -> Version:
    """Fetch everything that a real share serves, as a raw peer."""
    blocks: dict[bytes, bytes] = {}
    with dial(address, keys) as link:
        link.greet(accepted=False)
        head = link.read_until(HEAD)
        root = bencodepy.decode(bencodepy.decode(head)[b"head"])[b"root"]
        version = Version(head, root, blocks)
        for ids in ([root], lambda: version.pages, lambda: version.file_blocks):
            _fetch(link, ids() if callable(ids) else ids, blocks)
    return version


def _fetch(link: RawLink, ids: Sequence[bytes], blocks: dict[bytes, bytes]) -> None:
    wanted = dict.fromkeys(ids)
    link.send(WANT, b"".join(wanted))
    part = b""
    while wanted:
        kind, body = link.read() or (MISSING, b"the stream ended")
        assert kind != MISSING, body
        if kind == PART:
            id_, total, offset = struct.unpack_from(">32sII", body)
            assert offset == (len(part) if offset else 0)
            part = (part if offset else b"") + body[40:]
            if len(part) == total:
                blocks[id_] = part
                del wanted[id_]
        elif kind == BLOCKS:
            for id_, data in _cut_blocks(body):
                blocks[id_] = data
                del wanted[id_]


def _cut_blocks(body: bytes) -> list[tuple[bytes, bytes]]:
    (count,) = struct.unpack_from(">I", body)
    at, blocks = 4 + 36 * count, []
    for id_, length in struct.iter_unpack(">32sI", body[4:at]):
        blocks.append((id_, body[at : at + length]))
        at += length
    return blocks


# --- made up ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """An entry with the bytes of its blocks."""

    entry: Entry
    contents: tuple[bytes, ...] = ()


def file(path: bytes, *contents: bytes, **changes: object) -> Made:
    """Return a file of one block per item of `contents`; `changes` replace fields of its entry."""
    entry = _entry(path, Kind.FILE)._replace(
        mode=0o644,
        ids=b"".join(map(id_of, contents)),
        lengths=b"".join(struct.pack(">I", len(content)) for content in contents),
    )
    return Made(entry._replace(**changes), contents)


def directory(path: bytes, **changes: object) -> Made:
    return Made(_entry(path, Kind.DIRECTORY)._replace(mode=0o755)._replace(**changes))


def symlink(path: bytes, target: bytes, **changes: object) -> Made:
    return Made(_entry(path, Kind.SYMLINK)._replace(target=target)._replace(**changes))


def _entry(path: bytes, kind: Kind) -> Entry:
    parent, _, name = path.rpartition(b"/")
    return Entry(parent, name, kind, mtime_ns=NOW_NS)


def provisional(version: Version, keys: FolderKeys, *, seq: int = 1) -> Version:
    """Return the same under a provisional head."""
    return replace(version, head=forge_head(keys, version.root, seq=seq, provisional=True))


def forge(keys: FolderKeys, made: Sequence[Made], *, seq: int = 1) -> Version:
    """Sign a folder of these entries, whatever they are."""
    made = sorted(made, key=lambda one: one.entry.key)
    page = encode_page([one.entry for one in made])
    blocks = {id_of(content): content for one in made for content in one.contents}
    return forge_pages(keys, [(made[0].entry.key, page)], blocks, seq=seq)


def forge_pages(
    keys: FolderKeys, pages: Sequence[tuple[bytes, bytes]], blocks: Mapping[bytes, bytes], *, seq: int = 1
) -> Version:
    """Sign a folder of these pages (first key, bytes), whatever they are."""
    ids = [id_of(page) for _, page in pages]
    root = Manifest(tuple(ids), tuple(first for first, _ in pages), files=1, size_bytes=1).encode()
    everything = {**blocks, **{id_of(page): page for _, page in pages}}
    return forge_root(keys, root, everything, seq=seq)


def forge_root(keys: FolderKeys, root: bytes, blocks: Mapping[bytes, bytes], *, seq: int = 1) -> Version:
    """Sign a folder whose root is these bytes, whatever they are."""
    head = forge_head(keys, id_of(root), seq=seq)
    return Version(head, id_of(root), {**blocks, id_of(root): root})


def forge_head(
    keys: FolderKeys, root: bytes, *, seq: int = 1, signer: FolderKeys | None = None, provisional: bool = False
) -> bytes:
    device = DeviceId(bytes(32))
    version = {device[:8]: seq}
    head = Head(keys.folder, device, seq, BlockId(root), version, bytes(32), NOW_NS, provisional)
    return head.signed(signer or keys)


# --- served -----------------------------------------------------------------------------------------------------------


def offer(link: RawLink, version: Version, *, accepted: bool = True) -> None:
    """Greet, and claim to hold all of a version."""
    link.greet(accepted=accepted)
    link.send(HEAD, version.head)
    link.have(complete=version.root)


def wants(link: RawLink):
    """Yield each id that is wanted, for as long as the link lives."""
    while True:
        yield from split_ids(link.read_until(WANT))


def serve(link: RawLink, version: Version) -> None:
    """Answer every WANT with what the version says, or MISSING."""
    for id_ in wants(link):
        if id_ in version.blocks:
            link.send_raw(block_frames(id_, version.blocks[id_]))
        else:
            link.send(MISSING, id_)


def honest(version: Version):
    """Return the script of a peer that does all right."""

    def script(link: RawLink) -> None:
        offer(link, version)
        serve(link, version)

    return script
