"""Lines with rates, paths with delays: quanta of bytes wait for the sender's line, then for the receiver's."""

from collections import deque
from collections.abc import Callable, Container

from p2psync.ids import BlockId
from p2psync.swarm.outbox import PayloadMessage, carries_only
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
        if self.turn:
            self.send()


class Wire:
    """One direction of a link. There are tens of thousands of them, and half of all events are theirs.

    Args:
        deliver: Hears whole messages.
        drained: Told each time a message of payload has left, with its size and how long that took.
        pay: Told how much the receiver has read, and when; returns for how long it reads no more.

    Attributes:
        waiting: Messages of payload that have not left entirely.
    """

    __slots__ = (
        "_clock",
        "_delay_s",
        "_deliver",
        "_drained",
        "_left_bytes",
        "_passed_bytes",
        "_pay",
        "_readable_at",
        "_source",
        "_target",
        "_under_way",
        "_under_way_bytes",
        "_window_bytes",
        "delivered_bytes",
        "has_turn",
        "is_cut",
        "waiting",
    )

    def __init__(
        self,
        lines: tuple[Line, Line],
        delay_s: float,
        deliver: Callable[[Message], None],
        drained: Callable[[int, float], None],
        pay: Callable[[int, float], float],
    ) -> None:
        self._source, self._target = lines
        self._clock, self._delay_s = self._source.clock, delay_s
        self._deliver, self._drained, self._pay = deliver, drained, pay
        self._window_bytes = UNDER_WAY_BYTES + int(2 * delay_s * self._source.up_bytes_per_s)
        self.waiting: list[tuple[PayloadMessage, int, float]] = []
        self._left_bytes = self._passed_bytes = 0
        self._under_way: list[tuple[int, list[Message]]] = []
        self._readable_at = 0.0
        self._under_way_bytes = 0
        self.has_turn = self.is_cut = False
        self.delivered_bytes = 0

    @property
    def is_paused(self) -> bool:
        """The receiver does not read, as it limits what it receives."""
        return self._readable_at > self._clock.now

    def put(self, message: PayloadMessage, size: int) -> None:
        """Queue a message of payload."""
        self.waiting.append((message, size, self._clock.now))
        self._left_bytes += size
        if not self.has_turn:
            self._take_turn()

    def take_back(self, ids: Container[BlockId]) -> list[int]:
        """Drop what was queued last and did not begin to leave, while it is nothing but these; return the sizes."""
        sizes: list[int] = []
        while self.waiting:
            message, size, _ = self.waiting[-1]
            if size > self._left_bytes or not carries_only(message, ids):
                break
            self.waiting.pop()
            self._left_bytes -= size
            sizes.append(size)
        if self.has_turn and not self._left_bytes:
            self._source.turn.remove(self)
            self.has_turn = False
        return sizes

    def put_control(self, message: Message) -> None:
        """Send a control message behind what is under way; its own size is taken for nothing."""
        if self._under_way:
            self._under_way[-1][1].append(message)
        else:
            self._clock.after(self._delay_s, self._hear, message)

    def next_quantum(self, most_bytes: int) -> int:
        """Take the next bytes to send: of the first message, and those behind it that fit entirely."""
        size = min(most_bytes, self.waiting[0][1] - self._passed_bytes)
        for _, total, _ in self.waiting[1:]:
            if size + total > most_bytes:
                break
            size += total
        self._left_bytes -= size
        self._under_way_bytes += size
        return size

    def pass_on(self, size: int) -> None:
        """A quantum has left the source: it waits for the target's line."""
        clock, target = self._clock, self._target
        begins = max(clock.now + self._delay_s, target.down_free_at)
        target.down_free_at = begins + size / target.down_bytes_per_s
        riders: list[Message] = []
        self._under_way.append((size, riders))
        clock.at(target.down_free_at, self._arrive)
        self._passed_bytes += size
        while self.waiting and self._passed_bytes >= self.waiting[0][1]:
            message, total, since = self.waiting.pop(0)
            self._passed_bytes -= total
            riders.append(message)
            if not self.is_cut:
                self._drained(total, clock.now - since)
        if self._left_bytes and not self.has_turn:
            self._take_turn()

    def _arrive(self) -> None:
        now = self._clock.now
        if self._readable_at > now:
            self._clock.at(self._readable_at, self._arrive)
            return
        size, riders = self._under_way.pop(0)
        self._readable_at = now + self._pay(size, now)
        self._under_way_bytes -= size
        self.delivered_bytes += size
        for message in riders:
            self._hear(message)
        if self._left_bytes and not self.has_turn:
            self._take_turn()

    def _hear(self, message: Message) -> None:
        if not self.is_cut:
            self._deliver(message)

    def _take_turn(self) -> None:
        if self._left_bytes and not self.has_turn and not self.is_cut and self._under_way_bytes < self._window_bytes:
            self.has_turn = True
            self._source.turn.append(self)
            self._source.send()
