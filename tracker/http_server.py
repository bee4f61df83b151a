"""HTTP over trio: connections in, responses out. Decides nothing but when a connection has been silent for too long."""

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from p2psync.wire.compact import encode_ip
from tracker.http_app import HttpApp
from tracker.http_parser import BadRequestError, RequestReader, encode_response

_RECEIVE_BYTES = 16384

Listener = trio.SocketListener | trio.SSLListener[trio.SocketStream]


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one service spends on its clients.

    Attributes:
        connections: Open at once; one more is closed at once.
        request_s: From the first byte to the end of a request, and for a client to take its answer.
        idle_s: Between two requests.
    """

    connections: int = 4096
    request_s: float = 5.0
    idle_s: float = 60.0


async def serve_http(
    listeners: Sequence[Listener],
    app: HttpApp,
    limits: HttpLimits | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; the listeners are closed at the end."""
    connections = _Connections(app, limits or HttpLimits())
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, connections.serve, list(listeners))
        task_status.started()


class _Connections:
    def __init__(self, app: HttpApp, limits: HttpLimits) -> None:
        self._app = app
        self._limits = limits
        self._open = 0

    async def serve(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        """Answer one connection until it ends."""
        if self._open >= self._limits.connections:
            return await trio.aclose_forcefully(stream)
        self._open += 1
        try:
            await self._converse(stream)
        except (trio.BrokenResourceError, OSError):
            pass  # the client is gone; nobody is left to be told
        finally:
            self._open -= 1
            await trio.aclose_forcefully(stream)

    async def _converse(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        transport = stream if isinstance(stream, trio.SocketStream) else stream.transport_stream
        ip = encode_ip(transport.socket.getpeername()[0].partition("%")[0])
        reader = RequestReader()
        patience_s = self._limits.request_s
        with trio.CancelScope() as scope:
            while True:
                scope.deadline = trio.current_time() + patience_s
                data = await stream.receive_some(_RECEIVE_BYTES)
                if not data:
                    return
                answers, goes_on = await self._answers(reader, bytes(data), ip)
                if answers:
                    scope.deadline = trio.current_time() + self._limits.request_s
                    await stream.send_all(answers)
                    patience_s = self._limits.idle_s
                if not goes_on:
                    return

    async def _answers(self, reader: RequestReader, data: bytes, ip: bytes) -> tuple[bytes, bool]:
        try:
            requests = reader.feed(data)
        except BadRequestError as error:
            return encode_response(f"{error}\n".encode(), status=error.status, keep_alive=False), False
        answers = []
        for request in requests:
            answers.append(await self._app.respond(request, ip, trio.current_time()))
            if not request.keep_alive:
                return b"".join(answers), False
        return b"".join(answers), True
