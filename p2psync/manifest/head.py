"""Heads: the signed statement that names a folder's newest manifest."""

from dataclasses import dataclass
from enum import Enum
from typing import Self

from p2psync import bencoding
from p2psync.errors import IntegrityError, RemoteProtocolError
from p2psync.ids import BLOCK_ID_BYTES, DEVICE_ID_BYTES, FOLDER_ID_BYTES, BlockId, DeviceId, FolderId
from p2psync.keys import SIGNATURE_BYTES, FolderKeys
from p2psync.manifest.version import VersionVector, encode_version, parse_version

FORMAT = 1
PROVISIONAL_FORMAT = 2
"""Of a head with one more field, `provisional`, which is 1; not offered to peers who do not know it."""
MAX_HEAD_BYTES = 64 << 10
"""Room for the version vector of 4,000 devices."""
_SIGNING_CONTEXT = b"p2psync head\0"
_FIELDS = frozenset((b"device", b"folder", b"format", b"previous", b"root", b"seq", b"time", b"version"))


class Standing(Enum):
    """How a peer's head compares with ours."""

    NEWER = "newer"
    SAME = "same"
    OLDER = "older"


@dataclass(frozen=True, slots=True)
class Head:
    """One version of a folder.

    Attributes:
        folder: The folder's id, whose write key signs.
        device: Who published it.
        seq: Grows with every head of a writer; of equal ones the greater root is newer.
        root: The manifest's root block.
        version: Version vector of the whole folder.
        previous: `block_id` of the signed bytes of the head before, zeros if its writer knew of none.
        time_ns: When it was published, nanoseconds since 1970; for people to read, never for decisions.
        provisional: Whether the folder is still being scanned for the first time: what the manifest has is right, what
            it lacks means nothing. Every other head is newer.
    """

    folder: FolderId
    device: DeviceId
    seq: int
    root: BlockId
    version: VersionVector
    previous: bytes
    time_ns: int
    provisional: bool = False

    @property
    def rank(self) -> tuple[bool, int, BlockId]:
        """What heads are ordered by; equal sequence numbers are settled alike everywhere, by root."""
        return not self.provisional, self.seq, self.root

    def signed(self, keys: FolderKeys) -> bytes:
        """Return the head's bytes, signed with the folder's write key."""
        fields: dict[bytes, object] = {
            b"device": self.device,
            b"folder": self.folder,
            b"format": PROVISIONAL_FORMAT if self.provisional else FORMAT,
            b"previous": self.previous,
            b"root": self.root,
            b"seq": self.seq,
            b"time": self.time_ns,
            b"version": encode_version(self.version),
        }
        if self.provisional:
            fields[b"provisional"] = 1
        body = bencoding.encode(fields)
        return bencoding.encode({b"head": body, b"sig": keys.sign(_SIGNING_CONTEXT + body)})

    @classmethod
    def parse_untrusted(cls, data: bytes, keys: FolderKeys) -> Self:
        """Read a head that a peer sent.

        Raises:
            IntegrityError: It is not signed by this folder's write key, or is of another folder.
            RemoteProtocolError: It is not a head at all, or of a format we do not know.
        """
        if len(data) > MAX_HEAD_BYTES:
            raise RemoteProtocolError(f"a head of {len(data)} bytes, limit {MAX_HEAD_BYTES}")
        envelope = bencoding.Fields(bencoding.decode(data), of="head")
        envelope.refuse_others((b"head", b"sig"))
        body = envelope.octets(b"head")
        keys.verify(_SIGNING_CONTEXT + body, envelope.octets(b"sig", length=SIGNATURE_BYTES))
        fields = bencoding.Fields(bencoding.decode(body), of="head")
        provisional = fields.number(b"format", low=FORMAT, high=PROVISIONAL_FORMAT) == PROVISIONAL_FORMAT
        if provisional:
            fields.number(b"provisional", low=1, high=1)
        fields.refuse_others((*_FIELDS, b"provisional") if provisional else _FIELDS)
        head = cls(
            folder=FolderId(fields.octets(b"folder", length=FOLDER_ID_BYTES)),
            device=DeviceId(fields.octets(b"device", length=DEVICE_ID_BYTES)),
            seq=fields.number(b"seq", low=1),
            root=BlockId(fields.octets(b"root", length=BLOCK_ID_BYTES)),
            version=parse_version(fields.octets(b"version")),
            previous=fields.octets(b"previous", length=BLOCK_ID_BYTES),
            time_ns=fields.number(b"time"),
            provisional=provisional,
        )
        if head.folder != keys.folder:
            raise IntegrityError("a head of another folder")
        return head

    def standing_against(self, ours: "Head | None") -> Standing:
        """Compare with the newest head we know."""
        if ours is None:
            return Standing.NEWER
        if self.rank == ours.rank:
            return Standing.SAME
        return Standing.NEWER if self.rank > ours.rank else Standing.OLDER
