"""The manifest: a root block that lists the pages of all entries."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from p2psync import bencoding, chunking
from p2psync.blocks.block import MAX_BLOCK_BYTES, split_ids
from p2psync.errors import ConfigError, RemoteProtocolError
from p2psync.ids import BLOCK_ID_BYTES, BlockId
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.page import MOST_BLOCKS, Page

FORMAT = 1
PLAIN = b"plain"
_FIELDS = frozenset((b"bytes", b"chunker", b"codec", b"files", b"first", b"format", b"ignore", b"pages"))


@dataclass(frozen=True, slots=True)
class Manifest:
    """A root block, decoded.

    Attributes:
        pages: Ids of the pages, in key order of their entries.
        first_keys: Key of each page's first record.
        files: How many files the folder has: for display only.
        size_bytes: Their bytes together: for display, and for a look at the free space.
        ignore: Shared ignore rules; none are defined yet.
    """

    pages: tuple[BlockId, ...]
    first_keys: tuple[bytes, ...]
    files: int
    size_bytes: int
    ignore: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Return the root block's bytes.

        Raises:
            ConfigError: The folder has more entries than a root can list (about ten million).
        """
        data = bencoding.encode(
            {
                b"bytes": self.size_bytes,
                b"chunker": {b"name": chunking.ALGORITHM},
                b"codec": PLAIN,
                b"files": self.files,
                b"first": list(self.first_keys),
                b"format": FORMAT,
                b"ignore": list(self.ignore),
                b"pages": b"".join(self.pages),
            }
        )
        if len(data) > MAX_BLOCK_BYTES:
            raise ConfigError(f"the folder has too many entries for one manifest ({len(self.pages)} pages)")
        return data

    @classmethod
    def parse_untrusted(cls, data: bytes) -> Self:
        """Read a root block.

        Raises:
            RemoteProtocolError: It breaks a rule of FORMAT.md, or is of a format, codec or chunker we do not know.
        """
        fields = bencoding.Fields(bencoding.decode(data), of="manifest")
        fields.number(b"format", low=FORMAT, high=FORMAT)
        chunker = fields.dictionary(b"chunker")
        if fields.octets(b"codec") != PLAIN or chunker.octets(b"name") != chunking.ALGORITHM:
            raise RemoteProtocolError(
                "the folder uses a codec or chunker that this version does not know: update p2psync"
            )
        fields.refuse_others(_FIELDS)
        chunker.refuse_others((b"name",))
        pages = split_ids(fields.octets(b"pages", multiple_of=BLOCK_ID_BYTES))
        firsts = fields.octet_strings(b"first")
        if len(firsts) != len(pages) or any(a > b for a, b in pairwise(firsts)):
            raise RemoteProtocolError("manifest: first keys do not fit its pages")
        # A huge file of one repeated block has equal pages, but then its key is theirs.
        if len(set(pages)) != len(set(zip(pages, firsts, strict=True))):
            raise RemoteProtocolError("manifest: the same page at two keys")
        return cls(
            pages=tuple(pages),
            first_keys=tuple(firsts),
            files=fields.number(b"files"),
            size_bytes=fields.number(b"bytes"),
            ignore=tuple(fields.octet_strings(b"ignore")),
        )

    def check_page(self, at: int, page: Page) -> None:
        """Refuse the page at a position whose keys are not those that the root gives it.

        Raises:
            RemoteProtocolError: It begins with another key, or reaches beyond the first key of the page that follows.
        """
        end = self.first_keys[at + 1] if at + 1 < len(self.first_keys) else None
        if page.records[0].key != self.first_keys[at] or (end is not None and page.records[-1].key > end):
            raise RemoteProtocolError("manifest: a page whose entries are not those that its root promises")


def join_continuations(records: Iterable[Entry]) -> Iterator[Entry]:
    """Turn the records of consecutive pages back into entries.

    Raises:
        RemoteProtocolError: A continuation without its beginning, or after one that was not full; or a path twice.
    """
    parts: list[Entry] = []
    for record in records:
        same_path = bool(parts) and (parts[0].name, parts[0].parent) == (record.name, record.parent)
        if record.kind is Kind.CONTINUATION:
            if not same_path or parts[0].kind is not Kind.FILE or len(parts[-1].lengths) != MOST_BLOCKS * 4:
                raise RemoteProtocolError("manifest: a continuation that continues nothing")
            parts.append(record)
            continue
        if same_path:
            raise RemoteProtocolError("manifest: the same path twice")
        if parts:
            yield _joined(parts)
        parts = [record]
    if parts:
        yield _joined(parts)


def _joined(parts: list[Entry]) -> Entry:
    if len(parts) == 1:
        return parts[0]
    return parts[0]._replace(ids=b"".join(part.ids for part in parts), lengths=b"".join(part.lengths for part in parts))
