"""HTTPS: one task a connection, for every one has a handshake and a state of its own to keep."""

import ssl
from collections.abc import Sequence

import trio

from p2psync.wire.compact import encode_ip
from tracker.http_app import HttpApp
from tracker.http_parser import BadRequestError, RequestReader, encode_response
from tracker.http_server import HttpLimits
from tracker.telemetry import Telemetry, Via

_RECEIVE_BYTES = 16384

_TlsStream = trio.SSLStream[trio.SocketStream]


async def serve_https(
    listeners: Sequence[trio.SocketListener],
    context: ssl.SSLContext,
    app: HttpApp,
    telemetry: Telemetry,
    limits: HttpLimits | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; the listeners are closed at the end.

    Args:
        listeners: Of TCP.
        context: With the certificate; its `sni_callback` may choose another one while we serve.
        app: Answers.
        telemetry: Counts.
        limits: Of connections.
        task_status: Told when clients are answered.
    """
    server = _HttpsServer(app, telemetry, limits or HttpLimits())
    encrypted = [trio.SSLListener(listener, context, https_compatible=True) for listener in listeners]
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, server.serve, encrypted)
        task_status.started()


class _HttpsServer:
    def __init__(self, app: HttpApp, telemetry: Telemetry, limits: HttpLimits) -> None:
        self._app = app
        self._telemetry = telemetry
        self._limits = limits
        self._open: dict[_TlsStream, trio.CancelScope] = {}  # the one silent longest first

    async def serve(self, stream: _TlsStream) -> None:
        """Answer one connection until it ends."""
        if len(self._open) >= self._limits.connections:
            self._telemetry.dropped.value += 1
            longest_idle = next(iter(self._open))
            self._open.pop(longest_idle).cancel()
        scope = self._open[stream] = trio.CancelScope(deadline=trio.current_time() + self._limits.request_s)
        try:
            await self._converse(stream, scope)
        except (trio.BrokenResourceError, OSError):
            return  # the client is gone, or was none: nobody is left to be told
        finally:
            self._open.pop(stream, None)
            await trio.aclose_forcefully(stream)

    async def _converse(self, stream: _TlsStream, scope: trio.CancelScope) -> None:
        ip = encode_ip(stream.transport_stream.socket.getpeername()[0].partition("%")[0])
        reader = RequestReader()
        with scope:
            while data := await stream.receive_some(_RECEIVE_BYTES):
                waited = not reader.unfinished
                response, goes_on = await self._answer(reader, bytes(data), ip)
                if response:
                    scope.deadline = trio.current_time() + self._limits.request_s
                    await stream.send_all(response)
                    self._open[stream] = self._open.pop(stream, scope)
                if not goes_on:
                    return
                if response and not reader.unfinished:
                    scope.deadline = trio.current_time() + self._limits.idle_s
                elif waited:
                    scope.deadline = trio.current_time() + self._limits.request_s

    async def _answer(self, reader: RequestReader, data: bytes, ip: bytes) -> tuple[bytes, bool]:
        """Return the answers to what `data` completes, and whether the client may ask more."""
        try:
            requests = reader.feed(data)
        except BadRequestError as error:
            self._telemetry.bad_requests.value += 1
            return encode_response(f"{error}\n".encode(), status=error.status, keep_alive=False), False
        if not requests:
            return b"", True
        began = trio.current_time()
        last = next((i for i, request in enumerate(requests, 1) if not request.keep_alive), len(requests))
        responses = await self._app.respond([(request, ip) for request in requests[:last]], began)
        self._telemetry.latencies[Via.HTTP].observe(trio.current_time() - began, last)
        return b"".join(responses), requests[last - 1].keep_alive
