"""One live link to a peer: a stream's bytes to and from `wire.Connection`, wants answered from the store."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import trio

from p2psync.errors import IntegrityError, P2PSyncError, RemoteProtocolError, StoreError
from p2psync.ids import BlockId, DeviceId, PeerAddress
from p2psync.manifest.head import Standing
from p2psync.store.base import Payload
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.compressing import Compressing
from p2psync.swarm.flow import LifeWatch, Meter, PeerFlow, Pulse
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.limiter import wire_bytes
from p2psync.swarm.outbox import Outbox, PayloadMessage
from p2psync.swarm.pace import Pace
from p2psync.swarm.throttle import Limits, Throttle
from p2psync.swarm.turnstile import Turnstile
from p2psync.swarm.uploads import Dealt, FrameSize, WantQueue, carried_bytes, frames
from p2psync.wire import limits
from p2psync.wire.buffers import BufferPool
from p2psync.wire.compression import pack
from p2psync.wire.connection import Connection
from p2psync.wire.messages import (
    Blocks,
    Buffer,
    Bye,
    Cancel,
    Choke,
    Feature,
    Hello,
    Message,
    Missing,
    Packed,
    Part,
    Ping,
    Pong,
    Want,
    Wish,
    payload_bytes,
)

READ_IDS = 128
"""Small blocks that one hop to the store reads."""


class Stream(Protocol):
    """An authenticated byte stream; raises trio.BrokenResourceError and trio.ClosedResourceError as trio's do."""

    device: DeviceId
    """Who the other end is, proved by its certificate."""

    @property
    def remote_host(self) -> str:
        """The IP address at the other end, empty if there is none."""
        ...

    async def send_all(self, buffers: Sequence[Buffer]) -> None:
        """Send the buffers end to end. After a cancelled send the stream is unusable."""
        ...

    async def receive_into(self, buffer: memoryview) -> int:
        """Receive at least one byte, and as many as are at hand; return how many, 0 at the end of the stream."""
        ...

    async def aclose(self) -> None:
        """Close at once."""
        ...


class LinkOwner(Protocol):
    """Who hears what comes over a link; no call may block for long.

    Attributes:
        pace: What a link that floods must wait for.
    """

    pace: Pace

    def heard(self, link: "Link", message: Message) -> None:
        """Act on a message. What it raises ends the link."""
        ...

    async def wait_room(self) -> None:
        """Wait until received payload may be kept."""
        ...


@dataclass(frozen=True, slots=True)
class Shared:
    """What all links of a swarm have in common.

    Attributes:
        limits: How fast they may be together.
        buffers: Where their payload is received.
        dealt: What was sent to somebody who had wished for it.
        turnstile: Whose frame leaves next.
    """

    limits: Limits = field(default_factory=Limits)
    buffers: BufferPool = field(default_factory=BufferPool)
    dealt: Dealt = field(default_factory=Dealt)
    turnstile: Turnstile = field(default_factory=Turnstile)


