"""What waits to be sent on one link: control messages first, then at most a little payload."""

from collections import deque
from collections.abc import Container

import trio

from p2psync.errors import RemoteProtocolError
from p2psync.ids import BLOCK_ID_BYTES, BlockId
from p2psync.wire.messages import Blocks, Cancel, Have, HeadOffer, Message, Missing, Packed, Part, Want, WantAny, Wish

PAYLOAD_MESSAGES = 2
"""One frame that is being encrypted and one that is ready: more would only be memory."""
MAX_CONTROL_MESSAGES = 10_000
"""Control messages for a peer that does not read; past this it is no peer."""
MAX_CONTROL_BYTES = 16 << 20
"""The same in bytes: one HAVE can have half a megabyte. To announce parts of a hundred million blocks takes 13 MB."""

PayloadMessage = Blocks | Part | Packed | Missing
"""Answers to wants: as many as the peer takes, and not more."""


class Outbox:
    """Control messages and payload in their two queues; one task sends."""

    def __init__(self) -> None:
        self._control: deque[Message] = deque()
        self._control_bytes = 0
        self._payload: deque[PayloadMessage] = deque()
        self._filled = trio.Event()
        self._drained = trio.Event()
        self._taken = False

    def put(self, message: Message) -> None:
        """Queue a control message, ahead of all payload.

        Raises:
            RemoteProtocolError: The peer has not read for so long that nothing more is queued.
        """
        if len(self._control) >= MAX_CONTROL_MESSAGES or self._control_bytes >= MAX_CONTROL_BYTES:
            raise RemoteProtocolError("the peer does not read what it is sent")
        self._control.append(message)
        self._control_bytes += _about_bytes(message)
        self._filled.set()

    async def wait_room(self) -> None:
        """Wait until less than two answers to wants are queued."""
        while len(self._payload) >= PAYLOAD_MESSAGES:
            self._drained = trio.Event()
            await self._drained.wait()

    def put_payload(self, message: PayloadMessage) -> None:
        """Queue an answer to a want, for which there is room."""
        self._payload.append(message)
        self._filled.set()

    def take_back(self, ids: Container[BlockId]) -> int:
        """Drop what was queued last, for as long as it holds nothing but these blocks; return how many messages."""
        count = 0
        while self._payload and carries_only(self._payload[-1], ids):
            self._payload.pop()
            count += 1
        if count:
            self._drained.set()
        return count

    async def wait_idle(self) -> None:
        """Wait until no payload is queued, and what was taken has been sent."""
        while self._payload or self._taken:
            self._drained = trio.Event()
            await self._drained.wait()

    async def take(self) -> list[Message]:
        """Wait for something to send: all control messages, and one of payload. What was taken before has been sent."""
        self._taken = False
        if not self._payload:
            self._drained.set()
        while not self._control and not self._payload:
            self._filled = trio.Event()
            await self._filled.wait()
        messages = list(self._control)
        self._control.clear()
        self._control_bytes = 0
        if self._payload:
            messages.append(self._payload.popleft())
            self._taken = True
            self._drained.set()
        return messages


def ids_of(message: PayloadMessage) -> list[BlockId]:
    """Return the blocks of which a message carries bytes; none if it is compressed, as it does not tell any more."""
    match message:
        case Blocks(blocks):
            return [id_ for id_, _ in blocks]
        case Part(id_):
            return [id_]
    return []


def carries_only(message: PayloadMessage, ids: Container[BlockId]) -> bool:
    """Say whether a message carries bytes of these blocks and of no other."""
    carried = ids_of(message)
    return bool(carried) and all(id_ in ids for id_ in carried)


def _about_bytes(message: Message) -> int:
    """Return about how long a control message is on the wire; those that are always short count as nothing."""
    match message:
        case Want(ids) | WantAny(ids) | Wish(ids) | Cancel(ids):
            return BLOCK_ID_BYTES * len(ids)
        case Have(complete, whole, partial, gone):
            ids_bytes = BLOCK_ID_BYTES * (len(complete) + len(whole) + len(partial) + len(gone))
            return ids_bytes + sum([len(bits) for _, bits in partial])
        case HeadOffer(head):
            return len(head)
    return 0
