"""Keeps links to their limits: says how much to move at once, and waits afterwards."""

import trio

from p2psync.discovery.reach import is_local
from p2psync.swarm.limiter import UNLIMITED_QUANTUM_BYTES, Bucket, Rates, quantum_bytes

SHORTEST_WAIT_S = 0.005
"""Below this nobody waits yet: the bytes are owed, and a hundred waits a second are enough for any rate."""


class Limits:
    """The limits of one folder, which can change at any moment; all its links share two buckets.

    Attributes:
        rates: What holds now.
    """

    def __init__(self, rates: Rates | None = None) -> None:
        self.rates = rates or Rates()
        self.up, self.down = Bucket(), Bucket()
        self.changed = trio.Event()

    def set(self, rates: Rates) -> None:
        """Let other limits hold from now on, for who waits already too."""
        if rates != self.rates:
            self.rates = rates
            self.changed.set()
            self.changed = trio.Event()


class Throttle:
    """One direction of one link.

    Args:
        limits: The folder's.
        upward: Whether it is what we send.
        host: Where the peer is.
    """

    def __init__(self, limits: Limits, *, upward: bool, host: str) -> None:
        self._limits = limits
        self._shared = limits.up if upward else limits.down
        self._own = Bucket()
        self._upward = upward
        self._is_local = is_local(host)

    @property
    def rates(self) -> tuple[float | None, float | None]:
        """What holds now: for all links together, and for this one alone, in bytes a second."""
        rates = self._limits.rates
        if self._is_local and not rates.lan:
            return None, None
        return (rates.up, rates.peer_up) if self._upward else (rates.down, rates.peer_down)

    @property
    def is_exempt(self) -> bool:
        """Whether there is a limit, which does not hold here because the peer is local."""
        limits = self._limits.rates
        theirs = (limits.up, limits.peer_up) if self._upward else (limits.down, limits.peer_down)
        return self._is_local and not limits.lan and theirs != (None, None)

    @property
    def lowest(self) -> float | None:
        """The lower of the limits that hold now, or None if there is none."""
        return min((rate for rate in self.rates if rate is not None), default=None)

    @property
    def quantum_bytes(self) -> int:
        """How much to move in one go."""
        rates = self.rates
        return UNLIMITED_QUANTUM_BYTES if rates == (None, None) else quantum_bytes(rates)

    def charge(self, count: int, now: float) -> float:
        """Count bytes that moved; return for how many seconds no payload should follow, 0 if it is not worth a wait."""
        shared, own = self.rates
        if shared is None and own is None:
            return 0.0
        waits = [0.0]
        if shared is not None:
            waits.append(self._shared.spend(count, shared, now))
        if own is not None:
            waits.append(self._own.spend(count, own, now))
        wait_s = max(waits)
        return wait_s if wait_s > SHORTEST_WAIT_S else 0.0

    async def pay(self, count: int) -> None:
        """Count bytes that moved, and wait until more may; other limits that come meanwhile end the wait."""
        wait_s = self.charge(count, trio.current_time())
        if wait_s:
            with trio.move_on_after(wait_s):
                await self._limits.changed.wait()
