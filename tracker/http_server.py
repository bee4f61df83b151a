"""Plain HTTP: all connections that have something to say are read, answered and written to together, batch by batch.

One task serves them all. trio waits for the epoll set of this server; a task for each connection would cost several
times what an answer costs, and most clients come for one answer and go. What is collected in a batch also reaches the
store as one batch, which for Redis is one round trip.
"""

import errno
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import trio

from p2psync.wire.compact import unmapped
from tracker.http_app import Arrival, HttpApp
from tracker.http_parser import BadRequestError, Request, RequestReader, encode_response
from tracker.readiness import READABLE, WRITABLE, new_readiness
from tracker.telemetry import Telemetry, Via

_BATCH = 64  # events answered before other tasks have their turn: some milliseconds
_RECEIVE_BYTES = 16384
_LOOK_EVERY_S = 1.0  # for connections that have been silent too long, and for descriptors where there were none
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one service spends on its clients.

    Attributes:
        connections: Open at once; a new one ends the one that has been idle longest.
        request_s: For a request to arrive, and for its answer to be taken.
        idle_s: Between two requests.
    """

    connections: int = 4096
    request_s: float = 5.0
    idle_s: float = 60.0


class _Conversation:
    """One connection.

    Attributes:
        deadline: When it is closed unless something happens.
        unsent: Rest of the answers.
        ends: Whether it is closed after these.
        drains: Whether what it still sends is not read: closing at once could take our last answer from its hands.
        watched: For which events the kernel was asked, 0 for none.
    """

    __slots__ = ("deadline", "drains", "ends", "ip", "reader", "socket", "unsent", "watched")

    def __init__(self, connection: socket.socket, ip: bytes, deadline: float) -> None:
        self.socket = connection
        self.ip = ip
        self.deadline = deadline
        self.reader = RequestReader()
        self.unsent = b""
        self.ends = False
        self.drains = False
        self.watched = 0


async def serve_http(
    listeners: Sequence[trio.SocketListener],
    app: HttpApp,
    telemetry: Telemetry,
    limits: HttpLimits | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; requests that were read are still answered; listeners and connections are closed.

    Args:
        listeners: Of TCP.
        app: Answers.
        telemetry: Counts.
        limits: Of connections.
        task_status: Told when clients are answered.
    """
    server = _HttpServer(app, telemetry, limits or HttpLimits())
    try:
        for listener in listeners:
            server.listen(listener)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.end_silent)
            task_status.started()
            await server.run()
    finally:
        server.close()
        for listener in listeners:
            listener.socket.close()


