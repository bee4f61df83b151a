"""The plain HTTP server by what a raw client sees of it."""

import ipaddress
import random
import resource
import socket
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace

import pytest
import trio

from tracker import readiness
from tracker.http_app import HttpApp
from tracker.http_server import HttpLimits, serve_http
from tracker.memory_swarms import MemorySwarms
from tracker.service import Policy, TrackerService
from tracker.telemetry import Telemetry

GET = b"GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=%d HTTP/1.1\r\nHost: x\r\n%s\r\n"
CLOSE = b"Connection: close\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\n\r\n"  # the longest answer there is


@pytest.fixture(autouse=True, params=["epoll", "no epoll"])
def system(request, monkeypatch):
    """Every claim holds for systems other than Linux too, as far as they can be had here."""
    if request.param == "no epoll":
        monkeypatch.setattr(readiness, "select", SimpleNamespace())  # trio needs the whole one
        monkeypatch.delattr(socket, "TCP_DEFER_ACCEPT")


@asynccontextmanager
async def running(**limits):
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    store = MemorySwarms(random.Random(0))
    telemetry = Telemetry(store)
    service = TrackerService(store, Policy(), random.Random(0))
    app = HttpApp(service, telemetry, status_from=[ipaddress.ip_network("127.0.0.1")])
    async with trio.open_nursery() as nursery:
        server = Server(listener, telemetry)
        await nursery.start(serve_http, [listener], app, telemetry, HttpLimits(**limits))
        with trio.fail_after(300):  # some tests have a clock that runs 20 times faster
            yield server
        nursery.cancel_scope.cancel()


class Server:
    def __init__(self, listener, telemetry):
        self.telemetry = telemetry
        self.address = listener.socket.getsockname()

    async def connect(self):
        return await trio.open_tcp_stream(*self.address)


async def read_response(stream, already=b""):
    """Return one response, and what came after it."""
    data = already
    while b"\r\n\r\n" not in data:
        chunk = await stream.receive_some()
        assert chunk, data
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    while len(rest) < length:
        rest += await stream.receive_some()
    return head + b"\r\n\r\n" + rest[:length], rest[length:]


async def read_all(stream):
    return b"".join([bytes(chunk) async for chunk in stream])


async def test_a_client_that_comes_for_one_answer_gets_it_and_the_end():
    async with running() as server, await server.connect() as stream:
        await stream.send_all(GET % (1, CLOSE))
        assert (await read_all(stream)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_connection_serves_many_requests():
    async with running() as server, await server.connect() as stream:
        for port in range(1, 20):
            await stream.send_all(GET % (port, b""))
            response, rest = await read_response(stream)
            assert b"8:intervali" in response
            assert not rest


async def test_requests_may_come_all_at_once_and_are_answered_in_order():
    async with running() as server, await server.connect() as stream:
        targets = [b"/health", b"/nothing", b"/announce", b"/health"]
        await stream.send_all(b"".join(b"GET %b HTTP/1.1\r\n\r\n" % target for target in targets[:-1]))
        await stream.send_all(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n" + GET % (9, b""))
        everything = await read_all(stream)
        assert everything.count(b"HTTP/1.1 ") == 4  # what follows `close` is not answered
        assert everything.find(b"ok\n") < everything.find(b" 404 ") < everything.find(b"failure reason")


async def test_a_request_may_come_byte_by_byte():
    async with running() as server, await server.connect() as stream:
        for octet in GET % (1, CLOSE):
            await stream.send_all(bytes([octet]))
            await trio.lowlevel.checkpoint()
        assert b"5:peers0:" in await read_all(stream)


async def test_many_clients_are_served_at_once():
    async with running() as server:
        answers = []

        async def ask(port):
            async with await server.connect() as stream:
                await stream.send_all(GET % (port, CLOSE))
                answers.append(await read_all(stream))

        async with trio.open_nursery() as nursery:
            for port in range(1, 101):
                nursery.start_soon(ask, port)
        assert len(answers) == 100
        assert all(b"8:intervali" in answer for answer in answers)


@pytest.mark.parametrize(
    ("garbage", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 9000, b"431"),
        (b"\x16\x03\x01\0\r\n\r\n", b"400"),
    ],
)
async def test_garbage_is_told_so_and_the_connection_ends(garbage, status):
    async with running() as server, await server.connect() as stream:
        await stream.send_all(garbage)
        response = await read_all(stream)
        assert response.split()[1] == status
        assert b"Connection: close" in response
        assert server.telemetry.bad_requests.value == 1


async def test_a_refusal_reaches_a_client_that_is_still_sending():
    async with running() as server, await server.connect() as stream:
        await stream.send_all(b"nonsense\r\n\r\n" + b"more" * 50_000)
        response, _ = await read_response(stream)
        assert response.startswith(b"HTTP/1.1 400 ")


async def test_a_request_that_does_not_end_costs_the_connection(mock_clock):
    mock_clock.rate = 20
    async with running(request_s=5.0, idle_s=60.0) as server, await server.connect() as stream:
        began = trio.current_time()
        await stream.send_all(b"GET / HTTP/1.1\r\nA: ")
        await send_until_refused(stream, b"x", pause_s=0.5)
        assert 4 < trio.current_time() - began < 50


async def test_a_connection_that_stays_silent_is_ended_later(mock_clock):
    mock_clock.rate = 20
    async with running(request_s=2.0, idle_s=20.0) as server, await server.connect() as stream:
        await stream.send_all(GET % (1, b""))
        await read_response(stream)
        began = trio.current_time()
        await ended(stream)
        assert 19 < trio.current_time() - began < 200


async def test_a_client_that_takes_no_answers_is_ended(mock_clock):
    mock_clock.rate = 20
    async with running(request_s=5.0, idle_s=250.0) as server, await server.connect() as stream:
        began = trio.current_time()
        await send_until_refused(stream, METRICS * 50)
        assert 4 < trio.current_time() - began < 200


async def test_a_slow_client_gets_all_its_answers():
    async with running() as server, await server.connect() as stream:
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, METRICS * 1000 + GET % (1, CLOSE))
            everything = await read_all(stream)
        assert len(everything) > 5_000_000  # more than the kernel holds for us
        assert everything.count(b"HTTP/1.1 200") == 1001


