"""How fast bytes may move: buckets that are paid into with time. Pure.

A bucket knows no waiting. Whoever moved bytes is told for how long to move no more; what came late because the machine
was busy is made up for, so the rate is met and not only kept below.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from p2psync.wire.limits import RECORD_BYTES
from p2psync.wire.records import RECORD_OVERHEAD_BYTES

SLACK_S = 0.25
"""A delay up to this, of ours, is made up for; after a longer pause nothing is saved up, so nothing bursts."""
QUANTUM_S = 0.05
"""What is moved in one go should last for this: twenty steps a second are smooth, and cost nothing."""
MIN_QUANTUM_BYTES = 16 << 10
"""In smaller steps only the overhead would grow."""
MAX_QUANTUM_BYTES = 1 << 20
UNLIMITED_QUANTUM_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Rates:
    """Limits in bytes a second; None where there is none.

    Attributes:
        up: All that is sent.
        down: All that is received.
        peer_up: What each peer is sent.
        peer_down: What is received from each peer.
        lan: The limits hold for peers on the local network as well.
    """

    up: float | None = None
    down: float | None = None
    peer_up: float | None = None
    peer_down: float | None = None
    lan: bool = True


class Bucket:
    """One limit, shared by all whose bytes it counts."""

    def __init__(self) -> None:
        self._debt_bytes = 0.0
        self._at = 0.0

    def spend(self, count: int, rate_bytes_per_s: float, now: float) -> float:
        """Count bytes that moved; return for how many seconds no more may move, 0 or less if they may at once.

        Args:
            count: Bytes on the wire.
            rate_bytes_per_s: The limit at this moment; it may be another one each time.
            now: In seconds.
        """
        self._debt_bytes -= (now - self._at) * rate_bytes_per_s
        self._at = now
        if self._debt_bytes < -SLACK_S * rate_bytes_per_s:
            self._debt_bytes = 0.0
        self._debt_bytes += count
        return self._debt_bytes / rate_bytes_per_s


def quantum_bytes(rates: Sequence[float | None]) -> int:
    """Return how much to move in one go under several limits at once."""
    lowest = min((rate for rate in rates if rate is not None), default=None)
    if lowest is None:
        return UNLIMITED_QUANTUM_BYTES
    return max(MIN_QUANTUM_BYTES, min(MAX_QUANTUM_BYTES, int(lowest * QUANTUM_S)))


def wire_bytes(count: int) -> int:
    """Return what `count` bytes take on the wire in records, headers of TCP and IP aside."""
    return count + -(-count // RECORD_BYTES) * RECORD_OVERHEAD_BYTES