class _HttpServer:
    def __init__(self, app: HttpApp, telemetry: Telemetry, limits: HttpLimits) -> None:
        self._app = app
        self._telemetry = telemetry
        self._limits = limits
        self._readiness = new_readiness()
        self._listeners: dict[int, socket.socket] = {}
        self._resting: set[int] = set()  # listeners that nothing is accepted from for a moment
        self._conversations: dict[int, _Conversation] = {}  # by descriptor, the one silent longest first

    def listen(self, listener: trio.SocketListener) -> None:
        """Accept connections from a listener too."""
        listening = listener.socket
        own = socket.fromfd(listening.fileno(), listening.family, listening.type)
        own.setblocking(False)
        if hasattr(socket, "TCP_DEFER_ACCEPT"):  # spares Linux to watch whoever sends its request at once
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(self._limits.request_s) + 1)
        self._listeners[own.fileno()] = own
        self._readiness.register(own.fileno(), READABLE)

    async def run(self) -> None:
        """Answer whoever asks, until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._readiness.fileno())
            with trio.CancelScope(shield=True):  # what was read is answered
                began = trio.current_time()
                arrivals = list(self._read_all(began))
                requests: list[Arrival] = [(request, conversation.ip) for conversation, request in arrivals]
                responses = await self._app.respond(requests, began)
                for (conversation, request), response in zip(arrivals, responses, strict=True):
                    if not conversation.ends:
                        conversation.unsent += response
                        conversation.ends = not request.keep_alive
                for conversation in dict.fromkeys(conversation for conversation, _ in arrivals):
                    self._send(conversation, began)
                if arrivals:
                    self._telemetry.latencies[Via.HTTP].observe(trio.current_time() - began, len(arrivals))

    async def end_silent(self) -> None:
        """Close, for ever, the connections whose time is up; try again to accept where it was given up."""
        while True:
            await trio.sleep(_LOOK_EVERY_S)
            while self._resting:
                self._readiness.modify(self._resting.pop(), READABLE)
            now = trio.current_time()
            for conversation in list(self._conversations.values()):
                if conversation.deadline < now:
                    self._end(conversation)

    def close(self) -> None:
        """Close all connections and what this object opened."""
        for conversation in list(self._conversations.values()):
            self._end(conversation)
        for listener in self._listeners.values():
            listener.close()
        self._readiness.close()

    def _read_all(self, now: float) -> Iterator[tuple[_Conversation, Request]]:
        for descriptor, event in self._readiness.poll(0, _BATCH):
            conversation = self._conversations.get(descriptor)
            if descriptor in self._listeners:
                for newcomer in self._accept(self._listeners[descriptor], now):
                    yield from self._read(newcomer, now)
            elif conversation is not None and event & WRITABLE:
                self._send(conversation, now)
            elif conversation is not None:
                yield from self._read(conversation, now)

    def _accept(self, listener: socket.socket, now: float) -> Iterator[_Conversation]:
        for _ in range(_BATCH):
            try:
                connection, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED and not self._end_longest_idle():
                    # Others of this process have all: the kernel would tell us of whoever waits again and again.
                    self._readiness.modify(listener.fileno(), 0)
                    self._resting.add(listener.fileno())
                return
            connection.setblocking(False)
            ip = unmapped(socket.inet_pton(connection.family, address[0].partition("%")[0]))
            conversation = _Conversation(connection, ip, now + self._limits.request_s)
            self._conversations[connection.fileno()] = conversation
            if len(self._conversations) > self._limits.connections:
                self._end_longest_idle()
            yield conversation

    def _read(self, conversation: _Conversation, now: float) -> list[tuple[_Conversation, Request]]:
        try:
            data = conversation.socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            self._watch(conversation, READABLE)
            return []
        except OSError:
            data = b""
        if not data:
            self._end(conversation)
            return []
        if conversation.drains:
            return []
        waited = not conversation.reader.unfinished
        try:
            requests = conversation.reader.feed(data)
        except BadRequestError as error:
            self._refuse(conversation, error, now)
            return []
        if waited and conversation.reader.unfinished:
            conversation.deadline = now + self._limits.request_s
        if not requests:
            self._watch(conversation, READABLE)
        return [(conversation, request) for request in requests]

    def _refuse(self, conversation: _Conversation, error: BadRequestError, now: float) -> None:
        self._telemetry.bad_requests.value += 1
        conversation.unsent += encode_response(f"{error}\n".encode(), status=error.status, keep_alive=False)
        conversation.ends = conversation.drains = True
        self._send(conversation, now)

    def _send(self, conversation: _Conversation, now: float) -> None:
        """Send what the kernel takes; go on to wait for room, for the next request or for the end."""
        try:
            sent = conversation.socket.send(conversation.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            return self._end(conversation)
        conversation.unsent = conversation.unsent[sent:]
        if conversation.unsent:
            if not conversation.watched & WRITABLE:
                conversation.deadline = now + self._limits.request_s
            return self._watch(conversation, WRITABLE)
        if not conversation.ends:
            conversation.deadline = now + self._limits.idle_s
            self._conversations[conversation.socket.fileno()] = self._conversations.pop(conversation.socket.fileno())
            return self._watch(conversation, READABLE)
        return self._drain(conversation, now) if conversation.drains else self._end(conversation)

    def _drain(self, conversation: _Conversation, now: float) -> None:
        """Say that nothing more will come, and wait until the client sees it."""
        try:
            conversation.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return self._end(conversation)
        conversation.deadline = now + self._limits.request_s
        return self._watch(conversation, READABLE)

    def _watch(self, conversation: _Conversation, events: int) -> None:
        if conversation.watched != events:
            change = self._readiness.modify if conversation.watched else self._readiness.register
            change(conversation.socket.fileno(), events)
            conversation.watched = events

    def _end_longest_idle(self) -> bool:
        """End the connection that has been silent longest; return whether there was any."""
        longest_idle = next(iter(self._conversations.values()), None)
        if longest_idle is None:
            return False
        self._telemetry.dropped.value += 1
        self._end(longest_idle)
        return True

    def _end(self, conversation: _Conversation) -> None:
        """Close a connection; the kernel forgets by itself that it was watched."""
        self._conversations.pop(conversation.socket.fileno(), None)
        conversation.socket.close()
