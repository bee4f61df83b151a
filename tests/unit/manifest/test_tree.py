import random
import struct

import pytest

from p2psync import bencoding
from p2psync.errors import ConfigError, RemoteProtocolError
from p2psync.ids import BlockId
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.page import MOST_BLOCKS, Page, decode_page, iter_pages
from p2psync.manifest.tree import Manifest, join_continuations

P, Q, R = (BlockId(letter * 32) for letter in (b"P", b"Q", b"R"))
MANIFEST = Manifest((P, Q, R), (b"\0a", b"\0b", b"a\0b"), files=2, size_bytes=2**40, ignore=(b"*.tmp",))
ROOT = bencoding.decode(MANIFEST.encode())


def altered(**fields: object) -> bytes:
    return bencoding.encode(ROOT | {name.encode(): value for name, value in fields.items()})


def test_a_root_is_read_as_it_was_written():
    assert Manifest.parse_untrusted(MANIFEST.encode()) == MANIFEST
    empty = Manifest((), (), 0, 0)
    assert Manifest.parse_untrusted(empty.encode()) == empty


@pytest.mark.parametrize("data", [b"", b"le", b"de", b"i1e", MANIFEST.encode()[:-1], MANIFEST.encode() + b"\0"])
def test_what_is_no_root_is_refused(data):
    with pytest.raises(RemoteProtocolError):
        Manifest.parse_untrusted(data)


@pytest.mark.parametrize("field", sorted(key.decode() for key in ROOT))
def test_a_field_that_is_missing_is_refused(field):
    with pytest.raises(RemoteProtocolError, match=field):
        Manifest.parse_untrusted(bencoding.encode({k: v for k, v in ROOT.items() if k != field.encode()}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", 0),
        ("format", 2),
        ("format", b"1"),
        ("codec", b"sealed"),
        ("codec", b""),
        ("codec", 1),
        ("chunker", {}),
        ("chunker", b"fastcdc-2020"),
        ("chunker", {b"name": b"fixed"}),
        ("chunker", {b"name": 1}),
        ("chunker", {b"name": b"fastcdc-2020", b"seed": 1}),
        ("files", -1),
        ("files", 2**63),
        ("files", b""),
        ("bytes", -1),
        ("bytes", 2**63),
        ("bytes", []),
        ("ignore", b""),
        ("ignore", [1]),
        ("ignore", {}),
        ("pages", []),
        ("pages", b"P" * 95),
        ("pages", b"P" * 64),
        ("pages", P + Q + R + P),
        ("first", b""),
        ("first", [1, 2, 3]),
        ("first", []),
        ("first", [b"\0a", b"\0b"]),
        ("first", [b"\0a", b"\0b", b"a\0b", b"a\0c"]),
        ("first", [b"\0b", b"\0a", b"a\0b"]),
        ("unknown", 1),
    ],
)
def test_a_field_that_breaks_its_rule_is_refused(field, value):
    with pytest.raises(RemoteProtocolError):
        Manifest.parse_untrusted(altered(**{field: value}))


@pytest.mark.parametrize(("field", "value"), [("codec", b"sealed"), ("chunker", {b"name": b"fixed"}), ("unknown", 1)])
def test_a_folder_of_a_later_version_says_to_update(field, value):
    with pytest.raises(RemoteProtocolError, match="update p2psync"):
        Manifest.parse_untrusted(altered(**{field: value}))


def test_the_same_page_at_two_keys_is_refused():
    with pytest.raises(RemoteProtocolError, match="the same page"):
        Manifest.parse_untrusted(altered(pages=P + Q + P))


def test_equal_pages_of_one_huge_file_are_taken():
    assert Manifest.parse_untrusted(altered(pages=P + Q + Q, first=[b"\0a", b"\0b", b"\0b"])).pages == (P, Q, Q)