async def test_one_connection_too_many_ends_the_one_idle_longest():
    async with running(connections=3) as server:
        streams = [await server.connect() for _ in range(3)]
        for stream in (*streams, streams[0]):
            await stream.send_all(GET % (1, b""))
            await read_response(stream)
        async with await server.connect() as newcomer:
            await newcomer.send_all(GET % (1, b""))
            await read_response(newcomer)
            await ended(streams[1])
            await streams[0].send_all(GET % (1, b""))
            await read_response(streams[0])
        assert server.telemetry.dropped.value == 1
        for stream in streams:
            await stream.aclose()


@contextmanager
def no_descriptor_free():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Rounds(trio.abc.Instrument):
    """Counts how often trio heard from the kernel."""

    def __init__(self):
        self.count = 0

    def after_io_wait(self, timeout):
        self.count += 1


async def test_where_all_descriptors_are_taken_it_waits_until_one_is_free():
    rounds = Rounds()
    async with running() as server, await server.connect() as stream:
        trio.lowlevel.add_instrument(rounds)
        with no_descriptor_free():
            await stream.send_all(GET % (1, CLOSE))
            await trio.sleep(0.5)
            assert rounds.count < 50
        trio.lowlevel.remove_instrument(rounds)
        assert b"8:intervali" in await read_all(stream)
        assert server.telemetry.dropped.value == 0


async def test_a_descriptor_that_is_lacking_is_taken_from_the_connection_idle_longest():
    newcomer = trio.socket.socket()
    async with running() as server, await server.connect() as idle, trio.SocketStream(newcomer) as stream:
        await idle.send_all(GET % (1, b""))
        await read_response(idle)
        with no_descriptor_free():
            await newcomer.connect(server.address)
            await stream.send_all(GET % (2, CLOSE))
            with trio.fail_after(10):  # after 60 s of silence it would be ended anyway
                await ended(idle)
        assert b"8:intervali" in await read_all(stream)


async def test_a_client_that_hangs_up_in_the_middle_harms_nobody():
    async with running() as server:
        for part in (b"", b"GET /ann", GET % (1, b"")):
            stream = await server.connect()
            if part:
                await stream.send_all(part)
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an end
            await stream.aclose()
        async with await server.connect() as stream:
            await stream.send_all(GET % (1, CLOSE))
            assert b"8:intervali" in await read_all(stream)


async def test_when_it_stops_nothing_is_left_open():
    async with running() as server:
        streams = [await server.connect() for _ in range(3)]
        for stream in streams:
            await stream.send_all(GET % (1, b""))
            await read_response(stream)
    for stream in streams:
        await ended(stream)
        await stream.aclose()
    with pytest.raises(OSError, match="all attempts to connect"):
        await server.connect()


async def send_until_refused(stream, data, *, pause_s=0.0):
    with pytest.raises(trio.BrokenResourceError):
        await send_for_ever(stream, data, pause_s)


async def send_for_ever(stream, data, pause_s):
    while True:
        await stream.send_all(data)
        await trio.sleep(pause_s)


async def ended(stream):
    """Wait until the server has closed the connection, politely or not."""
    try:
        assert await stream.receive_some() == b""
    except trio.BrokenResourceError:
        return
