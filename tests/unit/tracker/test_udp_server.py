"""The UDP server by what comes back to a socket."""

import random
import socket
from contextlib import asynccontextmanager

import pytest
import trio

from p2psync.wire import tracker_udp as udp
from p2psync.wire.announce import Announce
from tracker.connection_id import ConnectionIds
from tracker.memory_swarms import MemorySwarms
from tracker.service import Policy, TrackerService
from tracker.telemetry import Telemetry
from tracker.udp_app import UdpApp
from tracker.udp_server import serve_udp

TX = b"tx-1"


@asynccontextmanager
async def running(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as bound:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, 0))
        store = MemorySwarms(random.Random(0))
        telemetry = Telemetry(store)
        app = UdpApp(TrackerService(store, Policy(), random.Random(0)), telemetry, ConnectionIds(b"k" * 32))
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_udp, bound, app, telemetry, lambda: 1e9)
            with trio.fail_after(10):
                yield bound.getsockname()[1]
            nursery.cancel_scope.cancel()


async def client_of(host, port):
    client = trio.socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    await client.connect((host, port))  # the kernel drops what comes from any other address
    return client


async def announce(client, number=1):
    await client.send(udp.encode_connect(TX))
    connection_id = udp.parse_connect_answer(await client.recv(2048), TX)
    await client.send(udp.encode_announce(connection_id, TX, Announce(b"h" * 20, b"p" * 20, number, left=1)))
    return await client.recv(2048)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_announces_are_answered(host):
    async with running(host) as port:
        with await client_of(host, port) as client:
            assert len(await announce(client, 1)) == 20
            assert len(await announce(client, 2)) == (26 if host == "127.0.0.1" else 38)


@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.2", "127.7.7.7"])
async def test_a_host_with_many_addresses_answers_from_the_one_that_was_asked(asked):
    async with running("0.0.0.0") as port:
        with await client_of(asked, port) as client:
            assert await announce(client)


async def test_all_ipv6_addresses_are_served_too():
    async with running("::") as port:
        with await client_of("::1", port) as client:
            assert await announce(client)


async def test_garbage_between_requests_harms_nobody():
    async with running("127.0.0.1") as port:
        with await client_of("127.0.0.1", port) as client:
            for garbage in (b"", b"x", b"\0" * 98, b"\xff" * 2048, udp.MAGIC * 200):
                await client.send(garbage)
            assert len(await announce(client)) == 20


async def test_a_burst_is_answered_to_the_last_packet():
    async with running("127.0.0.1") as port:
        with await client_of("127.0.0.1", port) as client:
            for number in range(150):
                await client.send(udp.encode_connect(number.to_bytes(4, "big")))
            answers = {(await client.recv(2048))[4:8] for _ in range(150)}
            assert answers == {number.to_bytes(4, "big") for number in range(150)}


async def test_clients_that_are_gone_harm_nobody():
    async with running("127.0.0.1") as port:
        for _ in range(20):
            with await client_of("127.0.0.1", port) as client:
                await client.send(udp.encode_connect(TX))  # its answer meets a closed port
        with await client_of("127.0.0.1", port) as client:
            assert await announce(client)
