"""What happens when Redis goes, comes back empty, or is shared: the rest is in the conformance suite."""

import pytest
import trio

from p2psync.errors import ConfigError
from tests.interop.certificate import make_certificate
from tests.interop.redis_server import patient, redis_server_or_skip
from tracker.swarms import Change, PeerUpdate, Role, StoreUnavailableError

HASH = b"h" * 20


@pytest.fixture
def server(tmp_path):
    started = redis_server_or_skip(tmp_path)
    yield started
    started.stop()


async def connect(server, now=1000.0, *, url=""):
    from tracker.redis_swarms import RedisSwarms  # noqa: PLC0415 - an extra

    swarms = RedisSwarms(url or server.url, lifetime_s=100)
    await swarms.tend(now)
    return swarms


def update(number, **fields):
    entry = b"\x0a" + number.to_bytes(3, "big") + b"\0\1"
    return PeerUpdate(HASH, entry, b"%024d" % number, Role.DOWNLOADER, Change.STAY, 50, 100)._replace(**fields)


async def test_two_trackers_serve_one_set_of_swarms(server):
    one, two = await connect(server, 1000.0), await connect(server, 77.0)  # their clocks have nothing in common
    await one.announce([update(1)], 1001.0)
    (view,) = await two.announce([update(2)], 78.0)
    assert view.peers == update(1).peer
    (view,) = await one.announce([update(1)], 1002.0)
    assert view.peers == update(2).peer
    await two.announce([update(2, change=Change.LEAVE)], 79.0)
    assert (await one.scrape([HASH], 1003.0))[0].incomplete == 1
    one.close()
    two.close()


async def test_a_batch_is_one_round_trip(server):
    swarms = await connect(server)
    await swarms.announce([update(1)], 1000.0)
    reads = [await trio.to_thread.run_sync(server.reads) for _ in range(2)]
    await swarms.announce([update(number) for number in range(5)], 1000.0)
    reads.append(await trio.to_thread.run_sync(server.reads))
    assert reads[2] - reads[1] == reads[1] - reads[0] + 1  # besides those that asking for their number takes
    swarms.close()


async def test_peers_told_a_longer_interval_under_load_are_remembered_longer(server):
    swarms = await connect(server)
    await swarms.announce([update(1, lifetime_s=400)], 1000.0)
    (view,) = await swarms.announce([update(2, lifetime_s=400)], 1245.0)
    assert view.peers == update(1).peer
    (view,) = await swarms.announce([update(3)], 1246.0)  # the load is gone, and so are two of its windows
    assert view.peers == update(2).peer
    swarms.close()


async def test_no_command_reads_a_whole_set_or_walks_over_keys(server):
    swarms = await connect(server)
    done = update(1, role=Role.SEED, change=Change.COMPLETE)
    await swarms.announce([update(2), done, update(3, role=Role.PARTIAL_SEED), update(2, change=Change.LEAVE)], 1000.0)
    await swarms.scrape([HASH], 1000.0)
    await swarms.tend(1010.0)
    await swarms.busiest(5, 1010.0)
    swarms.close()
    ours = await trio.to_thread.run_sync(server.commands)
    assert ours <= {
        *("evalsha", "script|load", "time", "set", "get", "incr", "expire", "pfadd", "pfcount"),
        *("sadd", "srem", "scard", "sismember", "srandmember", "zadd", "zremrangebyrank", "zrevrange"),
        *("hello", "client|setinfo", "client|setname", "ping", "info"),
    }


async def test_every_key_expires(server):
    swarms = await connect(server)
    done = update(2, role=Role.SEED, change=Change.COMPLETE)
    await swarms.announce([update(1), done, done, update(3, role=Role.PARTIAL_SEED)], 1000.0)
    await swarms.tend(1010.0)
    lives = await trio.to_thread.run_sync(server.lives)
    assert len(lives) > 8
    assert all(0 < seconds <= 400 for seconds in lives.values()), lives
    swarms.close()