class Link:
    """A stream on which both sides speak the protocol.

    Attributes:
        number: Names the link for as long as the program runs.
        dialled: The address that we dialled, or None if the peer did.
        device: Who the peer is.
        host: Where the peer is, if known.
        hello: What the peer said first.
        wants: What the peer asked for.
        turnstile: Where each frame of payload waits for its turn; its swarm's.
        ending: Why the link ended, a sentence; empty while it lives.
        failure: The peer's fault that ended it, if it was one.
        is_paused: We do not read at present: our own store lags, or a limit is reached. The peer is not to blame.
        standing: How the head that it offers compared with the newest we had seen when it came.
        is_choked: We answer none of its wants at present, and have told it so.
        up_limit, down_limit: What keeps us from sending, and from reading, faster than we may.
    """

    def __init__(
        self,
        stream: Stream,
        shared: Shared,
        *,
        number: int,
        dialled: PeerAddress | None = None,
        host: str = "",
    ) -> None:
        now = trio.current_time()
        self.number = number
        self.dialled = dialled
        self.device = stream.device
        self.host = host or stream.remote_host
        self.up_limit = Throttle(shared.limits, upward=True, host=self.host)
        self.down_limit = Throttle(shared.limits, upward=False, host=self.host)
        self.hello = Hello()
        self.holdings = Holdings()
        self.flow = PeerFlow(now)
        self.flow.limit_bytes_per_s = self.down_limit.lowest
        self.wants = WantQueue(shared.dealt)
        self.turnstile = shared.turnstile
        self._turns: deque[int] = deque()
        self.ending = ""
        self.failure: P2PSyncError | None = None
        self.received_bytes = self.sent_bytes = self.uploaded_bytes = self.messages_received = 0
        self._paid_bytes = 0
        self.is_paused = self.is_choked = self._has_told_choked = False
        self.standing: Standing | None = None
        self.down = Meter(now)
        self.up = Meter(now)
        self._life = LifeWatch(now)
        self._sending_since: float | None = None
        self._stream = stream
        self._connection = Connection(accepting=dialled is None, buffers=shared.buffers)
        self._outbox = Outbox()
        self._frame_size = FrameSize()
        self._compressing = Compressing()
        self._wanted = trio.Event()
        self._early: list[Message] = []
        self._scope = trio.CancelScope()

    @property
    def address(self) -> PeerAddress | None:
        """Where the peer accepts links, as far as we know."""
        if self.dialled is not None:
            return self.dialled
        if self.host and self.hello.listen_port:
            return PeerAddress(self.host, self.hello.listen_port)
        return None

    @property
    def payload_bytes(self) -> int:
        """Payload received so far, that of unfinished frames included."""
        return self._connection.payload_bytes

    async def greet(self, ours: Hello) -> bool:
        """Exchange HELLOs, the accepting side's first; return whether the link is up, else `ending` says why not."""
        try:
            with trio.fail_after(limits.HELLO_TIMEOUT_S):
                if self.dialled is None:
                    await self._write([ours])
                await self._hear_hello()
                if self.dialled is not None and not self.ending:
                    await self._write([ours])
        except trio.TooSlowError:
            self.fail(RemoteProtocolError("it did not say HELLO in time"))
        except P2PSyncError as error:
            self.fail(error)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.close("the connection broke")
        return not self.ending

    async def run(self, owner: LinkOwner, store: ThreadedStore) -> None:
        """Move messages until either side closes; `ending` and `failure` say why."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._guard, self._send_loop)
                    nursery.start_soon(self._guard, self._serve_loop, store)
                    nursery.start_soon(self._guard, self._receive_loop, owner)
        finally:
            while self._turns:
                self._leave()

    def send(self, message: Message) -> None:
        """Queue a control message; a peer that does not read loses its link."""
        try:
            self._outbox.put(message)
        except RemoteProtocolError as error:
            self.fail(error)

    def choke(self, choked: bool) -> None:
        """Stop answering wants, those at hand too, or begin again; the peer is told."""
        if choked == self.is_choked:
            return
        self.is_choked = choked
        if choked:
            self.wants.clear()
            self._wanted.set()
            return
        if not self._has_told_choked:  # what it asked for is dropped all the same: it must ask again
            self.send(Choke(True))
        self._has_told_choked = False
        self.send(Choke(False))

    def close(self, ending: str) -> None:
        """End the link, from whatever task; the first reason stands."""
        self.ending = self.ending or ending
        self._scope.cancel()

    def fail(self, failure: P2PSyncError) -> None:
        """End the link for something the peer did."""
        if not self.ending:
            self.failure = failure
        self.close(str(failure))

    def probe(self) -> None:
        """Another link from the same device came up: this one must show soon that it lives."""
        self._life.probe(trio.current_time())

    def tick(self, now: float) -> Pulse:
        """Measure the link and say what to do about its silence."""
        self.down.tick(now, self.payload_bytes)
        self.up.tick(now, self.uploaded_bytes)
        if self._sending_since is not None and now - self._sending_since > limits.SEND_STALL_S:
            return Pulse.DEAD
        if self.is_paused:
            self._life.excuse(now)
        self.flow.limit_bytes_per_s = self.down_limit.lowest
        return self._life.tick(now, self.messages_received, self.payload_bytes, self.sent_bytes)

    async def aclose(self, reason: bytes) -> None:
        """Say why, unless that would take long, and close the stream."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + limits.FAREWELL_S):
            try:
                if self._sending_since is None:
                    await self._write([Bye(reason)])
            except (P2PSyncError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # it is gone already, or never was up: nobody to tell
            await self._stream.aclose()

    async def _guard(self, loop: Callable[..., Awaitable[None]], *args: object) -> None:
        try:
            await loop(*args)
        except (RemoteProtocolError, IntegrityError) as error:
            self.fail(error)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.close("the connection broke")

    async def _hear_hello(self) -> None:
        while not self._early:
            self._early = await self._receive() or []
            if self.ending:
                return
        first = self._early.pop(0)
        if isinstance(first, Hello):
            self.hello = first
        else:  # the state table lets only BYE come instead
            self._take_leave(first)

    async def _receive_loop(self, owner: LinkOwner) -> None:
        messages: list[Message] | None = self._early
        while messages is not None:
            for message in messages:
                self.messages_received += 1
                self._hear(owner, message)
            await self._pause(owner)
            await owner.pace.wait(messages)
            messages = await self._receive()

    async def _pause(self, owner: LinkOwner) -> None:
        """Read no more until there is room for it, and our limits allow it."""
        self.is_paused = True
        await owner.wait_room()
        await self.down_limit.pay(wire_bytes(self.received_bytes - self._paid_bytes))
        self._paid_bytes = self.received_bytes
        self.is_paused = False

    async def _receive(self) -> list[Message] | None:
        """Receive once; return None at the end of the stream."""
        count = await self._stream.receive_into(self._connection.writable()[: self.down_limit.quantum_bytes])
        self.received_bytes += count
        messages = self._connection.received(count)
        if not count:
            self.close("the peer closed the connection")
            return None
        return messages

    def _hear(self, owner: LinkOwner, message: Message) -> None:
        match message:
            case Want() | Wish() if self.is_choked:
                pass  # it had not heard yet
            case Want(ids):
                self.wants.want(ids)
                self._wanted.set()
            case Wish(ids):
                self.wants.wish(ids)
                self._wanted.set()
            case Cancel(ids):
                self.wants.drop(ids)
            case Ping():
                self.send(Pong())
            case Pong():
                pass  # a message was heard: that is all it is for
            case Bye():
                self._take_leave(message)
            case _:
                owner.heard(self, message)

    def _take_leave(self, message: Message) -> None:
        reason = message.reason.decode("ascii", "backslashreplace") if isinstance(message, Bye) else "?"
        self.close(f"the peer closed the link: {reason}")

    async def _send_loop(self) -> None:
        while True:
            messages = await self._outbox.take()
            self._sending_since = began = trio.current_time()
            sent_bytes = await self._write(messages)
            self._sending_since = None
            if isinstance(messages[-1], Blocks | Part | Packed):
                took_s = trio.current_time() - began
                self._frame_size.sent(payload_bytes(messages[-1]), took_s)
                self._compressing.sent(sent_bytes, took_s)
            if isinstance(messages[-1], PayloadMessage):
                self._leave()

    async def _write(self, messages: Sequence[Message]) -> int:
        buffers: list[Buffer] = []
        payload = 0
        for message in messages:
            buffers += self._connection.send(message)
            self.uploaded_bytes += payload_bytes(message)
            payload += carried_bytes(message)
        sent_bytes = sum(map(len, buffers))
        self.sent_bytes += sent_bytes
        self.up_limit.charge(wire_bytes(sent_bytes) - payload)  # what is no payload waits for no limit, but counts
        await self._stream.send_all(buffers)
        return sent_bytes

    async def _serve_loop(self, store: ThreadedStore) -> None:
        while True:
            await self._wait_wants()
            if not self.wants.has_wants:
                await self._outbox.wait_idle()  # what is best to send is known best at the last moment
            await self._enter()
            ids = self.wants.first(READ_IDS, self._frame_size.limit_bytes)
            payloads = await self._read(store, ids)
            ids = ids[: len(payloads)]
            self.wants.drop(ids)
            self.wants.answered(payloads)
            size = min(self._frame_size.limit_bytes, self.up_limit.quantum_bytes)
            has_turn = True  # which ends when the frame has been written
            for message in frames(ids, payloads, size):
                if self.is_choked:
                    break
                if not has_turn:
                    await self._enter()
                await self._put_payload(await self._compressed(store, message))
                has_turn = False
            if has_turn:
                self._leave()

    async def _enter(self) -> None:
        self._turns.append(await self.turnstile.enter())

    def _leave(self) -> None:
        self.turnstile.leave(self._turns.popleft())

    async def _wait_wants(self) -> None:
        while not self.wants:
            if self.is_choked and not self._has_told_choked:
                await self._outbox.wait_idle()  # what is on its way comes first, so that nobody else is asked for it
                self._tell_choked()
            self._wanted = trio.Event()
            await self._wanted.wait()

    def _tell_choked(self) -> None:
        if self.is_choked:
            self._has_told_choked = True
            self.send(Choke(True))

    async def _put_payload(self, message: PayloadMessage) -> None:
        await self._outbox.put_payload(message)
        began = trio.current_time()
        await self.up_limit.pay(carried_bytes(message))
        self._compressing.sent(0, trio.current_time() - began)

    async def _compressed(self, store: ThreadedStore, message: Blocks | Part | Missing) -> PayloadMessage:
        if isinstance(message, Missing) or Feature.ZSTD not in self.hello.features or not self._compressing.wants():
            return message
        packed = await store.compute(pack, message)
        return packed if self._compressing.is_worthwhile(packed.length, len(packed.data)) else message

    @staticmethod
    async def _read(store: ThreadedStore, ids: Sequence[BlockId]) -> Sequence[Payload | None]:
        try:
            return await store.read(ids)
        except StoreError:
            return [None] * len(ids)  # the peer may find them elsewhere; whoever writes will say what is wrong here
