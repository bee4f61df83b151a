"""The HTTPS server by what a client sees of it; what it answers is the same as without TLS."""

import ipaddress
import random
import ssl
from contextlib import asynccontextmanager

import pytest
import trio

from tests.interop.certificate import make_certificate
from tracker.http_app import HttpApp
from tracker.http_server import HttpLimits
from tracker.https_server import serve_https
from tracker.memory_swarms import MemorySwarms
from tracker.service import Policy, TrackerService
from tracker.telemetry import Telemetry

GET = b"GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=%d HTTP/1.1\r\n%b\r\n"
CLOSE = b"Connection: close\r\n"
HEALTH = b"GET /health HTTP/1.1\r\n\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


class Server:
    def __init__(self, listener, telemetry, certificate):
        self.address, self.telemetry = listener.socket.getsockname(), telemetry
        self._context = ssl.create_default_context(cafile=certificate)
        self.streams = []

    async def plain(self):
        self.streams.append(await trio.open_tcp_stream(*self.address))
        return self.streams[-1]

    async def connect(self):
        stream = await self.plain()
        return trio.SSLStream(stream, self._context, server_hostname="127.0.0.1", https_compatible=True)


@pytest.fixture
def running(certificate):
    @asynccontextmanager
    async def run(**limits):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        store = MemorySwarms(random.Random(0))
        telemetry = Telemetry(store)
        app = HttpApp(
            TrackerService(store, Policy(), random.Random(0)),
            telemetry,
            status_from=[ipaddress.ip_network("127.0.0.1")],
        )
        async with trio.open_nursery() as nursery:
            server = Server(listener, telemetry, certificate[0])
            await nursery.start(serve_https, [listener], context, app, telemetry, HttpLimits(**limits))
            with trio.fail_after(300):  # some tests have a clock that runs 20 times faster
                yield server
            for stream in server.streams:
                await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()

    return run


async def read_all(stream):
    return b"".join([bytes(chunk) async for chunk in stream])


async def ended(stream):
    """Wait until the server has closed the connection, politely or not."""
    try:
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        return


async def test_requests_may_come_all_at_once_and_are_answered_in_order(running):
    async with running() as server:
        stream = await server.connect()
        await stream.send_all(HEALTH + b"GET /nothing HTTP/1.1\r\n\r\n" + GET % (1, CLOSE) + HEALTH)
        everything = await read_all(stream)
        assert everything.count(b"HTTP/1.1 ") == 3  # what follows `close` is not answered
        assert everything.find(b"ok\n") < everything.find(b" 404 ") < everything.find(b"8:intervali")


async def test_a_connection_serves_many_requests_and_the_client_is_known_by_its_address(running):
    async with running() as server:
        stream = await server.connect()
        for port in range(1, 20):
            await stream.send_all(GET % (port, b""))
            assert b"external ip4:\x7f\0\0\1" in await stream.receive_some()


async def test_garbage_is_told_so_and_the_connection_ends(running):
    async with running() as server:
        stream = await server.connect()
        await stream.send_all(b"nonsense\r\n\r\n")
        assert (await read_all(stream)).startswith(b"HTTP/1.1 400 ")
        assert server.telemetry.bad_requests.value == 1


async def test_who_speaks_no_tls_harms_nobody(running):
    async with running() as server:
        for garbage in (HEALTH, b"\x16\x03\x01\xff\xff" + b"x" * 1000, b"\0" * 100):
            plain = await server.plain()
            await plain.send_all(garbage)
            await ended(plain)
        stream = await server.connect()
        await stream.send_all(HEALTH)
        assert (await stream.receive_some()).endswith(b"ok\n")


@pytest.mark.parametrize("part", ["nothing", "a handshake", "half a request"])
async def test_who_does_not_come_to_a_request_is_ended(running, part, mock_clock):
    mock_clock.rate = 20
    async with running(request_s=5.0, idle_s=60.0) as server:
        stream = await server.plain() if part == "nothing" else await server.connect()
        began = trio.current_time()
        if part != "nothing":
            await stream.do_handshake()
        if part == "half a request":
            await stream.send_all(HEALTH[:-2])
        await ended(stream)
        assert 4 < trio.current_time() - began < 50


async def test_who_sends_a_request_drop_by_drop_is_ended_too(running, mock_clock):
    mock_clock.rate = 20
    async with running(request_s=5.0, idle_s=60.0) as server:
        stream = await server.connect()
        began = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):
            await drip(stream)
        assert 4 < trio.current_time() - began < 50


async def drip(stream):
    await stream.send_all(b"GET / HTTP/1.1\r\nA: ")
    while True:
        await stream.send_all(b"x")
        await trio.sleep(0.5)


async def test_a_connection_that_stays_silent_is_ended_later(running, mock_clock):
    mock_clock.rate = 20
    async with running(request_s=5.0, idle_s=40.0) as server:
        stream = await server.connect()
        await stream.send_all(HEALTH)
        began = trio.current_time()
        await ended(stream)
        assert 35 < trio.current_time() - began < 200


async def test_one_connection_too_many_ends_the_one_idle_longest(running):
    async with running(connections=3) as server:
        streams = [await server.connect() for _ in range(3)]
        for stream in (*streams, streams[0]):
            await stream.send_all(HEALTH)
            await stream.receive_some()
        newcomer = await server.connect()
        await newcomer.send_all(HEALTH)
        await newcomer.receive_some()
        await ended(streams[1])
        for stream in (streams[0], streams[2], newcomer):
            await stream.send_all(HEALTH)
            assert (await stream.receive_some()).endswith(b"ok\n")
        assert server.telemetry.dropped.value == 1