async def test_when_redis_goes_announces_fail_at_once_and_when_it_returns_the_swarms_rebuild(server):
    swarms = await connect(server)
    await swarms.announce([update(1)], 1000.0)
    server.stop()
    with pytest.raises(StoreUnavailableError):
        await swarms.announce([update(1)], 1001.0)
    with trio.fail_after(5):  # no more waiting for whoever does not answer: that would take most of a minute
        for _ in range(100):
            with pytest.raises(StoreUnavailableError):
                await swarms.announce([update(1)], 1001.0)
    with pytest.raises(StoreUnavailableError):
        await swarms.tend(1002.0)
    server.start()  # without anything it knew, scripts included
    await swarms.tend(1003.0)
    (view,) = await swarms.announce([update(2)], 1003.0)
    assert view.peers == b""
    (view,) = await swarms.announce([update(1)], 1004.0)
    assert view.peers == update(2).peer
    swarms.close()


async def test_a_restart_between_two_announces_is_not_even_noticed(server):
    swarms = await connect(server)
    await swarms.announce([update(1)], 1000.0)
    server.stop()
    server.start()
    (view,) = await swarms.announce([update(2)], 1001.0)
    assert view.counts.incomplete == 1
    swarms.close()


async def test_a_redis_that_hangs_is_waited_for_once(server):
    swarms = await connect(server, url=server.impatient_url)
    await swarms.announce([update(1)], 1000.0)
    with server.frozen():
        began = trio.current_time()
        for _ in range(40):
            with pytest.raises(StoreUnavailableError):
                await swarms.announce([update(1)], 1001.0)
        assert trio.current_time() - began < 10  # to wait each time would take 20 seconds
    with trio.fail_after(30):
        await is_back(swarms)
    assert await swarms.announce([update(1)], 1100.0)
    swarms.close()


async def is_back(swarms):
    """Tend until Redis answers: one that has just been thawed on a busy machine may take its time."""
    while True:
        try:
            return await swarms.tend(1100.0)
        except StoreUnavailableError:
            await trio.sleep(0.1)


async def test_a_full_redis_is_as_good_as_none(server):
    swarms = await connect(server)
    await swarms.announce([update(1)], 1000.0)
    await trio.to_thread.run_sync(server.configure, "maxmemory", "1")
    with pytest.raises(StoreUnavailableError):
        await swarms.announce([update(2)], 1000.0)
    for now in (1000.2, 1000.9):
        with pytest.raises(StoreUnavailableError):
            await swarms.tend(now)
    await trio.to_thread.run_sync(server.configure, "maxmemory", "0")
    await swarms.tend(1001.0)
    assert await swarms.announce([update(2)], 1001.0)
    swarms.close()


async def test_without_redis_it_starts_and_waits(tmp_path, server):
    server.stop()
    from tracker.redis_swarms import RedisSwarms  # noqa: PLC0415 - an extra

    swarms = RedisSwarms(server.url, lifetime_s=100)
    with pytest.raises(StoreUnavailableError):
        await swarms.tend(0.0)
    with pytest.raises(StoreUnavailableError):
        await swarms.announce([update(1)], 0.1)
    server.start()
    await swarms.tend(1.0)
    assert await swarms.announce([update(1)], 1.0)
    swarms.close()


async def test_it_is_reached_by_a_port_too(server):
    server.stop()
    port = server.listen("--port", "PORT")
    server.start()
    swarms = await connect(server, url=patient(f"redis://127.0.0.1:{port}/3"))
    assert await swarms.announce([update(1)], 1000.0)
    swarms.close()


async def test_it_is_reached_by_tls_if_its_certificate_is_trusted(server, tmp_path):
    certificate, key = make_certificate(tmp_path)
    server.stop()
    port = server.listen(
        *("--port", "0", "--tls-port", "PORT", "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate)),
    )
    server.start()
    url = f"rediss://127.0.0.1:{port}/0"
    swarms = await connect(server, url=patient(f"{url}?ssl_ca_certs={certificate}"))
    await swarms.announce([update(1)], 1000.0)
    (view,) = await swarms.announce([update(2)], 1000.0)
    assert view.peers == update(1).peer
    swarms.close()
    for untrusted in (url, f"redis://127.0.0.1:{port}/0"):
        with pytest.raises(StoreUnavailableError):
            await connect(server, url=patient(untrusted))


@pytest.mark.parametrize(
    "url", ["redis://host:port/0", "redis://[::1", "unix://x?db=none", "redis://x?socket_timeout=soon"]
)
def test_a_url_that_is_none_is_told(url):
    pytest.importorskip("redis")
    from tracker.redis_swarms import RedisSwarms  # noqa: PLC0415 - an extra

    with pytest.raises(ConfigError, match="state"):
        RedisSwarms(url, lifetime_s=100)
