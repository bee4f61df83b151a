"""The tracker inside a share: what it may take of the share's process."""

import os
import resource
from contextlib import AsyncExitStack, contextmanager

import pytest
import trio

from tracker.embed import embedded_limits, run_tracker

HEALTH = b"GET /health HTTP/1.1\r\n\r\n"


@contextmanager
def open_files_allowed(most):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(("open_files", "connections"), [(4, 1), (256, 32), (1024, 128), (16_384, 512), (10**9, 512)])
def test_it_takes_an_eighth_of_the_open_files_and_what_a_lan_needs_at_most(open_files, connections):
    assert embedded_limits(open_files).connections == connections


async def test_who_opens_connections_and_keeps_them_leaves_descriptors_to_the_swarm():
    in_use = len(os.listdir("/proc/self/fd"))
    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        with open_files_allowed(1024):
            await nursery.start(run_tracker, [listener])
            streams = []
            for _ in range(200):
                stream = await stack.enter_async_context(await trio.open_tcp_stream(*listener.socket.getsockname()))
                await stream.send_all(HEALTH)
                assert (await stream.receive_some()).endswith(b"ok\n")
                streams.append(stream)
            assert len(os.listdir("/proc/self/fd")) - in_use < 200 + 128 + 10
            assert await streams[0].receive_some() == b""
            await streams[-1].send_all(HEALTH)
            assert await streams[-1].receive_some()
        nursery.cancel_scope.cancel()


async def test_who_says_nothing_more_loses_its_connection_soon(mock_clock):
    mock_clock.rate = 20
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(run_tracker, [listener])
        async with await trio.open_tcp_stream(*listener.socket.getsockname()) as stream:
            await stream.send_all(HEALTH)
            assert await stream.receive_some()
            began = trio.current_time()
            assert await stream.receive_some() == b""
            assert trio.current_time() - began < 50  # in ordinary ones it may be silent for 60 s
        nursery.cancel_scope.cancel()
