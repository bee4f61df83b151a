"""Pages: runs of entries as blocks, column by column.

A page is canonical bencode of packed columns, so that a thousand entries decode with a dozen operations instead of
a parse each. FORMAT.md lists the columns. Where a page ends is a function of the entries alone: the same entries give
the same pages on every node, and a change rewrites only the pages it touches.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import xxhash

from p2psync import bencoding, chunking
from p2psync.blocks.block import MAX_BLOCK_BYTES
from p2psync.errors import RemoteProtocolError
from p2psync.ids import BLOCK_ID_BYTES, BlockId
from p2psync.manifest.entry import Entry, Kind, join_path
from p2psync.manifest.version import parse_version

MOST_BLOCKS = 8192
"""Of a record: a page's bit set stays below 2 KiB, a page below 1 MiB; a longer file continues in further pages."""
MOST_RECORDS = 1024
MOST_TEXT_BYTES = 256 << 10
"""Where a page ends: its names, link targets, directories and version vectors together."""
_CUT_MASK = 0xFF
_KINDS = tuple(Kind)
MAX_MODE = 0o777
_COLUMNS = frozenset(
    (b"counts", b"cuts", b"ids", b"kinds", b"lengths", b"modes", b"mtimes", b"names", b"parents", b"runs", b"targets",
     b"version", b"versions")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """A decoded page.

    Attributes:
        records: Its entries in key order; the first may be a CONTINUATION, which holds only further blocks of the file
            that the page before ends with.
        block_ids: Ids of all blocks that the records name, end to end; a block's position is its index here.
        block_lengths: Their lengths in bytes.
    """

    records: list[Entry]
    block_ids: bytes
    block_lengths: tuple[int, ...]


def iter_pages(entries: Iterable[Entry]) -> Iterator[tuple[bytes, bytes]]:
    """Cut entries, which come in key order, into pages; yield (first key, page bytes)."""
    for records in cut_pages(entries):
        yield records[0].key, encode_page(records)


def cut_pages(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Cut entries, which come in key order, into the records of pages."""
    records: list[Entry] = []
    extent = _Extent()
    for entry in entries:
        for record in _split_record(entry):
            records.append(record)
            if extent.ends_with(record):
                yield records
                records, extent = [], _Extent()
    if records:
        yield records


def _split_record(entry: Entry) -> Iterator[Entry]:
    if len(entry.lengths) <= MOST_BLOCKS * 4:
        yield entry
        return
    for at in range(0, len(entry.lengths) // 4, MOST_BLOCKS):
        ids = entry.ids[at * BLOCK_ID_BYTES : (at + MOST_BLOCKS) * BLOCK_ID_BYTES]
        lengths = entry.lengths[at * 4 : (at + MOST_BLOCKS) * 4]
        if at == 0:
            yield entry._replace(ids=ids, lengths=lengths)
        else:
            yield Entry(entry.parent, entry.name, Kind.CONTINUATION, ids=ids, lengths=lengths)


class _Extent:
    """How much a page holds already, and so where it ends."""

    def __init__(self) -> None:
        self._records = self._blocks = self._text = 0
        self._parents: set[bytes] = set()
        self._versions: set[bytes] = set()

    def ends_with(self, record: Entry) -> bool:
        """Count a record in; return whether it is the page's last."""
        self._records += 1
        self._blocks += len(record.lengths) // 4
        self._text += len(record.name) + len(record.target)
        for listed, octets in ((self._parents, record.parent), (self._versions, record.version)):
            if octets not in listed:
                listed.add(octets)
                self._text += len(octets)
        return (
            xxhash.xxh3_64_intdigest(join_path(record.parent, record.name)) & _CUT_MASK == 0
            or self._records >= MOST_RECORDS
            or self._blocks >= MOST_BLOCKS
            or self._text >= MOST_TEXT_BYTES
        )


def encode_page(records: list[Entry]) -> bytes:
    """Encode records, which are in key order, as one page."""
    parents: dict[bytes, int] = {}
    versions: dict[bytes, int] = {}
    for record in records:
        parents[record.parent] = parents.get(record.parent, 0) + 1
        versions.setdefault(record.version, len(versions))
    count = len(records)
    return bencoding.encode(
        {
            b"counts": struct.pack(f">{count}I", *(len(record.lengths) // 4 for record in records)),
            b"cuts": bytes(record.cut for record in records),
            b"ids": b"".join(record.ids for record in records),
            b"kinds": bytes(record.kind for record in records),
            b"lengths": b"".join(record.lengths for record in records),
            b"modes": struct.pack(f">{count}H", *(record.mode for record in records)),
            b"mtimes": struct.pack(f">{count}q", *(record.mtime_ns for record in records)),
            b"names": b"\0".join(record.name for record in records),
            b"parents": list(parents),
            b"runs": struct.pack(f">{len(parents)}I", *parents.values()),
            b"targets": [record.target for record in records if record.kind is Kind.SYMLINK],
            b"version": struct.pack(f">{count}H", *(versions[record.version] for record in records)),
            b"versions": list(versions),
        }
    )


def decode_page(data: bytes) -> Page:
    """Decode a page.

    Raises:
        RemoteProtocolError: It breaks a rule of FORMAT.md. Whether its paths are safe here is not judged: that is
            `sync.paths`, path by path.
    """
    if len(data) > MAX_BLOCK_BYTES:
        raise RemoteProtocolError(f"a page of {len(data)} bytes, limit {MAX_BLOCK_BYTES}")
    fields = bencoding.Fields(bencoding.decode(data), of="page")
    fields.refuse_others(_COLUMNS)
    kinds = fields.octets(b"kinds")
    if not 1 <= len(kinds) <= MOST_RECORDS or max(kinds) > Kind.CONTINUATION:
        raise RemoteProtocolError("page: kinds are out of range")
    count = len(kinds)
    ids = fields.octets(b"ids", multiple_of=BLOCK_ID_BYTES)
    lengths = fields.octets(b"lengths", length=len(ids) // 8)
    counts = _column(fields, b"counts", "I", count)
    all_lengths = struct.unpack(f">{len(lengths) // 4}I", lengths)
    if (
        sum(counts) != len(all_lengths)
        or max(counts) > MOST_BLOCKS
        or any(not 1 <= n <= MAX_BLOCK_BYTES for n in all_lengths)
    ):
        raise RemoteProtocolError("page: block counts or lengths are out of range")
    records = _records(fields, kinds, counts, ids, lengths)
    _check_records(records)
    return Page(records, ids, all_lengths)


def _column(fields: bencoding.Fields, key: bytes, code: str, count: int) -> tuple[int, ...]:
    form = struct.Struct(f">{count}{code}")
    return form.unpack(fields.octets(key, length=form.size))


def _records(
    fields: bencoding.Fields, kinds: bytes, counts: tuple[int, ...], ids: bytes, lengths: bytes
) -> list[Entry]:
    count = len(kinds)
    names = fields.octets(b"names").split(b"\0")
    cuts = fields.octets(b"cuts", length=count)
    modes = _column(fields, b"modes", "H", count)
    mtimes = _column(fields, b"mtimes", "q", count)
    parents = _parents(fields, count)
    targets = iter(fields.octet_strings(b"targets"))
    versions = _versions(fields, count)
    if len(names) != count or max(modes) > MAX_MODE:
        raise RemoteProtocolError("page: names or modes do not fit its records")
    records, at = [], 0
    for row, kind in enumerate(map(_KINDS.__getitem__, kinds)):
        end = at + counts[row]
        target = next(targets, b"") if kind is Kind.SYMLINK else b""
        records.append(
            Entry(
                parents[row], names[row], kind, mtimes[row], modes[row], cuts[row],
                ids[at * BLOCK_ID_BYTES : end * BLOCK_ID_BYTES], lengths[at * 4 : end * 4], target, versions[row],
            )
        )  # fmt: skip
        at = end
    if next(targets, None) is not None:
        raise RemoteProtocolError("page: more link targets than links")
    return records


def _parents(fields: bencoding.Fields, count: int) -> list[bytes]:
    parents = fields.octet_strings(b"parents")
    runs = _column(fields, b"runs", "I", len(parents))
    if sum(runs) != count or not all(runs) or any(a >= b for a, b in pairwise(parents)):
        raise RemoteProtocolError("page: its directories are not ascending runs")
    return [parent for parent, run in zip(parents, runs, strict=True) for _ in range(run)]


def _versions(fields: bencoding.Fields, count: int) -> list[bytes]:
    versions = fields.octet_strings(b"versions")
    index = _column(fields, b"version", "H", count)
    if list(dict.fromkeys(index)) != list(range(len(versions))) or len(set(versions)) != len(versions):
        raise RemoteProtocolError("page: its versions are not listed in order of use")
    for version in versions:
        parse_version(version)
    return [versions[at] for at in index]


def _check_records(records: list[Entry]) -> None:
    before: Entry | None = None
    for record in records:
        if b"\0" in record.parent or not record.name:
            raise RemoteProtocolError("page: a path that no file system could hold")
        if before is not None:
            # A record that is continued fills its page, so a continuation always comes first in the next.
            if record.kind is Kind.CONTINUATION:
                raise RemoteProtocolError("page: a continuation that is not at its beginning")
            if (before.parent, before.name) >= (record.parent, record.name):
                raise RemoteProtocolError("page: entries are out of order")
        if record.kind is Kind.FILE:
            _check_file(record)
        else:
            _check_other(record)
        before = record


def _check_file(record: Entry) -> None:
    if record.cut and not chunking.SMALLEST_CUT <= record.cut <= chunking.LARGEST_CUT:
        raise RemoteProtocolError("page: a file that is cut as no file is")


def _check_other(record: Entry) -> None:
    kind = record.kind
    if record.cut or bool(record.lengths) != (kind is Kind.CONTINUATION):
        raise RemoteProtocolError("page: blocks at something that is not a file, or a continuation without any")
    if kind is Kind.SYMLINK and (not record.target or b"\0" in record.target):
        raise RemoteProtocolError("page: a symlink without a target that a file system could hold")
    if kind in (Kind.TOMBSTONE, Kind.CONTINUATION) and (record.mtime_ns or record.mode):
        raise RemoteProtocolError("page: permissions or a time at what has none")
    if kind is Kind.CONTINUATION and record.version:
        raise RemoteProtocolError("page: a continuation with a version")


def page_block_ids(page: Page) -> list[BlockId]:
    """Return the ids of the page's blocks, by position."""
    ids = page.block_ids
    return [BlockId(ids[at : at + BLOCK_ID_BYTES]) for at in range(0, len(ids), BLOCK_ID_BYTES)]
