r"""Swarms in one file, so that a restart forgets nobody.

    "p2psync-tracker peers 1\n", then frames: 4 bytes of length, a bencoded dictionary
    first frame:  n: the store's clock · w: the wall clock, both in seconds when the file was written
    each other:   c: completed downloads · i: info hash · 4, 6: tables, if there are peers of that family
    a table:      d: how many download · e: compact entries, these first · r: peer id, key, deadline of each

Records are copied as they lie in memory, so a million of them take a moment; their deadlines have this machine's byte
order. The file is beside the truth, not the truth: where it cannot be read, reading ends, and the swarms come again.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from p2psync.bencoding import Fields, decode, encode
from p2psync.errors import ConfigError, RemoteProtocolError, StoreError
from p2psync.ids import INFO_HASH_BYTES, InfoHash
from p2psync.wire.compact import ENTRY4_BYTES, ENTRY6_BYTES
from tracker.memory_swarms import MemorySwarms
from tracker.peer_table import DEADLINE_MASK, DETAIL_BYTES, PARTIAL, PeerTable
from tracker.swarms import CLIENT_BYTES, Change, PeerUpdate, Role

_NAME = b"p2psync-tracker peers "
_MAGIC = _NAME + b"1\n"
_LENGTH_BYTES = 4
_MAX_FRAME_BYTES = 1 << 28
_MAX_LIFETIME_S = 7 * 86400
_DEADLINE = struct.Struct("=I")
_TABLES = {b"4": ENTRY4_BYTES, b"6": ENTRY6_BYTES}


def save_snapshot(path: Path, store: MemorySwarms, *, now: float, wall: float) -> None:
    """Write all swarms; what was there before stays whole until all is written.

    Raises:
        StoreError: The disk refused.
    """
    unfinished = path.with_name(f"{path.name}.new")
    try:
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(_MAGIC)
            for frame in _frames(store, now, wall):
                file.write(len(frame).to_bytes(_LENGTH_BYTES, "big"))
                file.write(frame)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise StoreError(f"the peers could not be written to {path}: {error.strerror}") from error


async def load_snapshot(path: Path, store: MemorySwarms, *, now: float, wall: float) -> None:
    """Add the peers of a file, those that would have expired meanwhile left out; a file that is not there holds none.

    Raises:
        ConfigError: The file is something else, or cannot be replaced by the peers of this run.
        StoreError: The file, or its end, cannot be read; what came before has been added.
    """
    _check_can_be_written(path)
    try:
        with path.open("rb") as file:
            begin = file.read(len(_MAGIC))
            if not (begin.startswith(_NAME) or _NAME.startswith(begin)):
                raise ConfigError(f"{path} is no snapshot of a tracker, and would be overwritten: name another file")
            if begin == _MAGIC:
                await _load(file, store, now, wall)
            elif not _MAGIC.startswith(begin):
                raise StoreError(f"{path} was written by another version of the tracker")
    except FileNotFoundError:
        return
    except (OSError, RemoteProtocolError) as error:
        raise StoreError(f"{path} cannot be read to its end: {error}") from error


def _check_can_be_written(path: Path) -> None:
    if not os.access(path.parent, os.W_OK | os.X_OK) or path.is_dir():
        raise ConfigError(f"no snapshot can be written to {path}: name a file in a directory that is there and ours")


def _frames(store: MemorySwarms, now: float, wall: float) -> Iterator[bytes]:
    yield encode({b"n": int(now), b"w": int(wall)})
    for info_hash, swarm in store.swarms():
        fields = {b"c": swarm.completed, b"i": info_hash}
        for key, table in ((b"4", swarm.table4), (b"6", swarm.table6)):
            if table:
                fields[key] = _encode_table(table)
        yield encode(fields)


def _encode_table(table: PeerTable) -> dict[bytes, bytes | int]:
    width = table.width
    borders = [(bucket, bucket.downloaders) for bucket in table.buckets]
    entries = [bucket.entries[: border * width] for bucket, border in borders]
    entries += [bucket.entries[border * width :] for bucket, border in borders]
    records = [bucket.details[: border * DETAIL_BYTES] for bucket, border in borders]
    records += [bucket.details[border * DETAIL_BYTES :] for bucket, border in borders]
    return {b"d": table.downloaders, b"e": b"".join(entries), b"r": b"".join(records)}


async def _load(file: BinaryIO, store: MemorySwarms, now: float, wall: float) -> None:
    clocks = Fields(decode(_read_frame(file)), of="the first frame")
    # A deadline of the old clock, moved to the new one; the time in between has passed for the peers too.
    shift = int(now) - clocks.number(b"n") - max(0, int(wall) - clocks.number(b"w"))
    while frame := _read_frame(file):
        fields = Fields(decode(frame), of="a swarm")
        info_hash = InfoHash(fields.octets(b"i", length=INFO_HASH_BYTES))
        updates = [
            update
            for key, width in _TABLES.items()
            if key in fields
            for update in _updates(info_hash, fields.dictionary(key), width, shift - int(now))
        ]
        await store.announce(updates, now)
        store.set_completed(info_hash, fields.number(b"c"))


def _read_frame(file: BinaryIO) -> bytes:
    """Return the next frame, empty at the end."""
    length_octets = file.read(_LENGTH_BYTES)
    length = int.from_bytes(length_octets, "big")
    frame = file.read(length) if length <= _MAX_FRAME_BYTES else b""
    if len(frame) < length or len(length_octets) not in (0, _LENGTH_BYTES):
        raise RemoteProtocolError("it was cut short")
    return frame


def _updates(info_hash: InfoHash, table: Fields, width: int, shift: int) -> Iterator[PeerUpdate]:
    entries = table.octets(b"e", multiple_of=width)
    records = table.octets(b"r", length=len(entries) // width * DETAIL_BYTES)
    downloaders = table.number(b"d", high=len(entries) // width)
    for index in range(len(entries) // width):
        record = records[index * DETAIL_BYTES : (index + 1) * DETAIL_BYTES]
        (deadline,) = _DEADLINE.unpack_from(record, CLIENT_BYTES)
        lifetime_s = min((deadline & DEADLINE_MASK) + shift, _MAX_LIFETIME_S)
        if lifetime_s > 0:
            role = Role.PARTIAL_SEED if deadline & PARTIAL else Role.SEED
            entry = entries[index * width : (index + 1) * width]
            role = Role.DOWNLOADER if index < downloaders else role
            yield PeerUpdate(info_hash, entry, record[:CLIENT_BYTES], role, Change.STAY, 0, lifetime_s)
