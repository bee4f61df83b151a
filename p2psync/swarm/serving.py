"""What one link's peer asked for, on its way from the store to the outbox."""

from collections import deque
from collections.abc import Callable, Sequence

import trio

from p2psync.errors import StoreError
from p2psync.ids import BlockId
from p2psync.store.base import Payload
from p2psync.store.long_block import LongBlock
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.choking import ChokeNotice
from p2psync.swarm.compressing import Compressing
from p2psync.swarm.frame_size import FrameRoom, FrameSize
from p2psync.swarm.outbox import Outbox, PayloadMessage, ids_of
from p2psync.swarm.throttle import Throttle
from p2psync.swarm.turnstile import Turnstile
from p2psync.swarm.uploads import WantQueue, carried_bytes, frames, parts
from p2psync.wire.compression import pack
from p2psync.wire.messages import Blocks, Cancel, Message, Missing, Packed, Part, Want, WantAny, Wish, payload_bytes

READ_IDS = 128
"""Small blocks that one hop to the store reads."""


class Serving:
    """Answers a peer's wants, a frame at a time.

    Args:
        wants: Where they wait.
        outbox: Where the answers go.
        turnstile: Where each frame waits for its turn.
        room: The memory for frames.
        limit: What keeps us from sending faster than we may.
        send: Queues a control message.

    Attributes:
        compresses: The peer reads PACKED.
    """

    def __init__(
        self,
        wants: WantQueue,
        outbox: Outbox,
        turnstile: Turnstile,
        room: FrameRoom,
        limit: Throttle,
        send: Callable[[Message], None],
    ) -> None:
        self._wants = wants
        self._outbox = outbox
        self._turnstile = turnstile
        self._room = room
        self._limit = limit
        self._send = send
        self.compresses = False
        self._notice = ChokeNotice()
        self._turns: deque[int] = deque()
        self._has_turn = False
        self._frame_size = FrameSize()
        self._compressing = Compressing()
        self._wanted = trio.Event()
        self._leaving: set[BlockId] = set()

    @property
    def is_choked(self) -> bool:
        """Nothing is answered at present, and the peer has been told so, or soon will be."""
        return self._notice.is_choked

    def hear(self, message: Want | WantAny | Wish | Cancel) -> None:
        """Take note of what is wanted.

        Raises:
            RemoteProtocolError: The peer wants more at once than one peer may.
        """
        if isinstance(message, Cancel):
            self._wants.drop(message.ids)
            self._cut_off(set(message.ids))
        elif not self.is_choked:  # else it had not heard yet
            self._wants.ask(message)
            self._wanted.set()

    def choke(self, choked: bool) -> None:
        """Stop answering wants, those at hand too, or begin again; the peer is told."""
        for message in self._notice.choke(choked):
            self._send(message)
        if choked:
            self._wants.clear()
            self._wanted.set()

    def sent(self, message: Message, wire_bytes: int, took_s: float) -> None:
        """Take note that a message has left, if it was one of payload."""
        if isinstance(message, Blocks | Part | Packed):
            self._frame_size.sent(payload_bytes(message), took_s)
            self._compressing.sent(wire_bytes, took_s)
            self._wants.frame_left(took_s)
        if isinstance(message, PayloadMessage):
            self._leave()

    async def run(self, store: ThreadedStore) -> None:
        """Answer, until cancelled."""
        self._room.link_up()
        try:
            while True:
                await self._wait_wants()
                if not self._wants.has_wants:
                    await self._outbox.wait_idle()  # what is best to send is known best at the last moment
                await self._enter()
                await self._answer(store)
        finally:
            self._room.link_down()

    def end(self) -> None:
        """Let others have the turns of what never left."""
        while self._turns:
            self._leave()

    async def _answer(self, store: ThreadedStore) -> None:
        size = min(self._frame_size.limit_bytes, self._room.frame_bytes)
        ids = self._wants.first(READ_IDS, size, trio.current_time())
        payloads = await self._read(store, ids, self._room.share_bytes)
        self._wants.answered(ids, payloads)
        ids = ids[: len(payloads)]
        self._leaving = set(ids)
        size = min(size, self._limit.quantum_bytes)
        for message in frames(ids, payloads, size):
            if self.is_choked:
                break
            if isinstance(message, LongBlock):
                await self._send_long(store, message, size)
            else:
                await self._send_frame(store, message)
        self._leaving.clear()
        if self._has_turn:
            self._has_turn = False
            self._leave()

    async def _send_long(self, store: ThreadedStore, block: LongBlock, size: int) -> None:
        while block.id in self._leaving and not (block.is_ended or self.is_choked):
            offset = block.offset
            stretch = await self._read_on(store, block, self._room.share_bytes)
            if stretch is None:
                await self._send_frame(store, Missing([block.id]))
                return
            for part in parts(block.id, len(block), offset, stretch, size):
                if self.is_choked:
                    break
                await self._send_frame(store, part)

    async def _send_frame(self, store: ThreadedStore, message: Blocks | Part | Missing) -> None:
        if not self._is_wanted(message):
            return
        if not self._has_turn:
            await self._enter()
        frame = await self._compressed(store, message)
        await self._outbox.wait_room()
        if self._is_wanted(message):
            self._has_turn = False  # it ends when the frame has been written
            await self._put(frame)

    def _is_wanted(self, message: Blocks | Part | Missing) -> bool:
        return isinstance(message, Missing) or not self._leaving.isdisjoint(ids_of(message))

    def _cut_off(self, ids: set[BlockId]) -> None:
        """Let blocks that are needed no longer leave no further than they have."""
        cut = self._leaving & ids
        self._leaving -= cut
        self._wants.cut_off(cut)
        for _ in range(self._outbox.take_back(ids)):
            self._turnstile.leave(self._turns.pop())

    async def _enter(self) -> None:
        self._turns.append(await self._turnstile.enter())
        self._has_turn = True

    def _leave(self) -> None:
        self._turnstile.leave(self._turns.popleft())

    async def _wait_wants(self) -> None:
        while rest_s := self._wants.rest_s(trio.current_time()):
            if self._notice.is_owed:
                await self._outbox.wait_idle()
                for message in self._notice.all_left():
                    self._send(message)
                continue  # what was heard meanwhile has not been looked at
            self._wanted = trio.Event()
            with trio.move_on_after(rest_s):
                await self._wanted.wait()

    async def _put(self, message: PayloadMessage) -> None:
        self._outbox.put_payload(message)
        began = trio.current_time()
        await self._limit.pay(carried_bytes(message))
        self._compressing.sent(0, trio.current_time() - began)

    async def _compressed(self, store: ThreadedStore, message: Blocks | Part | Missing) -> PayloadMessage:
        if isinstance(message, Missing) or not self.compresses or not self._compressing.wants():
            return message
        packed = await store.compute(pack, message)
        return packed if self._compressing.is_worthwhile(packed.length, len(packed.data)) else message

    @staticmethod
    async def _read(
        store: ThreadedStore, ids: Sequence[BlockId], whole_bytes: int
    ) -> Sequence[Payload | LongBlock | None]:
        try:
            return await store.read(ids, whole_bytes)
        except StoreError:
            return [None] * len(ids)  # the peer may find them elsewhere; whoever writes will say what is wrong here

    @staticmethod
    async def _read_on(store: ThreadedStore, block: LongBlock, count: int) -> Payload | None:
        try:
            return await store.read_on(block, count)
        except StoreError:
            return None
