import contextlib
import socket

import pytest
import trio
from trio.testing import memory_stream_pair

from p2psync.errors import ConfigError, UnreachableError
from p2psync.ids import PeerAddress
from p2psync.swarm.tcp import (
    bound_addresses,
    connect,
    open_listeners,
    reachable_addresses,
    remote_host,
    share_line,
    watch_for_dead_network,
)

HAS_IPV6 = socket.has_ipv6


async def close(listeners):
    for listener in listeners:
        await listener.aclose()


def algorithm_of(stream):
    return stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")


def bound(listeners):
    return set(bound_addresses(listeners))


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::"])
async def test_all_interfaces_are_one_port_in_every_family(host):
    listeners = await open_listeners(PeerAddress(host, 0))
    hosts, ports = {host for host, _ in bound(listeners)}, {port for _, port in bound(listeners)}
    assert hosts in ({"0.0.0.0", "::"}, {"0.0.0.0"})
    assert len(ports) == 1
    await close(listeners)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_port_can_be_left_to_the_system(host):
    listeners = await open_listeners(PeerAddress(host, 0))
    ports = {port for _, port in bound(listeners)}
    assert len(ports) == 1
    assert 0 not in ports
    await close(listeners)


async def test_a_port_in_use_is_a_sentence_that_says_what_to_do():
    listeners = await open_listeners(PeerAddress("127.0.0.1", 0))
    port = listeners[0].socket.getsockname()[1]
    for host in ("127.0.0.1", ""):
        with pytest.raises(ConfigError, match=f"port {port} is already in use: choose another with --listen"):
            await open_listeners(PeerAddress(host, port))
    await close(listeners)


async def test_a_failed_attempt_leaves_no_port_taken():
    if not HAS_IPV6:
        pytest.skip("needs a second family")
    taken = await open_listeners(PeerAddress("::1", 0))
    port = taken[0].socket.getsockname()[1]
    with pytest.raises(ConfigError):
        await open_listeners(PeerAddress("", port))
    await close(await open_listeners(PeerAddress("127.0.0.1", port)))
    await close(taken)


@pytest.mark.parametrize(("host", "sentence"), [("192.0.2.1", "no address of this machine"), ("a..b", "no address to")])
async def test_a_host_that_is_not_here_is_refused(host, sentence):
    with pytest.raises(ConfigError, match=sentence):
        await open_listeners(PeerAddress(host, 0))


async def test_a_concrete_address_is_where_others_reach_us():
    listeners = await open_listeners(PeerAddress("127.0.0.1", 0))
    assert reachable_addresses(listeners) == [PeerAddress(*listeners[0].socket.getsockname())]
    await close(listeners)


async def test_a_wildcard_is_never_told_to_others():
    listeners = await open_listeners(PeerAddress("", 0))
    addresses = reachable_addresses(listeners)
    assert addresses
    assert {address.port for address in addresses} == {listeners[0].socket.getsockname()[1]}
    assert not {"", "0.0.0.0", "::"} & {address.host for address in addresses}
    await close(listeners)


async def test_where_nobody_listens_is_unreachable_and_says_why():
    listeners = await open_listeners(PeerAddress("127.0.0.1", 0))
    address = reachable_addresses(listeners)[0]
    await close(listeners)
    with pytest.raises(UnreachableError, match=f"{address} cannot be reached: .*refused"):
        await connect(address)


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "\udc80"])
async def test_a_name_that_cannot_be_looked_up_is_unreachable(host):
    with pytest.raises(UnreachableError, match="cannot be reached"):
        await connect(PeerAddress(host, 1))


async def test_a_dead_network_is_noticed_by_either_end():
    listeners = await open_listeners(PeerAddress("127.0.0.1", 0))
    dialled = await connect(reachable_addresses(listeners)[0])
    accepted = await listeners[0].accept()
    watch_for_dead_network(accepted)
    for stream in (dialled, accepted):
        assert stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert 20_000 <= stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 30_000
        assert remote_host(stream) == "127.0.0.1"
        await stream.aclose()
    await close(listeners)


@pytest.mark.parametrize("chosen", ["bbr", "reno", "cubic"])
async def test_on_a_shared_line_bbr_gives_way_to_what_heeds_loss_and_nothing_else_changes(chosen):
    listeners = await open_listeners(PeerAddress("127.0.0.1", 0))
    stream = await connect(reachable_addresses(listeners)[0])
    with contextlib.suppress(OSError):  # not every system has it, or lets everybody choose it
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, chosen.encode())
    before = algorithm_of(stream)
    share_line(stream)
    assert algorithm_of(stream) in ({b"cubic", b"reno"} if before == b"bbr" else {before})
    await stream.aclose()
    share_line(stream)
    await close(listeners)


async def test_a_stream_that_is_no_tcp_is_left_as_it_is():
    stream, _ = memory_stream_pair()
    watch_for_dead_network(stream)
    share_line(stream)
    assert remote_host(stream) == ""


async def test_the_host_of_a_connection_that_is_gone_is_empty():
    listeners = await open_listeners(PeerAddress("127.0.0.1", 0))
    stream = await connect(reachable_addresses(listeners)[0])
    await stream.aclose()
    assert remote_host(stream) == ""
    await close(listeners)


class Names(trio.abc.HostnameResolver):
    """A name service that knows one name."""

    def __init__(self, *hosts):
        self._hosts = hosts

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):  # noqa: A002 - trio's name
        return [
            (socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, int(port)))
            for host in self._hosts
        ]

    async def getnameinfo(self, sockaddr, flags):
        raise NotImplementedError


def deaf_listener(host):
    """Return sockets of which the first listens and takes no more connections: who dials it waits."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.bind((host, 0))
    listener.listen(0)
    waiting = [socket.socket(listener.family) for _ in range(4)]
    for client in waiting:
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
    return [listener, *waiting]


@pytest.mark.parametrize(("deaf", "live"), [("::1", "127.0.0.1"), ("127.0.0.1", "::1")])
async def test_a_family_that_does_not_answer_does_not_hold_up_the_other(deaf, live):
    with contextlib.ExitStack() as stack:
        listener, *_ = [stack.enter_context(each) for each in deaf_listener(deaf)]
        port = listener.getsockname()[1]
        (other,) = await open_listeners(PeerAddress(live, port))
        trio.socket.set_custom_hostname_resolver(Names(deaf, live))
        with trio.fail_after(1.5):  # RFC 8305: the next address after 250 ms
            async with other, await connect(PeerAddress("both.example", port)) as stream:
                assert remote_host(stream) == live
