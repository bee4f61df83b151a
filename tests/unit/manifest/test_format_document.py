"""The examples of FORMAT.md, read from the page: what it says is what we write and read."""

import hashlib
import re
import struct
from dataclasses import replace
from importlib.resources import files

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from xxhash import xxh3_64_intdigest

from p2psync.blocks.block import block_id
from p2psync.chunking import iter_chunk_lengths
from p2psync.ids import DeviceId, PeerAddress
from p2psync.keys import Role, keys_from_seed
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.head import Head
from p2psync.manifest.page import decode_page, iter_pages
from p2psync.manifest.tree import Manifest
from p2psync.manifest.version import encode_version, parse_version
from p2psync.sharelink import ShareLink, parse_link

DOCUMENT = (files("p2psync.manifest") / "FORMAT.md").read_text()
HEX = {name: bytes.fromhex(digits) for name, digits in re.findall(r"^```hex (\S+)\n(.*?)^```$", DOCUMENT, re.M | re.S)}
TEXT = dict(re.findall(r"^```text (\S+)\n(.*?)\n```$", DOCUMENT, re.M | re.S))

KEYS = keys_from_seed(HEX["seed"])
DEVICE = DeviceId(bytes.fromhex("d0d1d2d3d4d5d6d7").ljust(32, b"\0"))
FIRST, SECOND = (encode_version({DEVICE[:8]: count}) for count in (1, 2))
ENTRIES = [
    Entry(b"", b"dir", Kind.DIRECTORY, 1_700_000_000_000_000_000, 0o755, version=FIRST),
    Entry(b"", b"link", Kind.SYMLINK, 1_700_000_000_000_000_000, 0o777, target=b"dir/hello", version=FIRST),
    Entry(b"dir", b"gone", Kind.TOMBSTONE, version=SECOND),
    Entry(
        b"dir", b"hello", Kind.FILE, 1_700_000_000_123_456_789, 0o644, 16, HEX["block-id"], struct.pack(">I", 6), b"",
        FIRST,
    ),
]  # fmt: skip
MANIFEST = Manifest((HEX["page-id"],), (b"\0dir",), files=1, size_bytes=6)
HEAD = Head(KEYS.folder, DEVICE, 2, HEX["root-id"], {DEVICE[:8]: 2}, bytes(32), 1_700_000_001_000_000_000)


def test_the_document_has_the_examples_that_are_checked_here_and_no_others():
    keys = {"seed", "write-key", "folder", "read-key", "swarm-key", "info-hash", "ca-seed", "sni", "gear-seed"}
    blocks = {
        "block",
        "block-id",
        "page",
        "page-id",
        "root",
        "root-id",
        "head",
        "head-id",
        "version",
        "provisional-head",
    }
    assert set(HEX) == keys | blocks
    assert set(TEXT) == {"link-write", "link-read", "link-store", "link-full", "cuts"}
    assert DOCUMENT.count("```") == 2 * (len(HEX) + len(TEXT))


@pytest.mark.parametrize("name", ["block", "page", "root", "head"])
def test_ids(name):
    assert block_id(HEX[name]) == HEX[f"{name}-id"]


def test_keys():
    assert KEYS.folder == HEX["folder"]
    assert KEYS.read_key == HEX["read-key"]
    assert KEYS.swarm_key == HEX["swarm-key"]
    assert KEYS.info_hash == HEX["info-hash"]
    assert KEYS.ca_seed == HEX["ca-seed"]
    assert KEYS.sni == HEX["sni"].hex()
    assert KEYS.gear_seed == int.from_bytes(HEX["gear-seed"], "big")
    write_key = Ed25519PrivateKey.from_private_bytes(HEX["write-key"])
    assert write_key.public_key().public_bytes_raw() == HEX["folder"]


@pytest.mark.parametrize("role", Role)
def test_links(role):
    link = ShareLink(KEYS.limited_to(role))
    assert str(link) == TEXT[f"link-{role.value}"]
    assert parse_link(TEXT[f"link-{role.value}"]) == link


def test_a_link_with_all_its_parts():
    tier = ("http://t.example/announce", "udp://t.example:1")
    assert parse_link(TEXT["link-full"]) == ShareLink(KEYS, "my folder", (tier,), (PeerAddress("::1", 7),))
    assert str(parse_link(TEXT["link-full"])) == TEXT["link-full"]


def test_cut_points():
    data = blake3(b"p2psync golden cuts").digest(1 << 20)
    assert list(iter_chunk_lengths(data, 16, KEYS.gear_seed)) == list(map(int, TEXT["cuts"].split()))


def test_the_chunker_as_the_document_says_it():
    """Section 5, written out anew from the page."""
    masks = {int(n): int(mask, 16) for n, mask in re.findall(r"\| (\d\d) \| `([0-9a-f]{16})`", DOCUMENT)}
    assert sorted(masks) == list(range(15, 23))
    table = [int.from_bytes(hashlib.md5(bytes([n]) * 64).digest()[:8], "big") for n in range(256)]
    seed, whole = KEYS.gear_seed, 2**64 - 1
    gear = [value ^ seed for value in table]
    gear_ls = [((value << 1) ^ (seed << 1)) & whole for value in table]

    def length(data: memoryview, cut: int) -> int:
        least, target, most = (1 << cut) // 4, 1 << cut, min(4 << cut, 4 << 20)
        left = len(data)
        if left <= least:
            return left
        center, left = min(target, left), min(most, left)
        value = 0
        for at in range(least, left // 2 * 2, 2):
            mask = masks[cut + 1] if at < center // 2 * 2 else masks[cut - 1]
            value = ((value << 2) + gear_ls[data[at]]) & whole
            if value & (mask << 1) == 0:
                return at
            value = (value + gear[data[at + 1]]) & whole
            if value & mask == 0:
                return at + 1
        return left

    for cut, size in [(16, 600_001), (17, 700_000), (18, 800_001)]:
        data = memoryview(blake3(b"p2psync golden cuts").digest(size))
        lengths = []
        while data:
            lengths.append(length(data, cut))
            data = data[lengths[-1] :]
        whole_data = blake3(b"p2psync golden cuts").digest(size)
        assert lengths == list(iter_chunk_lengths(whole_data, cut, seed))


def test_a_version_vector():
    assert parse_version(HEX["version"]) == {b"AAAAAAAA": 1, b"BBBBBBBB": 300}


def test_a_page():
    assert list(iter_pages(ENTRIES)) == [(b"\0dir", HEX["page"])]
    assert decode_page(HEX["page"]).records == ENTRIES


def test_a_root():
    assert MANIFEST.encode() == HEX["root"]
    assert Manifest.parse_untrusted(HEX["root"]) == MANIFEST


def test_a_head():
    assert HEAD.signed(KEYS) == HEX["head"]
    assert Head.parse_untrusted(HEX["head"], KEYS.limited_to(Role.STORE)) == HEAD


def test_a_provisional_head():
    head = replace(HEAD, seq=1, version={DEVICE[:8]: 1}, provisional=True)
    assert head.signed(KEYS) == HEX["provisional-head"]
    assert Head.parse_untrusted(HEX["provisional-head"], KEYS.limited_to(Role.STORE)) == head


def test_pages_end_by_xxh3_of_the_path():
    entries = [Entry(b"dir", b"%05d" % n, Kind.DIRECTORY) for n in range(900)]
    ends = [entry.path for entry in entries if xxh3_64_intdigest(entry.path) % 256 == 0]
    assert [decode_page(data).records[-1].path for _, data in iter_pages(entries)] == [*ends, b"dir/00899"]
    assert len(ends) > 1
