import struct

import pytest

from p2psync import bencoding
from p2psync.blocks.block import MAX_BLOCK_BYTES
from p2psync.errors import RemoteProtocolError
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.page import MOST_BLOCKS, MOST_RECORDS, decode_page, encode_page, iter_pages, page_block_ids

A1 = b"A" * 8 + b"\0" * 7 + b"\1"
B2 = b"B" * 8 + b"\0" * 7 + b"\2"
IDS = b"".join(bytes([n]) * 32 for n in range(3))


def lengths(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


RECORDS = [
    Entry(b"", b"dir", Kind.DIRECTORY, mtime_ns=-1, mode=0o700, version=A1),
    Entry(b"", b"empty", Kind.FILE, mtime_ns=2**63 - 1, mode=0, cut=16, version=A1),
    Entry(b"", b"gone", Kind.TOMBSTONE, version=B2),
    Entry(b"dir", b"\xff\n", Kind.FILE, -(2**63), 0o777, 21, IDS, lengths(1, 2, MAX_BLOCK_BYTES), b"", A1),
    Entry(b"dir", b"\xff\n2", Kind.SYMLINK, mtime_ns=5, mode=0o777, target=b"../\xff", version=B2),
]
PAGE = encode_page(RECORDS)
COLUMNS = bencoding.decode(PAGE)


def altered(**columns: object) -> bytes:
    return bencoding.encode(COLUMNS | {name.encode(): value for name, value in columns.items()})


def page_of(*records: Entry) -> bytes:
    return encode_page(list(records))


def big_file(blocks: int, name: bytes = b"big") -> Entry:
    return Entry(b"", name, Kind.FILE, 1, 0o644, 21, bytes(32) * blocks, lengths(1) * blocks, b"", A1)


def test_records_come_back_as_they_went_in():
    page = decode_page(PAGE)
    assert page.records == RECORDS
    assert (page.block_ids, page.block_lengths) == (IDS, (1, 2, MAX_BLOCK_BYTES))
    assert page_block_ids(page) == [IDS[:32], IDS[32:64], IDS[64:]]
    assert encode_page(page.records) == PAGE


def test_a_page_larger_than_a_block_is_refused():
    with pytest.raises(RemoteProtocolError, match="limit"):
        decode_page(bytes(MAX_BLOCK_BYTES + 1))


@pytest.mark.parametrize("data", [b"", b"le", b"de", b"i1e", PAGE[:-1], PAGE + b"\0"])
def test_what_is_no_page_is_refused(data):
    with pytest.raises(RemoteProtocolError):
        decode_page(data)


@pytest.mark.parametrize("column", sorted(key.decode() for key in COLUMNS))
@pytest.mark.parametrize("value", [None, 1, b"\1", [1], [[]], {}])
def test_a_column_that_is_missing_or_of_another_type_or_length_is_refused(column, value):
    columns = {key: other for key, other in COLUMNS.items() if key != column.encode()}
    if value is not None:
        columns[column.encode()] = value
    with pytest.raises(RemoteProtocolError):
        decode_page(bencoding.encode(columns))


@pytest.mark.parametrize("column", sorted(key.decode() for key, value in COLUMNS.items() if isinstance(value, bytes)))
@pytest.mark.parametrize("change", [lambda value: value + b"\0", lambda value: value[:-1], lambda value: value * 2])
def test_a_column_that_is_longer_or_shorter_is_refused(column, change):
    with pytest.raises(RemoteProtocolError):
        decode_page(altered(**{column: change(COLUMNS[column.encode()])}))


def test_a_column_that_does_not_exist_is_refused():
    with pytest.raises(RemoteProtocolError, match="colour"):
        decode_page(altered(colour=b""))


def test_a_page_without_records_is_refused():
    empty = {key: type(value)() for key, value in COLUMNS.items()}
    with pytest.raises(RemoteProtocolError, match="kinds"):
        decode_page(bencoding.encode(empty))


def test_a_page_holds_at_most_1024_records():
    records = [Entry(b"", b"%05d" % n, Kind.DIRECTORY) for n in range(MOST_RECORDS + 1)]
    assert len(decode_page(encode_page(records[:-1])).records) == 1024
    with pytest.raises(RemoteProtocolError, match="kinds"):
        decode_page(encode_page(records))


def test_a_kind_that_does_not_exist_is_refused():
    with pytest.raises(RemoteProtocolError, match="kinds"):
        decode_page(altered(kinds=b"\1\0\3\0\5"))


def test_block_counts_that_do_not_add_up_are_refused():
    for counts in [(0, 0, 0, 2, 0), (0, 0, 0, 4, 0), (0, 0, 0, 2**32 - 1, 0)]:
        with pytest.raises(RemoteProtocolError, match="counts"):
            decode_page(altered(counts=struct.pack(">5I", *counts)))


@pytest.mark.parametrize("length", [0, MAX_BLOCK_BYTES + 1, 2**32 - 1])
def test_a_block_of_no_or_too_many_bytes_is_refused(length):
    with pytest.raises(RemoteProtocolError, match="lengths"):
        decode_page(altered(lengths=lengths(1, length, 2)))


@pytest.mark.parametrize("row", [0, 1, 2, 4])
def test_blocks_at_anything_but_a_file_are_refused(row):
    counts = [0, 0, 0, 2, 0]
    counts[row] = 1
    if row == 1:  # a file may have them
        assert decode_page(altered(counts=struct.pack(">5I", *counts))).records[1].ids == IDS[:32]
    else:
        with pytest.raises(RemoteProtocolError, match="not a file"):
            decode_page(altered(counts=struct.pack(">5I", *counts)))


def test_a_record_of_more_blocks_than_a_record_holds_is_refused():
    assert len(decode_page(page_of(big_file(MOST_BLOCKS))).block_lengths) == 8192
    with pytest.raises(RemoteProtocolError, match="counts"):
        decode_page(page_of(big_file(MOST_BLOCKS + 1)))


def test_permissions_beyond_the_nine_bits_are_refused():
    with pytest.raises(RemoteProtocolError, match="modes"):
        decode_page(altered(modes=struct.pack(">5H", 0o700, 0, 0, 0o1000, 0o777)))


@pytest.mark.parametrize("names", [b"dir\0empty\0gone\0\xff\n", b"\0" * 5, b"dir\0empty\0gone\0\xff\n\0x\0y"])
def test_more_or_fewer_names_than_records_are_refused(names):
    with pytest.raises(RemoteProtocolError, match="names"):
        decode_page(altered(names=names))


@pytest.mark.parametrize("row", range(5))
def test_an_empty_name_is_refused(row):
    names = COLUMNS[b"names"].split(b"\0")
    names[row] = b""
    with pytest.raises(RemoteProtocolError, match="no file system could hold"):
        decode_page(altered(names=b"\0".join(names)))


def test_nul_in_a_directory_is_refused():
    with pytest.raises(RemoteProtocolError, match="no file system could hold"):
        decode_page(altered(parents=[b"", b"di\0r"]))


@pytest.mark.parametrize(
    ("parents", "runs"),
    [
        ([b"", b"dir"], (3, 1)),
        ([b"", b"dir"], (3, 3)),
        ([b"", b"dir"], (5, 0)),
        ([b"", b"dir"], (2**32 - 1, 6)),
        ([b"dir", b""], (3, 2)),  # descending
        ([b"dir", b"dir"], (3, 2)),  # the same again
        ([b"", b"dir", b"e"], (3, 2, 0)),
        ([b"", b"dir"], (3, 1, 1)),
    ],
)
def test_directories_that_are_not_ascending_runs_of_all_records_are_refused(parents, runs):
    with pytest.raises(RemoteProtocolError):
        decode_page(altered(parents=parents, runs=struct.pack(f">{len(runs)}I", *runs)))


@pytest.mark.parametrize(
    ("version", "versions"),
    [
        ((0, 0, 1, 0, 2), [A1, B2]),  # one that is not listed
        ((0, 0, 0, 0, 0), [A1, B2]),  # one that is not used
        ((1, 1, 0, 1, 0), [B2, A1]),  # not in order of use
        ((0, 0, 1, 0, 1), [A1, A1]),  # listed twice
        ((0, 0, 1, 0, 1), [A1, B2[:-1]]),  # no version vector
        ((0, 0, 1, 0, 1), [A1, B2 + A1]),  # not canonical
        ((0, 0, 1, 0, 1), [A1, bytes(16)]),
        ((0, 0, 0, 0, 0), []),
    ],
)
def test_versions_that_are_not_listed_once_in_order_of_use_are_refused(version, versions):
    with pytest.raises(RemoteProtocolError):
        decode_page(altered(version=struct.pack(">5H", *version), versions=versions))


@pytest.mark.parametrize("targets", [[], [b""], [b"a\0b"], [b"a", b"b"]])
def test_a_symlink_has_one_target_that_a_file_system_could_hold(targets):
    with pytest.raises(RemoteProtocolError, match="target"):
        decode_page(altered(targets=targets))


@pytest.mark.parametrize(
    "names",
    [b"dir\0dir\0gone\0\xff\n\0\xff\n2", b"dir\0gone\0empty\0\xff\n\0\xff\n2", b"dir\0empty\0gone\0\xff\n2\0\xff\n"],
)
def test_entries_out_of_order_or_twice_are_refused(names):
    with pytest.raises(RemoteProtocolError, match="out of order"):
        decode_page(altered(names=names))


@pytest.mark.parametrize("cut", [16, 17, 18, 19, 20, 21, 0])
def test_a_file_says_its_cut_or_nothing(cut):
    assert decode_page(altered(cuts=bytes([0, cut, 0, 21, 0]))).records[1].cut == cut


@pytest.mark.parametrize("cut", [1, 15, 22, 255])
def test_a_cut_that_no_file_has_is_refused(cut):
    with pytest.raises(RemoteProtocolError, match="cut"):
        decode_page(altered(cuts=bytes([0, cut, 0, 21, 0])))


@pytest.mark.parametrize("row", [0, 2, 4])
def test_a_cut_at_anything_but_a_file_is_refused(row):
    cuts = bytearray(COLUMNS[b"cuts"])
    cuts[row] = 16
    with pytest.raises(RemoteProtocolError, match="not a file"):
        decode_page(altered(cuts=bytes(cuts)))


@pytest.mark.parametrize("extra", [{"mtime_ns": 1}, {"mtime_ns": -1}, {"mode": 0o644}])
def test_a_tombstone_has_nothing_but_a_version(extra):
    with pytest.raises(RemoteProtocolError, match="what has none"):
        decode_page(page_of(Entry(b"", b"gone", Kind.TOMBSTONE, version=A1)._replace(**extra)))


CONTINUATION = Entry(b"", b"big", Kind.CONTINUATION, ids=IDS, lengths=lengths(1, 2, 3))


def test_a_page_may_begin_with_a_continuation_and_only_begin_with_it():
    after = Entry(b"", b"small", Kind.DIRECTORY)
    assert decode_page(page_of(CONTINUATION, after)).records == [CONTINUATION, after]
    for records in [(big_file(MOST_BLOCKS), CONTINUATION), (CONTINUATION, CONTINUATION), (after, CONTINUATION)]:
        with pytest.raises(RemoteProtocolError, match="not at its beginning"):
            decode_page(page_of(*records))


@pytest.mark.parametrize(
    "extra", [{"mtime_ns": 1}, {"mode": 0o644}, {"version": A1}, {"cut": 16}, {"ids": b"", "lengths": b""}]
)
def test_a_continuation_has_blocks_and_nothing_else(extra):
    with pytest.raises(RemoteProtocolError):
        decode_page(page_of(CONTINUATION._replace(**extra)))


def test_a_page_is_named_after_its_first_record():
    assert [first for first, _ in iter_pages(RECORDS)] == [RECORDS[0].key]
    assert list(iter_pages([])) == []


def test_a_page_ends_after_1024_records_wherever_hashes_do_not_end_it():
    names = [b"%05d" % n for n in range(20_000)]
    counts = [len(decode_page(data).records) for _, data in iter_pages(Entry(b"", n, Kind.DIRECTORY) for n in names)]
    assert sum(counts) == 20_000
    assert max(counts) == 1024
    assert min(counts) < 100


def uncut(count: int, **rest: object) -> list[Entry]:
    """Entries at whose names no page ends."""
    entries = [Entry(b"", b"%07d" % n, Kind.FILE, **rest) for n in range(count * 2)]
    pages = [decode_page(data).records for _, data in iter_pages(e._replace(ids=b"", lengths=b"") for e in entries)]
    plain = [e.name for records in pages for e in records[: -1 if len(records) < MOST_RECORDS else None]]
    return [e for e in entries if e.name in set(plain)][:count]


def test_a_page_ends_at_8192_blocks():
    entries = uncut(300, ids=bytes(32) * 100, lengths=lengths(1) * 100)
    pages = [decode_page(data) for _, data in iter_pages(entries)]
    assert [len(page.block_lengths) for page in pages] == [8200, 8200, 8200, 5400]


def test_a_page_ends_at_256_kib_of_names_and_targets():
    entries = [e._replace(kind=Kind.SYMLINK, target=b"t" * 4089) for e in uncut(200)]
    assert [len(decode_page(data).records) for _, data in iter_pages(entries)] == [64, 64, 64, 8]


@pytest.mark.parametrize("column", ["parent", "version"])
def test_directories_and_versions_count_once_towards_the_256_kib(column):
    entries = uncut(200)
    once = [e._replace(**{column: A1 * 256}) for e in entries]
    assert len(list(iter_pages(once))) <= 2
    each = [e._replace(**{column: b"%07d" % n + b"x" * 4082}) for n, e in enumerate(entries)]
    assert len(list(iter_pages(each))) >= 4


def test_no_page_of_a_tree_as_deep_as_paths_go_outgrows_a_block():
    deep = [Entry(b"/".join([b"d"] * depth), b"d", Kind.DIRECTORY) for depth in range(1, 2048)]
    assert max(len(data) for _, data in iter_pages(deep)) < 512 << 10


def test_a_file_of_many_blocks_continues_in_the_pages_that_follow():
    entry = big_file(2 * MOST_BLOCKS + 3)
    pages = list(iter_pages([entry]))
    records = [decode_page(data).records for _, data in pages]
    assert [key for key, _ in pages] == [entry.key] * 3
    assert [[(r.kind, len(r.lengths) // 4) for r in page] for page in records] == [
        [(Kind.FILE, 8192)],
        [(Kind.CONTINUATION, 8192)],
        [(Kind.CONTINUATION, 3)],
    ]


def test_a_full_page_stays_below_a_mebibyte():
    entries = [big_file(MOST_BLOCKS - 1, b"a"), big_file(MOST_BLOCKS, b"b")]
    assert max(len(data) for _, data in iter_pages(entries)) < 1 << 20
