"""How fast a peer sends what it owes us, and so how much to ask of it. Pure."""

from enum import Enum, auto

from p2psync.wire import limits

START_WINDOW_BYTES = 2 << 20
"""Before a rate is known: 20 ms at 100 MB/s, 2 s at 10 Mbit/s."""
MIN_WINDOW_BYTES = 128 << 10
"""Keeps a peer of 50 KiB/s busy between two ticks."""
LIMITED_WINDOW_BYTES = 32 << 10
LIMITED_WINDOW_S = 1.0
"""The same, and how far ahead, where we read slower on purpose: two ticks, and the round trip of a bad network."""
MAX_WINDOW_BYTES = 32 << 20
"""Rate times round trip at 10 Gbit/s and 25 ms; all of it may become unwritten payload."""
WINDOW_S = 0.2
"""What a peer is asked for ahead, on top of two delays: it bridges a pause of ours, and is all that a slow peer may
hold the end back by. More would commit us to a peer for what another could send sooner."""
MAX_DELAY_S = 2.0
_NEW_SHARE = 0.4
"""Weight of the newest measurement: a change of rate is followed within a second."""


class PeerFlow:
    """Rate, window and patience for one peer.

    Attributes:
        rate_bytes_per_s: Payload received a second while something was owed; 0 until measured.
        snubbed: It owed us and sent nothing useful for `SNUB_S`.
        limit_bytes_per_s: No more is read from it, by our own choice; None where it is not limited.
    """

    def __init__(self, now: float) -> None:
        self.rate_bytes_per_s = 0.0
        self.snubbed = False
        self.limit_bytes_per_s: float | None = None
        self._measured = False
        self._delay_s = MAX_DELAY_S
        self._waiting_since: float | None = None
        self._useful_at = now
        self._useful_bytes = 0
        self._ticked_at = now
        self._ticked_bytes = 0
        self._owing = False

    @property
    def window_bytes(self) -> int:
        """Bytes to keep in flight."""
        if self.limit_bytes_per_s is None:
            return self._free_window_bytes()
        # What is asked for beyond it would stand between us and what the peer says meanwhile.
        return min(self._free_window_bytes(), max(LIMITED_WINDOW_BYTES, int(self.limit_bytes_per_s * LIMITED_WINDOW_S)))

    def _free_window_bytes(self) -> int:
        if self.snubbed:
            return MIN_WINDOW_BYTES
        if not self._measured:
            return START_WINDOW_BYTES
        seconds = WINDOW_S + 2 * self._delay_s
        return max(MIN_WINDOW_BYTES, min(MAX_WINDOW_BYTES, int(self.rate_bytes_per_s * seconds)))

    def asked(self, now: float) -> None:
        """Take note that the peer owes us something; patience begins now if it owed nothing."""
        if not self._owing:
            self._useful_at = max(self._useful_at, now - limits.SNUB_S) if self.snubbed else now
            self._waiting_since = now
        self._owing = True

    def arrived(self, now: float) -> None:
        """Blocks came; the first after a pause shows the delay of the path, the peer's disk included."""
        if self._waiting_since is not None:
            self._delay_s = min(self._delay_s, now - self._waiting_since)
            self._waiting_since = None

    def tick(self, now: float, payload_bytes: int, *, owing: bool) -> None:
        """Measure: `payload_bytes` were received in all since the link began."""
        elapsed, received = now - self._ticked_at, payload_bytes - self._ticked_bytes
        self._ticked_at, self._ticked_bytes = now, payload_bytes
        if elapsed > 0 and self._owing and owing:
            rate = received / elapsed
            share = _NEW_SHARE if self._measured else 1.0
            if self._measured or received:
                self.rate_bytes_per_s += share * (rate - self.rate_bytes_per_s)
                self._measured = True
        self._owing = owing
        if payload_bytes - self._useful_bytes >= limits.LIFE_SIGN_BYTES or not (owing or self.snubbed):
            self._useful_at, self._useful_bytes = now, payload_bytes
            self.snubbed = False

    def excuse(self, now: float) -> None:
        """We did not read: patience begins anew."""
        self._useful_at = now

    def is_overdue(self, now: float) -> bool:
        """Say whether the peer should be snubbed: it owes and has sent nothing useful for too long."""
        return self._owing and not self.snubbed and now - self._useful_at > limits.SNUB_S

    def is_stalled(self, now: float) -> bool:
        """Say whether the peer should be dropped: snubbed, asked again, and still nothing."""
        return self._owing and now - self._useful_at > limits.STALL_S


class Meter:
    """A rate for people to read, and for choosing the size of frames: bytes a second over the last seconds."""

    def __init__(self, now: float) -> None:
        self.rate_bytes_per_s = 0.0
        self._at = now
        self._bytes = 0

    def tick(self, now: float, total_bytes: int) -> None:
        """Measure: `total_bytes` were moved in all."""
        elapsed = now - self._at
        if elapsed > 0:
            rate = (total_bytes - self._bytes) / elapsed
            self.rate_bytes_per_s += _NEW_SHARE * (rate - self.rate_bytes_per_s)
            self._at, self._bytes = now, total_bytes


class Pulse(Enum):
    """What to do about a link's silence."""

    ALIVE = auto()
    PING = auto()
    DEAD = auto()


class LifeWatch:
    """Whether the other end is still there: whole messages and payload are signs of life, single bytes are not."""

    def __init__(self, now: float) -> None:
        self._alive_at = now
        self._pinged_at = now
        self._messages = 0
        self._payload_bytes = 0
        self._spoke_at = now
        self._sent_bytes = 0
        self._probed_until: float | None = None

    def probe(self, now: float) -> None:
        """Another link from the same device came up: this one must show life soon."""
        self._probed_until = now + limits.PROBE_S
        self._pinged_at = now - limits.IDLE_PING_S

    def excuse(self, now: float) -> None:
        """We did not listen: silence counts from now on."""
        self._alive_at = now

    def tick(self, now: float, messages: int, payload_bytes: int, sent_bytes: int) -> Pulse:
        """Judge by how many messages and how much payload were received, and how much was sent, in all.

        A ping also says that we live: a peer that sends us much, which we read slowly, would else take us for dead.
        """
        if sent_bytes != self._sent_bytes:
            self._spoke_at, self._sent_bytes = now, sent_bytes
        if messages != self._messages or payload_bytes - self._payload_bytes >= limits.LIFE_SIGN_BYTES:
            self._messages, self._payload_bytes = messages, payload_bytes
            self._alive_at, self._probed_until = now, None
        if now - self._alive_at > limits.DEAD_LINK_S or (self._probed_until is not None and now > self._probed_until):
            return Pulse.DEAD
        quiet_since = min(self._alive_at, self._spoke_at)
        if now - max(self._pinged_at, quiet_since) >= limits.IDLE_PING_S or (
            self._probed_until is not None and now - self._pinged_at >= limits.IDLE_PING_S
        ):
            self._pinged_at = now
            return Pulse.PING
        return Pulse.ALIVE
