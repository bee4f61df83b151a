"""One live link to a peer: a stream's bytes to and from `wire.Connection`, wants answered from the store."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import trio

from p2psync.errors import IntegrityError, P2PSyncError, RemoteProtocolError
from p2psync.ids import BlockId, DeviceId, PeerAddress
from p2psync.manifest.head import Standing
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.flow import LifeWatch, Meter, PeerFlow, Pulse
from p2psync.swarm.frame_size import FrameRoom
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.limiter import wire_bytes
from p2psync.swarm.outbox import Outbox
from p2psync.swarm.pace import Pace
from p2psync.swarm.serving import Serving
from p2psync.swarm.throttle import Limits, Throttle
from p2psync.swarm.turnstile import Turnstile
from p2psync.swarm.uploads import Dealt, WantQueue, carried_bytes
from p2psync.wire import limits
from p2psync.wire.buffers import BufferPool
from p2psync.wire.connection import Connection
from p2psync.wire.messages import (
    Buffer,
    Bye,
    Cancel,
    Feature,
    Hello,
    Message,
    Ping,
    Pong,
    Want,
    WantAny,
    Wish,
    payload_bytes,
)


class Stream(Protocol):
    """An authenticated byte stream; raises trio.BrokenResourceError and trio.ClosedResourceError as trio's do."""

    device: DeviceId
    """Who the other end is, proved by its certificate."""

    @property
    def remote_host(self) -> str:
        """The IP address at the other end, empty if there is none."""
        ...

    @property
    def unread_bytes(self) -> int:
        """Bytes that have arrived and cannot be received yet."""
        ...

    async def send_all(self, buffers: Sequence[Buffer]) -> None:
        """Send the buffers end to end. After a cancelled send the stream is unusable."""
        ...

    async def receive_into(self, buffer: memoryview) -> int:
        """Receive at least one byte, and as many as are at hand; return how many, 0 at the end of the stream."""
        ...

    def share_line(self) -> None:
        """Make way for other streams on our line from now on."""
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
        dealt: What was sent to whom.
        turnstile: Whose frame leaves next.
        room: The memory for frames that are being sent.
    """

    limits: Limits = field(default_factory=Limits)
    buffers: BufferPool = field(default_factory=BufferPool)
    dealt: Dealt = field(default_factory=Dealt)
    turnstile: Turnstile = field(default_factory=Turnstile)
    room: FrameRoom = field(default_factory=FrameRoom)


class Link:
    """A stream on which both sides speak the protocol.

    Attributes:
        number: Names the link for as long as the program runs.
        dialled: The address that we dialled, or None if the peer did.
        device: Who the peer is.
        host: Where the peer is, if known.
        hello: What the peer said first.
        wants: What the peer asked for.
        ending: Why the link ended, a sentence; empty while it lives.
        failure: The peer's fault that ended it, if it was one.
        farewell: The code with which we end it, or the peer did; empty if there is none.
        is_paused: We do not read at present: our own store lags, or a limit is reached. The peer is not to blame.
        standing: How the head that it offers compared with the newest we had seen when it came.
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
        self.wants = WantQueue(shared.dealt, self.holdings)
        self.ending = ""
        self.failure: P2PSyncError | None = None
        self.farewell = b""
        self.received_bytes = self.sent_bytes = self.uploaded_bytes = self.messages_received = 0
        self._paid_bytes = 0
        self.is_paused = False
        self.standing: Standing | None = None
        self.down = Meter(now)
        self.up = Meter(now)
        self._life = LifeWatch(now)
        self._sending_since: float | None = None
        self._shares_line = False
        self._stream = stream
        self._connection = Connection(accepting=dialled is None, buffers=shared.buffers)
        self._outbox = Outbox()
        self._serving = Serving(self.wants, self._outbox, shared.turnstile, shared.room, self.up_limit, self.send)
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
        """Payload received so far, that of unfinished frames and records included."""
        return self._connection.payload_bytes + self._stream.unread_bytes

    @property
    def wasted_bytes(self) -> int:
        """Payload of blocks that were begun in parts and not ended, or cancelled meanwhile."""
        return self._connection.wasted_bytes

    def arriving(self) -> tuple[BlockId, int]:
        """Return which block is coming in parts, and how many of its bytes are here; an empty id and 0 if none is."""
        return self._connection.arriving

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
                    nursery.start_soon(self._guard, self._serving.run, store)
                    nursery.start_soon(self._guard, self._receive_loop, owner)
        finally:
            self._serving.end()

    def send(self, message: Message) -> None:
        """Queue a control message; a peer that does not read loses its link."""
        try:
            self._outbox.put(message)
        except RemoteProtocolError as error:
            self.fail(error)

    def choke(self, choked: bool) -> None:
        """Stop answering wants, those at hand too, or begin again; the peer is told."""
        self._serving.choke(choked)

    @property
    def heeds_choke(self) -> bool:
        """Whether the peer's program knows what it means to be choked."""
        return Feature.CHOKE in self.hello.features

    @property
    def is_choked(self) -> bool:
        """Whether we answer none of its wants at present, and have told it so."""
        return self._serving.is_choked

    def close(self, ending: str, farewell: bytes = b"") -> None:
        """End the link, from whatever task; the first reason stands."""
        if not self.ending:
            self.ending, self.farewell = ending, farewell
        self._scope.cancel()

    def fail(self, failure: P2PSyncError) -> None:
        """End the link for something the peer did."""
        if not self.ending:
            # Its traceback would hold what was being heard, megabytes, in a cycle with this link.
            self.failure = failure.with_traceback(None)
        self.close(str(failure))

    def probe(self) -> None:
        """Another link from the same device came up: this one must show soon that it lives."""
        self._life.probe(trio.current_time())

    def share_line(self) -> None:
        """Make way for other links on our line from now on."""
        if not self._shares_line:
            self._shares_line = True
            self._stream.share_line()

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

    async def aclose(self, reason: bytes, parting: Sequence[Message] = ()) -> None:
        """Say why, and before it something else, unless that would take long, and close the stream."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + limits.FAREWELL_S):
            try:
                if self._sending_since is None:
                    await self._write([*parting, Bye(reason)])
            except (P2PSyncError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # it is gone already, or never was up: nobody to tell
            finally:  # also when time is up
                self._connection.forget()
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
            self._serving.compresses = Feature.ZSTD in first.features
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
            case Want() | WantAny() | Wish() | Cancel():
                self._serving.hear(message)
            case Ping():
                self.send(Pong())
            case Pong():
                pass  # a message was heard: that is all it is for
            case Bye():
                self._take_leave(message)
            case _:
                owner.heard(self, message)

    def _take_leave(self, message: Message) -> None:
        code = message.reason if isinstance(message, Bye) else b"?"
        self.close(f"the peer closed the link: {code.decode('ascii', 'backslashreplace')}", code)

    async def _send_loop(self) -> None:
        while True:
            messages = await self._outbox.take()
            self._sending_since = began = trio.current_time()
            sent_bytes = await self._write(messages)
            self._sending_since = None
            self._serving.sent(messages[-1], sent_bytes, trio.current_time() - began)

    async def _write(self, messages: Sequence[Message]) -> int:
        buffers: list[Buffer] = []
        payload = 0
        for message in messages:
            buffers += self._connection.send(message)
            self.uploaded_bytes += payload_bytes(message)
            payload += carried_bytes(message)
        sent_bytes = sum(map(len, buffers))
        self.sent_bytes += sent_bytes
        # What is no payload waits for no limit, but counts.
        self.up_limit.charge(wire_bytes(sent_bytes) - payload, trio.current_time())
        await self._stream.send_all(buffers)
        return sent_bytes