def test_a_folder_of_too_many_pages_is_refused_in_words():
    rng = random.Random(1)
    count = 110_000
    manifest = Manifest(tuple(BlockId(rng.randbytes(32)) for _ in range(count)), (b"\0" + b"k" * 20,) * count, 0, 0)
    with pytest.raises(ConfigError, match="too many entries"):
        manifest.encode()


def page(*keys: bytes) -> Page:
    return Page([Entry(*key.split(b"\0"), Kind.DIRECTORY) for key in keys], b"", ())


@pytest.mark.parametrize(
    ("at", "keys"),
    [(0, [b"\0a"]), (0, [b"\0a", b"\0az"]), (0, [b"\0a", b"\0b"]), (1, [b"\0b", b"\0z"]), (2, [b"a\0b", b"z\0z"])],
)
def test_a_page_within_the_keys_of_its_root_is_taken(at, keys):
    MANIFEST.check_page(at, page(*keys))


@pytest.mark.parametrize(
    ("at", "keys"),
    [
        (0, [b"\0b"]),
        (0, [b"\0A", b"\0a"]),
        (0, [b"\0a", b"\0c"]),
        (1, [b"\0b", b"a\0c"]),
        (2, [b"a\0a", b"a\0b"]),
        (2, [b"a\0c"]),
    ],
)
def test_a_page_beyond_the_keys_of_its_root_is_refused(at, keys):
    with pytest.raises(RemoteProtocolError, match="its root promises"):
        MANIFEST.check_page(at, page(*keys))


def file_of(blocks: int, name: bytes = b"big") -> Entry:
    rng = random.Random(blocks)
    return Entry(
        b"dir", name, Kind.FILE, 5, 0o600, 21, rng.randbytes(32 * blocks),
        struct.pack(f">{blocks}I", *(rng.randrange(1, 1 << 22) for _ in range(blocks))), b"", b"v" * 15 + b"\1",
    )  # fmt: skip


@pytest.mark.parametrize("blocks", [0, 1, MOST_BLOCKS - 1, MOST_BLOCKS, MOST_BLOCKS + 1, 3 * MOST_BLOCKS, 30_000])
def test_a_file_of_any_number_of_blocks_is_the_same_entry_again(blocks):
    entries = [file_of(3, b"before"), file_of(blocks), file_of(2, b"smaller")]
    entries = [entry for entry in entries if entry.lengths or entry.name == b"big"]
    records = [record for _, data in iter_pages(entries) for record in decode_page(data).records]
    assert list(join_continuations(records)) == entries


def parts(blocks: int) -> list[Entry]:
    return [record for _, data in iter_pages([file_of(blocks)]) for record in decode_page(data).records]


def test_a_continuation_without_its_beginning_is_refused():
    beginning, rest = parts(MOST_BLOCKS + 1)
    other = file_of(MOST_BLOCKS, b"bigger")
    for records in [[rest], [other, rest], [rest, beginning], [beginning._replace(kind=Kind.DIRECTORY), rest]]:
        with pytest.raises(RemoteProtocolError, match="continues nothing"):
            list(join_continuations(records))
    assert list(join_continuations([beginning, rest])) == [file_of(MOST_BLOCKS + 1)]


def test_a_continuation_of_what_was_not_full_is_refused():
    beginning, middle, rest = parts(2 * MOST_BLOCKS + 1)
    short = beginning._replace(ids=beginning.ids[:-32], lengths=beginning.lengths[:-4])
    for records in [[short, middle], [beginning, rest, rest]]:
        with pytest.raises(RemoteProtocolError, match="continues nothing"):
            list(join_continuations(records))


def test_a_path_twice_is_refused():
    with pytest.raises(RemoteProtocolError, match="twice"):
        list(join_continuations([file_of(1), file_of(2)]))
    with pytest.raises(RemoteProtocolError, match="twice"):
        list(join_continuations([*parts(MOST_BLOCKS + 1), file_of(1)]))
