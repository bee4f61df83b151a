"""A folder's keys: one secret seed, and what each kind of member is given of it.

    seed -> write key -> read key -> swarm key -> info-hash, SNI name, CA seed

Each arrow is HKDF-SHA256 (RFC 5869) with a label of its own, so it goes one way only. The public half of the write
key (Ed25519) is the folder's id.
"""

import secrets
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from p2psync.errors import IntegrityError
from p2psync.ids import INFO_HASH_BYTES, FolderId, InfoHash

KEY_BYTES = 32
SNI_BYTES = 16
SIGNATURE_BYTES = 64


class Role(Enum):
    """What a member may do, weakest first."""

    STORE = "store"
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True)
class FolderKeys:
    """The keys that a member of a folder holds; what its role does not include is None.

    `cached_property` needs a `__dict__`, hence no slots.
    """

    folder: FolderId
    swarm_key: bytes
    read_key: bytes | None = None
    seed: bytes | None = None

    @property
    def role(self) -> Role:
        """The strongest role that these keys allow."""
        if self.seed is not None:
            return Role.WRITE
        return Role.STORE if self.read_key is None else Role.READ

    @cached_property
    def info_hash(self) -> InfoHash:
        """What trackers and LAN announcements see of the swarm."""
        return InfoHash(_derive(self.swarm_key, b"info hash", INFO_HASH_BYTES))

    @cached_property
    def sni(self) -> str:
        """The opaque name that a dialler shows in TLS, so that one port serves many folders."""
        return _derive(self.swarm_key, b"sni", SNI_BYTES).hex()

    @cached_property
    def ca_seed(self) -> bytes:
        """Ed25519 private key of the swarm's certificate authority."""
        return _derive(self.swarm_key, b"certificate authority")

    @cached_property
    def gear_seed(self) -> int:
        """62 bits that make this folder's cut points its own.

        Readers cut their local files alike to find blocks they already hold; whoever has no read key cannot
        recognise known files by their block lengths.
        """
        if self.read_key is None:
            raise IntegrityError("a store link cannot cut files: that needs the read key")
        return int.from_bytes(_derive(self.read_key, b"gear", 8), "big") >> 2 | 1  # never 0, which means unseeded

    def sign(self, message: bytes) -> bytes:
        """Sign with the write key; only for holders of the seed."""
        if self.seed is None:
            raise IntegrityError("only a write link can sign a head")
        return _write_key(self.seed).sign(message)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Raise IntegrityError unless the folder's write key signed `message`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.folder).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise IntegrityError("a head whose signature is not of this folder's write key") from None

    def limited_to(self, role: Role) -> "FolderKeys":
        """Return what a member of a weaker (or the same) role is given."""
        return FolderKeys(
            self.folder,
            self.swarm_key,
            self.read_key if role is not Role.STORE else None,
            self.seed if role is Role.WRITE else None,
        )


def make_seed() -> bytes:
    """Return the seed of a new folder."""
    return secrets.token_bytes(KEY_BYTES)


def keys_from_seed(seed: bytes) -> FolderKeys:
    """Derive everything a writer holds."""
    write_key = _write_key(seed)
    read_key = _derive(write_key.private_bytes_raw(), b"read")
    folder = FolderId(write_key.public_key().public_bytes_raw())
    return FolderKeys(folder, _swarm_key(read_key), read_key, seed)


def keys_from_read_key(folder: FolderId, read_key: bytes) -> FolderKeys:
    """Derive everything a reader holds."""
    return FolderKeys(folder, _swarm_key(read_key), read_key)


def _write_key(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(_derive(seed, b"write"))


def _swarm_key(read_key: bytes) -> bytes:
    return _derive(read_key, b"swarm")


def _derive(secret: bytes, label: bytes, length: int = KEY_BYTES) -> bytes:
    return HKDF(SHA256(), length, salt=None, info=b"p2psync 1 " + label).derive(secret)
