"""Version vectors: which device's changes an entry or a head includes.

Packed as 16 bytes a device, ascending: the first 8 bytes of the device id, then its counter, 64 bits big-endian.
"""

import struct

from p2psync.errors import RemoteProtocolError
from p2psync.ids import DeviceId

DEVICE_PREFIX_BYTES = 8
_ITEM = struct.Struct(">8sQ")
VERSION_ITEM_BYTES = _ITEM.size

VersionVector = dict[bytes, int]


def parse_version(packed: bytes) -> VersionVector:
    """Read a packed version vector.

    Raises:
        RemoteProtocolError: It is not a whole number of items, not ascending, or has a counter of zero.
    """
    if len(packed) % _ITEM.size:
        raise RemoteProtocolError(f"a version vector of {len(packed)} bytes")
    version = dict(_ITEM.iter_unpack(packed))
    if encode_version(version) != packed or not all(version.values()):
        raise RemoteProtocolError("a version vector that is not in its one canonical form")
    return version


def encode_version(version: VersionVector) -> bytes:
    """Pack a version vector."""
    return b"".join(_ITEM.pack(device, count) for device, count in sorted(version.items()))


def bump(version: VersionVector, device: DeviceId) -> VersionVector:
    """Return the vector after one more change by `device`."""
    prefix = device[:DEVICE_PREFIX_BYTES]
    return version | {prefix: version.get(prefix, 0) + 1}
