"""One announce over HTTP or HTTPS."""

import os
import ssl
from dataclasses import dataclass
from urllib.parse import urljoin

import h11
import trio

from p2psync import __version__
from p2psync.discovery.tracker_url import parse_tracker_url
from p2psync.errors import ConfigError, RemoteProtocolError, UnreachableError
from p2psync.wire.announce import Announce, TrackerAnswer, TrackerRefusalError
from p2psync.wire.tracker_http import (
    MAX_ANSWER_BYTES,
    encode_announce_query,
    parse_announce_answer,
)

_MAX_REDIRECTS = 3
_MAX_HEAD_BYTES = 16384
_RECEIVE_BYTES = 65536
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    location: str
    body: bytes


async def announce_http(
    url: str,
    announce: Announce,
    *,
    family: int,
    tracker_id: bytes = b"",
    tls: ssl.SSLContext | None = None,
) -> TrackerAnswer:
    """Announce from an address of one family, and return the answer.

    Args:
        url: The tracker's, `http://` or `https://`.
        announce: What to say.
        family: `AF_INET` or `AF_INET6`: the address the tracker will know us by (BEP 7).
        tracker_id: What the tracker gave us to say at the next announce.
        tls: How to verify its certificate; None for the system's authorities.

    Raises:
        UnreachableError: It has no address of this family, or does not answer.
        TrackerRefusalError: It refused.
        RemoteProtocolError: It is no tracker.
        ConfigError: The URL is none.
    """
    target = f"{url}{'&' if '?' in url else '?'}{encode_announce_query(announce, tracker_id=tracker_id)}"
    try:
        for _ in range(_MAX_REDIRECTS + 1):
            response = await _get(target, family, tls)
            if response.status not in _REDIRECTS or not response.location:
                return _judged(response)
            target = urljoin(target, response.location)
    except (OSError, ValueError) as error:  # a name may be too long for DNS, or for TLS
        raise UnreachableError(f"it does not answer ({error})") from error
    except trio.BrokenResourceError as error:
        raise UnreachableError(f"it breaks off ({error.__cause__ or 'without a word'})") from error
    raise RemoteProtocolError("it redirects without end")


def _judged(response: _Response) -> TrackerAnswer:
    if response.status == 200:
        return parse_announce_answer(response.body)
    try:
        parse_announce_answer(response.body)
    except TrackerRefusalError:
        raise  # some trackers send their reason with the status that it would have on the web
    except RemoteProtocolError:
        pass
    raise RemoteProtocolError(f"it answers with HTTP status {response.status}")


async def _get(url: str, family: int, tls: ssl.SSLContext | None) -> _Response:
    where = parse_tracker_url(url)
    if where.scheme not in ("http", "https"):
        raise ConfigError(f"{where.scheme}: is no kind of tracker known here")
    stream: trio.abc.Stream = await _connect(where.host, where.port, family)
    if where.scheme == "https":
        context = tls or ssl.create_default_context()
        stream = trio.SSLStream(stream, context, server_hostname=where.host, https_compatible=True)
    try:
        return await _exchange(
            stream, where.netloc, where.target if where.target.startswith("/") else f"/{where.target}"
        )
    finally:
        await trio.aclose_forcefully(stream)


async def _connect(host: str, port: int, family: int) -> trio.SocketStream:
    """Connect to the first address of this family that listens."""
    failure = OSError(f"{host} has no address of this kind")
    for *_, address in await trio.socket.getaddrinfo(host, port, family, trio.socket.SOCK_STREAM):
        socket = trio.socket.socket(family, trio.socket.SOCK_STREAM)
        try:
            await socket.connect(address)
        except OSError as error:
            socket.close()
            failure = OSError(os.strerror(error.errno or 0))  # trio's own words repeat the address
        except BaseException:
            socket.close()
            raise
        else:
            return trio.SocketStream(socket)
    raise failure


async def _exchange(stream: trio.abc.Stream, host: str, target: str) -> _Response:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
    headers = [("Host", host), ("User-Agent", f"p2psync/{__version__}"), ("Connection", "close")]
    await stream.send_all(connection.send(h11.Request(method="GET", target=target, headers=headers)) or b"")
    connection.send(h11.EndOfMessage())
    try:
        return await _read_response(stream, connection)
    except h11.RemoteProtocolError as error:  # whose text tells states of h11
        _, closed = connection.trailing_data
        what = "it closes the connection without a whole answer" if closed else "what it answers is not HTTP"
        raise RemoteProtocolError(f"{what}: see whether a tracker is there") from error


async def _read_response(stream: trio.abc.Stream, connection: h11.Connection) -> _Response:
    status, location, body = 0, "", bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(_RECEIVE_BYTES)))
        elif isinstance(event, h11.Response):
            status = event.status_code
            location = dict(event.headers).get(b"location", b"").decode("ascii", "replace")
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_ANSWER_BYTES:
                raise RemoteProtocolError(f"its answer is longer than {MAX_ANSWER_BYTES} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return _Response(status, location, bytes(body))
        elif not isinstance(event, h11.InformationalResponse):
            raise RemoteProtocolError("its answer ends in the middle")
