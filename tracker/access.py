"""Who may be served: info hashes that are allowed or denied, and how often one address may ask."""

import enum
from dataclasses import dataclass

from p2psync.errors import ConfigError
from p2psync.ids import INFO_HASH_BYTES, InfoHash

_MAX_NAMED_FAULTS = 5
_ROUNDING_S = 1e-6


class Mode(enum.StrEnum):
    """What a list of info hashes means."""

    OPEN = "open"
    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Access:
    """Which swarms are served, and to whom.

    Attributes:
        mode: All swarms, those listed, or all but those.
        hashes: Those listed.
        keys: If there are any, clients must have one of them in the tracker's URL: `/KEY/announce`.
    """

    mode: Mode = Mode.OPEN
    hashes: frozenset[InfoHash] = frozenset()
    keys: frozenset[bytes] = frozenset()

    def permits(self, info_hash: InfoHash) -> bool:
        """Say whether a swarm is served."""
        return self.mode is Mode.OPEN or (info_hash in self.hashes) is (self.mode is Mode.ALLOW)

    def admits(self, key: bytes) -> bool:
        """Say whether a client that has this key in its URL is served."""
        return not self.keys or key in self.keys


def parse_keys(text: str, *, source: str) -> frozenset[bytes]:
    """Read a list of access keys, one a line, letters and digits; blank lines and what follows `#` are skipped.

    Args:
        text: The file.
        source: Its name, for errors.

    Raises:
        ConfigError: A key could not stand in a URL, or there is none, which would admit everybody.
    """
    keys = [line.partition("#")[0].strip() for line in text.splitlines()]
    if not all(key.isascii() and key.isalnum() for key in keys if key) or not any(keys):
        raise ConfigError(f"{source}: an access key is a word of letters and digits, and there must be at least one")
    return frozenset(key.encode() for key in keys if key)


def parse_hashes(text: str, *, source: str) -> frozenset[InfoHash]:
    """Read a list of info hashes, one a line in hex; blank lines and what follows `#` are skipped.

    Args:
        text: The file.
        source: Its name, for errors.

    Raises:
        ConfigError: Naming the first lines that are none.
    """
    hashes, faults = set(), []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.partition("#")[0].strip()
        try:
            info_hash = bytes.fromhex(word)
        except ValueError:
            info_hash = b"?"
        if len(info_hash) == INFO_HASH_BYTES:
            hashes.add(InfoHash(info_hash))
        elif word:
            faults.append(str(number))
    if faults:
        raise ConfigError(
            f"{source}: an info hash is 40 hex digits, unlike line {', '.join(faults[:_MAX_NAMED_FAULTS])}"
        )
    return frozenset(hashes)


class RateLimiter:
    """Announces per owner of an address: `rate` a second over time, `burst` at once.

    For each owner one number, the time when all it has used is paid back (the "generic cell rate algorithm"). An owner
    silent for long enough has paid, so two generations of a dictionary forget without ever being searched.
    """

    def __init__(self, rate_per_s: float, burst: int) -> None:
        """Take the limits; a rate of 0 lets everybody pass."""
        self._cost_s = 1 / rate_per_s if rate_per_s else 0.0
        self._credit_s = burst * self._cost_s + _ROUNDING_S
        self._paid: dict[bytes, float] = {}
        self._older: dict[bytes, float] = {}
        self._turn_at = 0.0

    def admit(self, owner: bytes, now: float) -> bool:
        """Count one announce, unless it is one too many."""
        if not self._cost_s:
            return True
        if now >= self._turn_at:
            self._older, self._paid = self._paid, {}
            self._turn_at = now + self._credit_s + self._cost_s
        paid = self._paid.get(owner)
        if paid is None:
            paid = self._older.get(owner, now)
        paid = max(paid, now) + self._cost_s
        if paid - now > self._credit_s:
            return False
        self._paid[owner] = paid
        return True

    def __len__(self) -> int:
        return len(self._paid) + len(self._older)
