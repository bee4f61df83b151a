"""Lines with rates, paths with delays: quanta of bytes wait for the sender's line, then for the receiver's."""

from collections import deque
from collections.abc import Callable

from p2psync.wire.messages import Message
from scripts.simulation.clock import Clock

UNDER_WAY_BYTES = 128 << 10
"""What a stream keeps in the network besides rate times round trip: a socket's buffers."""


class Line:
    """A host's connection to the network, the same in both directions if not said otherwise."""

    def __init__(self, clock: Clock, up_bytes_per_s: float, down_bytes_per_s: float, quantum_bytes: int) -> None:
        self.clock = clock
        self.up_bytes_per_s = up_bytes_per_s
        self.down_bytes_per_s = down_bytes_per_s
        self.quantum_bytes = quantum_bytes
        self.sent_bytes = 0
        self.down_free_at = 0.0
        self.turn: deque[Wire] = deque()
        self._is_busy = False

    def send(self) -> None:
        """Send the next quantum of the next wire, unless one is being sent."""
        if self._is_busy or not self.turn:
            return
        self._is_busy = True
        wire = self.turn.popleft()
        wire.has_turn = False
        size = wire.next_quantum(self.quantum_bytes)
        self.sent_bytes += size
        self.clock.after(size / self.up_bytes_per_s, self._sent, wire, size)

    def _sent(self, wire: "Wire", size: int) -> None:
        self._is_busy = False
        wire.pass_on(size)
        self.send()


class Wire:
    """One direction of a link.

    Args:
        deliver: Hears whole messages.
        drained: Told each time a message of payload has left, with its size and how long that took.

    Attributes:
        pay: Told how much the receiver has read, and when; returns for how long it reads no more.
    """

    def __init__(
        self,
        source: Line,
        target: Line,
        delay_s: float,
        deliver: Callable[[Message], None],
        drained: Callable[[int, float], None],
    ) -> None:
        self._source, self._target, self._delay_s = source, target, delay_s
        self._deliver, self._drained = deliver, drained
        self._window_bytes = UNDER_WAY_BYTES + int(2 * delay_s * source.up_bytes_per_s)
        self._waiting: deque[tuple[Message, int, float]] = deque()
        self._left_bytes = 0
        self._under_way: deque[tuple[int, list[Message]]] = deque()
        self._readable_at = 0.0
        self.pay: Callable[[int, float], float] = lambda size, now: 0.0
        self._under_way_bytes = 0
        self.has_turn = self.is_cut = False
        self.delivered_bytes = 0

    @property
    def waiting(self) -> int:
        """Messages of payload that have not left entirely."""
        return len(self._waiting)

    @property
    def is_paused(self) -> bool:
        """The receiver does not read, as it limits what it receives."""
        return self._readable_at > self._source.clock.now

    def put(self, message: Message, size: int) -> None:
        """Queue a message of payload."""
        self._waiting.append((message, size, self._source.clock.now))
        if len(self._waiting) == 1:
            self._left_bytes = size
        self._take_turn()

    def put_control(self, message: Message) -> None:
        """Send a control message behind what is under way; its own size is taken for nothing."""
        if self._under_way:
            self._under_way[-1][1].append(message)
        else:
            self._source.clock.after(self._delay_s, self._hear, message)

    def next_quantum(self, most_bytes: int) -> int:
        """Take the next bytes to send."""
        size = min(most_bytes, self._left_bytes)
        self._left_bytes -= size
        self._under_way_bytes += size
        return size

    def pass_on(self, size: int) -> None:
        """A quantum has left the source: it waits for the target's line."""
        clock, target = self._source.clock, self._target
        begins = max(clock.now + self._delay_s, target.down_free_at)
        target.down_free_at = begins + size / target.down_bytes_per_s
        riders: list[Message] = []
        self._under_way.append((size, riders))
        clock.at(target.down_free_at, self._arrive)
        if not self._left_bytes:
            message, total, since = self._waiting.popleft()
            riders.append(message)
            self._left_bytes = self._waiting[0][1] if self._waiting else 0
            if not self.is_cut:
                self._drained(total, clock.now - since)
        self._take_turn()

    def _arrive(self) -> None:
        clock = self._source.clock
        if self.is_paused:
            clock.at(self._readable_at, self._arrive)
            return
        size, riders = self._under_way.popleft()
        self._readable_at = clock.now + self.pay(size, clock.now)
        self._under_way_bytes -= size
        self.delivered_bytes += size
        for message in riders:
            self._hear(message)
        self._take_turn()

    def _hear(self, message: Message) -> None:
        if not self.is_cut:
            self._deliver(message)

    def _take_turn(self) -> None:
        if self._left_bytes and not self.has_turn and not self.is_cut and self._under_way_bytes < self._window_bytes:
            self.has_turn = True
            self._source.turn.append(self)
            self._source.send()
