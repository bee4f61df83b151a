"""The records that a link's bytes travel in once TLS has introduced both ends to each other (PROTOCOL.md, "Records").

The protection is that of TLS 1.3 (RFC 8446, 5.2 and 5.3): AES-256-GCM, a counter as the nonce, the header as additional
data, a key of its own for each direction. What differs is the size: TLS ends a record after 16 KiB, and at that size
OpenSSL's work and Python's around each record cost several times what encrypting costs.
"""

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from p2psync.errors import RemoteProtocolError
from p2psync.wire.limits import RECORD_BYTES

KEY_BYTES = 32
TAG_BYTES = 16

_HEADER = struct.Struct(">I")
_NONCE = struct.Struct(">4xQ")
RECORD_OVERHEAD_BYTES = _HEADER.size + TAG_BYTES

# 2^18 records of 1 MiB are the 2^38 bytes that RFC 8446, 5.5 lets one key of AES-GCM protect.
_RECORDS_A_KEY = 1 << 18
_NEXT_KEY = b"p2psync 2 next record key"
# What control messages need; a buffer grows when a larger record comes, so it fits the rate of its link.
_FIRST_BUFFER_BYTES = 8 << 10


class _Protection:
    """One direction's key and counter, which both ends move on alike."""

    def __init__(self, key: bytes, records_a_key: int) -> None:
        self._key, self._records_a_key = key, records_a_key
        self._cipher = AESGCM(key)
        self._number = 0

    def next(self) -> tuple[AESGCM, bytes]:
        """Return the cipher and the nonce of the next record, each pair once."""
        if self._number == self._records_a_key:
            self._key = HKDFExpand(SHA256(), KEY_BYTES, _NEXT_KEY).derive(self._key)
            self._cipher, self._number = AESGCM(self._key), 0
        self._number += 1
        return self._cipher, _NONCE.pack(self._number)


class RecordWriter:
    """Makes records.

    Args:
        key: Of this direction, `KEY_BYTES` long.
        records_a_key: After how many a new key is derived; the same at both ends.
    """

    def __init__(self, key: bytes, *, records_a_key: int = _RECORDS_A_KEY) -> None:
        self._protection = _Protection(key, records_a_key)

    def write_into(self, record: memoryview, plain: bytes | bytearray | memoryview) -> None:
        """Write one record.

        Args:
            record: `RECORD_OVERHEAD_BYTES` longer than `plain`.
            plain: At most `RECORD_BYTES`; nothing at all says that nothing more will come.
        """
        _HEADER.pack_into(record, 0, len(plain) + TAG_BYTES)
        cipher, nonce = self._protection.next()
        cipher.encrypt_into(nonce, plain, record[: _HEADER.size], record[_HEADER.size :])


class RecordReader:
    """Takes records apart: received bytes in, what was written out.

    Args:
        key: Of this direction, `KEY_BYTES` long.
        received: What has been received already.
        records_a_key: As the writer's.

    Attributes:
        is_ended: The peer has said that nothing more will come.
    """

    def __init__(self, key: bytes, received: bytes = b"", *, records_a_key: int = _RECORDS_A_KEY) -> None:
        self._protection = _Protection(key, records_a_key)
        self._buffer = memoryview(bytearray(max(_FIRST_BUFFER_BYTES, len(received))))
        self._buffer[: len(received)] = received
        self._at, self._end = 0, len(received)
        self._rest = memoryview(b"")
        self._failure: RemoteProtocolError | None = None
        self.is_ended = False

    @property
    def unread_bytes(self) -> int:
        """Bytes that were received and not read yet, for want of the rest of their record or of room."""
        return self._end - self._at + len(self._rest)

    @property
    def missing_bytes(self) -> int:
        """How many bytes the next record lacks, as far as is known; at least 1 where nothing can be read."""
        return max(1, self._record_bytes() - (self._end - self._at))

    def writable(self) -> memoryview:
        """Return where the next received bytes must be put; never empty."""
        if self._at == self._end:
            self._at = self._end = 0
        if len(self._buffer) - self._end < self.missing_bytes:
            self._make_room()
        return self._buffer[self._end :]

    def received(self, count: int) -> None:
        """Take note that `count` bytes were put at `writable()`."""
        self._end += count

    def read_into(self, buffer: memoryview) -> int:
        """Read what there is into `buffer`, as far as it fits; return how much that is.

        Raises:
            RemoteProtocolError: A record is too long, or not what the peer wrote. All that came before it has been
                read by then, and nothing more will be.
        """
        read = self._read_rest(buffer)
        try:
            while read < len(buffer) and self._has_record(len(buffer) - read if read else RECORD_BYTES):
                read += self._read_record(buffer[read:])
        except RemoteProtocolError as error:
            self._failure = error
        if self._failure is not None and not read:
            raise self._failure
        return read

    def _has_record(self, most_bytes: int) -> bool:
        """Say whether a whole record is at hand, with at most so much plaintext."""
        if self.is_ended or self._failure is not None:
            return False
        size = self._record_bytes()
        return _HEADER.size < size <= min(self._end - self._at, most_bytes + RECORD_OVERHEAD_BYTES)

    def _record_bytes(self) -> int:
        """Return the length of the next record, or of its header where that is not complete."""
        if self._end - self._at < _HEADER.size:
            return _HEADER.size
        (length,) = _HEADER.unpack_from(self._buffer, self._at)
        if not TAG_BYTES <= length <= RECORD_BYTES + TAG_BYTES:
            raise RemoteProtocolError(f"a record of {length} bytes")
        return _HEADER.size + int(length)

    def _make_room(self) -> None:
        """Move what there is to the front, of a longer buffer if the next record needs one."""
        needed, held = self._record_bytes(), self._buffer[self._at : self._end]
        if needed > len(self._buffer):
            self._buffer = memoryview(bytearray(needed + RECORD_OVERHEAD_BYTES))
        self._buffer[: len(held)] = held
        self._at, self._end = 0, len(held)

    def _read_rest(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _read_record(self, buffer: memoryview) -> int:
        size = self._record_bytes()
        header = self._buffer[self._at : self._at + _HEADER.size]
        body = self._buffer[self._at + _HEADER.size : self._at + size]
        self._at += size
        plain_bytes = len(body) - TAG_BYTES
        self.is_ended = not plain_bytes
        if plain_bytes <= len(buffer):
            self._decrypt(header, body, buffer[:plain_bytes])
            return plain_bytes
        plain = memoryview(bytearray(plain_bytes))
        self._decrypt(header, body, plain)
        self._rest = plain  # not before: what is wrong may be decrypted by then, and must not be read
        return self._read_rest(buffer)

    def _decrypt(self, header: memoryview, body: memoryview, plain: memoryview) -> None:
        cipher, nonce = self._protection.next()
        try:
            cipher.decrypt_into(nonce, body, header, plain)
        except InvalidTag:
            raise RemoteProtocolError("a record that is not what the peer wrote") from None
