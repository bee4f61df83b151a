"""One link's protocol without its I/O: received bytes in, messages out; messages in, bytes to send out."""

from collections.abc import Mapping
from enum import Enum, auto

from p2psync.errors import LocalProtocolError, P2PSyncError, RemoteProtocolError
from p2psync.ids import BlockId
from p2psync.wire import limits
from p2psync.wire.buffers import BufferPool
from p2psync.wire.compression import unpack
from p2psync.wire.framing import Frame, FrameReader, frame_header
from p2psync.wire.messages import (
    MAX_BODY_BYTES,
    PART_HEAD,
    Buffer,
    Bye,
    Cancel,
    Hello,
    Kind,
    Message,
    Packed,
    encode_body,
    parse_body,
)
from p2psync.wire.reassembly import Reassembly


class State(Enum):
    """Where one side of a connection stands."""

    WAITING = auto()
    """The dialler, before it has heard the other side."""
    OPENING = auto()
    """Its HELLO comes next."""
    READY = auto()
    """Anything but HELLO may come."""
    CLOSED = auto()
    """It has said BYE or its stream has ended."""


class Step(Enum):
    """What moves a side from state to state."""

    GREETED = auto()
    HELLO = auto()
    MESSAGE = auto()
    BYE = auto()
    EOF = auto()


TRANSITIONS: Mapping[State, Mapping[Step, State]] = {
    State.WAITING: {Step.GREETED: State.OPENING, Step.EOF: State.CLOSED},
    State.OPENING: {Step.HELLO: State.READY, Step.BYE: State.CLOSED, Step.EOF: State.CLOSED},
    State.READY: {Step.MESSAGE: State.READY, Step.BYE: State.CLOSED, Step.EOF: State.CLOSED},
    State.CLOSED: {Step.EOF: State.CLOSED},
}


def next_state(state: State, step: Step, *, blame: type[P2PSyncError]) -> State:
    """Return the state that `step` leads to, or raise `blame` if there is none."""
    try:
        return TRANSITIONS[state][step]
    except KeyError:
        raise blame(f"{step.name} in state {state.name}") from None


class Connection:
    """Both sides' states, judged by the same table, and the block that is coming in parts.

    Args:
        accepting: True on the side that accepted the stream, which speaks first.
        buffers: Where payload is received.
    """

    def __init__(self, *, accepting: bool, buffers: BufferPool) -> None:
        self._buffers = buffers
        self.ours = State.OPENING if accepting else State.WAITING
        self.theirs = State.WAITING if accepting else State.OPENING
        self._reader = FrameReader(self._place, {Kind.PART: PART_HEAD.size}, _PAYLOAD_KINDS)
        self._reassembly = Reassembly(buffers)
        self._unknown_frames = 0
        self._unpacked_bytes = 0

    @property
    def payload_bytes(self) -> int:
        """Payload received so far, that of unfinished frames included; what came compressed counts in full."""
        return self._reader.payload_bytes + self._unpacked_bytes

    @property
    def wasted_bytes(self) -> int:
        """Payload of blocks that were begun in parts and not ended, or cancelled meanwhile."""
        return self._reassembly.wasted_bytes

    @property
    def arriving(self) -> tuple[BlockId, int]:
        """Return which block is coming in parts, and how many of its bytes are here; an empty id and 0 if none is."""
        return self._reassembly.id, self._reassembly.filled_bytes

    def writable(self) -> memoryview:
        """Return where the next received bytes must be put; never empty."""
        return self._reader.writable()

    def received(self, count: int) -> list[Message]:
        """Take note that `count` bytes were put at `writable()`, 0 at the end of the stream; return what they complete.

        A block that came in parts is returned as Blocks when its last part is in. Payloads belong to the caller:
        their buffers are not written again while it holds them.

        Raises:
            RemoteProtocolError: The peer broke the protocol; the connection is of no use afterwards.
        """
        if not count:
            self.theirs = next_state(self.theirs, Step.EOF, blame=RemoteProtocolError)
            return []
        messages = []
        for frame in self._reader.received(count):
            message = self._reassembly.finish() if frame.kind == Kind.PART else self._parse(frame)
            if message is not None:
                messages.append(message)
        return messages

    def send(self, message: Message) -> list[Buffer]:
        """Return the buffers to send for a message; payloads are not copied.

        Raises:
            LocalProtocolError: We may not say this now, or it is over a limit.
        """
        self.ours = next_state(self.ours, _step(message), blame=LocalProtocolError)
        if isinstance(message, Hello):
            self.theirs = _greeted(self.theirs)
        if isinstance(message, Cancel):
            self._reassembly.cancel(message.ids)
        kind, body = encode_body(message)
        length = sum(map(len, body))
        if length > MAX_BODY_BYTES[kind]:
            raise LocalProtocolError(f"{kind.name} of {length} bytes, limit {MAX_BODY_BYTES[kind]}")
        header = frame_header(kind, length)
        if body:
            return [header + body[0], *body[1:]]  # the first buffer is a control body or a table: small
        return [header]

    def forget(self) -> None:
        """Let go of what is not complete, megabytes that nobody will ever ask for; of no use afterwards."""
        self._reassembly.forget()
        self._reader.forget()

    def _parse(self, frame: Frame) -> Message | None:
        message = parse_body(frame.kind, frame.body)
        if message is None:
            self._unknown_frames += 1
            if self._unknown_frames > limits.MAX_UNKNOWN_FRAMES:
                raise RemoteProtocolError(f"more than {limits.MAX_UNKNOWN_FRAMES} frames of types unknown here")
            return None
        self.theirs = next_state(self.theirs, _step(message), blame=RemoteProtocolError)
        if isinstance(message, Hello):
            self.ours = _greeted(self.ours)
        return self._unpack(message) if isinstance(message, Packed) else message

    def _unpack(self, packed: Packed) -> Message | None:
        body = unpack(packed)
        self._unpacked_bytes += len(body) - len(packed.data)
        if packed.kind != Kind.PART:
            return parse_body(packed.kind, body)
        head, payload = body[: PART_HEAD.size], body[PART_HEAD.size :]
        if len(head) < PART_HEAD.size:
            raise RemoteProtocolError(f"a part of {len(body)} bytes")
        id_, total, offset = PART_HEAD.unpack(head)
        self._reassembly.place(id_, total, offset, len(payload))[:] = payload
        return self._reassembly.finish()

    def _place(self, kind: int, prefix: memoryview, length: int) -> memoryview:
        if length + len(prefix) > MAX_BODY_BYTES.get(kind, limits.MAX_UNKNOWN_BYTES):
            raise RemoteProtocolError(f"a frame of type {kind} with {length} bytes")
        # Judged before the body is kept: a stranger must not make us hold a megabyte.
        next_state(self.theirs, _STEPS.get(kind, Step.MESSAGE), blame=RemoteProtocolError)
        if kind == Kind.PART:
            id_, total, offset = PART_HEAD.unpack(prefix)
            return self._reassembly.place(id_, total, offset, length)
        return self._buffers.take(length)


_PAYLOAD_KINDS = frozenset({Kind.BLOCKS, Kind.PART, Kind.PACKED})
_STEPS: Mapping[int, Step] = {Kind.HELLO: Step.HELLO, Kind.BYE: Step.BYE}


def _step(message: Message) -> Step:
    if isinstance(message, Hello):
        return Step.HELLO
    return Step.BYE if isinstance(message, Bye) else Step.MESSAGE


def _greeted(state: State) -> State:
    return State.OPENING if state is State.WAITING else state
