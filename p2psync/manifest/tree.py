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

FORMAT = 1
PLAIN = b"plain"


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
        chunker = bencoding.Fields(fields.mapping(b"chunker"), of="manifest")
        if fields.octets(b"codec") != PLAIN or chunker.octets(b"name") != chunking.ALGORITHM:
            raise RemoteProtocolError(
                "the folder uses a codec or chunker that this version does not know: update p2psync"
            )
        pages = split_ids(fields.octets(b"pages", multiple_of=BLOCK_ID_BYTES))
        firsts = fields.octet_strings(b"first")
        if len(firsts) != len(pages) or any(a > b for a, b in pairwise(firsts)):
            raise RemoteProtocolError("manifest: first keys do not fit its pages")
        return cls(
            pages=tuple(pages),
            first_keys=tuple(firsts),
            files=fields.number(b"files"),
            size_bytes=fields.number(b"bytes"),
            ignore=tuple(fields.octet_strings(b"ignore")),
        )


def join_continuations(records: Iterable[Entry]) -> Iterator[Entry]:
    """Turn the records of consecutive pages back into entries.

    Raises:
        RemoteProtocolError: A continuation without its beginning.
    """
    parts: list[Entry] = []
    for record in records:
        if record.kind is Kind.CONTINUATION:
            if not parts or (parts[0].parent, parts[0].name) != (record.parent, record.name):
                raise RemoteProtocolError("manifest: a continuation that continues nothing")
            parts.append(record)
            continue
        if parts:
            yield _joined(parts)
        parts = [record]
    if parts:
        yield _joined(parts)


def _joined(parts: list[Entry]) -> Entry:
    if len(parts) == 1:
        return parts[0]
    return parts[0]._replace(ids=b"".join(part.ids for part in parts), lengths=b"".join(part.lengths for part in parts))
