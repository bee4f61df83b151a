"""Connection ids without state: a keyed hash of the client's address and the time (BEP 15).

    id: 2 bytes of the time in units of 2 s · 6 bytes of keyed BLAKE2s over (time, address)

Whoever answers with the id of an address receives what is sent there, so nothing but a connect answer, as
short as its question, ever goes to an address that somebody else wrote into a packet.
"""

from hashlib import blake2s
from hmac import compare_digest

KEY_BYTES = 32
_TAG_BYTES = 6
_UNIT_S = 2
_SKEW_UNITS = 5
_VALID_UNITS = 60  # BEP 15: accepted for two minutes, used by clients for one


class ConnectionIds:
    """Makes and checks ids; every tracker with the same key and clock accepts the ids of the others."""

    def __init__(self, key: bytes) -> None:
        """Take `KEY_BYTES` secret bytes."""
        self._keyed = blake2s(key=key, digest_size=_TAG_BYTES)

    def issue(self, ip: bytes, now: float) -> bytes:
        """Return the 8 byte id of an address at a time (in seconds, of whatever clock)."""
        return self._id_of(int(now) // _UNIT_S, ip)

    def accepts(self, connection_id: bytes, ip: bytes, now: float) -> bool:
        """Say whether an id was issued to this address in the last two minutes."""
        unit = int(now) // _UNIT_S
        # An id from the future seems very old, but for the little by which clocks of two trackers differ.
        age = ((unit - int.from_bytes(connection_id[:2], "big") + _SKEW_UNITS) & 0xFFFF) - _SKEW_UNITS
        return age <= _VALID_UNITS and compare_digest(self._id_of(unit - age, ip), connection_id)

    def _id_of(self, unit: int, ip: bytes) -> bytes:
        time = unit.to_bytes(8, "big", signed=True)  # a machine without a clock believes that it is 1970
        tag = self._keyed.copy()
        tag.update(time + ip)
        return time[6:] + tag.digest()
