import errno

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from p2psync.errors import LocalProtocolError, RemoteProtocolError, UnreachableError
from p2psync.ids import PeerAddress
from p2psync.keys import keys_from_seed
from p2psync.swarm.endpoint import HANDSHAKE_S, Endpoint, Membership
from p2psync.swarm.tcp import open_listeners
from p2psync.swarm.tls import device_id, load_device_key

HERE, THERE = keys_from_seed(b"h" * 32), keys_from_seed(b"t" * 32)
SERVER_KEY, CLIENT_KEY = load_device_key(b"s" * 32), load_device_key(b"c" * 32)
SOMEWHERE = PeerAddress("peer.example", 4000)


class MemoryListener(trio.abc.Listener):
    """A port that exists in this process only; an exception put into it is what accepting raises."""

    def __init__(self):
        self._arrivals, self._backlog = trio.open_memory_channel(1000)

    async def dial(self, address=SOMEWHERE):
        ours, theirs = memory_stream_pair()
        await self.put(theirs)
        return ours

    async def put(self, arrival):
        try:
            await self._arrivals.send(arrival)
        except trio.BrokenResourceError:
            raise UnreachableError("nobody listens there") from None

    async def accept(self):
        arrival = await self._backlog.receive()
        if isinstance(arrival, Exception):
            raise arrival
        return arrival

    async def aclose(self):
        await self._backlog.aclose()


async def greet(stream):
    await stream.send_all([b"welcome"])


async def refuse(stream):
    raise AssertionError("nobody should get in")


def member(keys=HERE, accept=greet):
    return Membership(keys, SERVER_KEY, accept)


def visitor(keys=HERE):
    return Membership(keys, CLIENT_KEY, refuse)


async def served(nursery, *memberships, **limits):
    listener = MemoryListener()
    endpoint = Endpoint(**limits)
    for membership in memberships or (member(),):
        endpoint.join(membership)
    await nursery.start(endpoint.serve, [listener])
    return listener


async def hear(stream):
    buffer = memoryview(bytearray(100))
    with trio.fail_after(20):
        return bytes(buffer[: await stream.receive_into(buffer)])


async def is_welcome(listener, keys=HERE):
    async with await Endpoint(listener.dial).dial(SOMEWHERE, visitor(keys)) as stream:
        return await hear(stream) == b"welcome"


async def test_a_member_that_dials_is_given_to_its_folder(nursery):
    met = []

    async def accept(stream):
        met.append(stream.device)
        await greet(stream)

    listener = await served(nursery, member(accept=accept))
    stream = await Endpoint(listener.dial).dial(SOMEWHERE, visitor())
    assert await hear(stream) == b"welcome"
    assert stream.device == device_id(SERVER_KEY.public_key())
    assert met == [device_id(CLIENT_KEY.public_key())]


async def test_one_port_serves_many_folders(nursery):
    async def greet_there(stream):
        await stream.send_all([b"welcome there"])

    listener = await served(nursery, member(), member(THERE, greet_there))
    answers = [await hear(await Endpoint(listener.dial).dial(SOMEWHERE, visitor(keys))) for keys in (THERE, HERE)]
    assert answers == [b"welcome there", b"welcome"]


async def test_it_works_over_tcp(nursery):
    listeners = await open_listeners(PeerAddress("127.0.0.1", 0))
    endpoint = Endpoint()
    endpoint.join(member())
    await nursery.start(endpoint.serve, listeners)
    async with await endpoint.dial(PeerAddress(*listeners[0].socket.getsockname()), visitor()) as stream:
        assert await hear(stream) == b"welcome"
        assert await hear(stream) == b""


async def test_a_connection_is_closed_when_its_handler_returns(nursery):
    listener = await served(nursery)
    stream = await Endpoint(listener.dial).dial(SOMEWHERE, visitor())
    assert [await hear(stream), await hear(stream)] == [b"welcome", b""]


async def test_who_dials_where_only_another_folder_is_shared_is_told_so_and_hangs_up(nursery):
    endpoint, listener = Endpoint(), MemoryListener()
    endpoint.join(member(THERE, accept=refuse))
    await nursery.start(endpoint.serve, [listener])
    opened = []

    async def dial(address):
        opened.append(await listener.dial(address))
        return opened[0]

    with pytest.raises(RemoteProtocolError, match="does not share this folder"):
        await Endpoint(dial).dial(SOMEWHERE, visitor())
    with pytest.raises(trio.ClosedResourceError):
        await opened[0].send_all(b"")


async def test_a_folder_is_joined_once():
    endpoint = Endpoint()
    endpoint.join(member())
    with pytest.raises(LocalProtocolError):
        endpoint.join(member())


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff", bytes(1000), b""])
async def test_a_stranger_harms_nobody(nursery, noise):
    listener = await served(nursery, member())
    stranger = await listener.dial()
    await stranger.send_all(noise)
    await stranger.send_eof()
    assert await is_welcome(listener)
    while await stranger.receive_some():
        pass  # an alert at most


FAULTS = [
    RemoteProtocolError("nonsense"),
    UnreachableError("silent"),
    trio.BrokenResourceError("reset"),
    ExceptionGroup("from a nursery", [RemoteProtocolError("nonsense"), trio.BrokenResourceError("reset")]),
]


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_a_peer_causes_ends_its_own_connection_only(nursery, fault):
    async def accept(stream):
        raise fault

    listener = await served(nursery, member(accept=accept), member(THERE))
    stream = await Endpoint(listener.dial).dial(SOMEWHERE, visitor())
    assert await hear(stream) == b""
    assert await is_welcome(listener, THERE)


@pytest.mark.parametrize("bug", [ValueError("a bug"), LocalProtocolError("a bug")])
async def test_a_bug_in_a_handler_rises(bug):
    async def accept(stream):
        raise bug

    async def meet():
        async with trio.open_nursery() as nursery:
            listener = await served(nursery, member(accept=accept))
            await Endpoint(listener.dial).dial(SOMEWHERE, visitor())

    with pytest.raises(ExceptionGroup) as risen:
        await meet()
    assert risen.group_contains(type(bug))


async def test_who_does_not_finish_its_handshake_is_dropped_in_time(nursery, autojump_clock):
    listener = await served(nursery)
    stranger = await listener.dial()
    begun = trio.current_time()
    assert await stranger.receive_some() == b""
    assert trio.current_time() - begun == pytest.approx(HANDSHAKE_S)


async def test_a_crowd_of_strangers_displaces_its_oldest_and_keeps_no_member_out(nursery):
    listener = await served(nursery, half_open_limit=2)
    crowd = []
    for _ in range(2):
        crowd.append(await listener.dial())
        await wait_all_tasks_blocked()
    assert await is_welcome(listener)
    assert await crowd[0].receive_some() == b""
    with trio.move_on_after(0.01) as scope:
        await crowd[1].receive_some()
    assert scope.cancelled_caught


async def test_running_out_of_descriptors_passes(nursery, autojump_clock):
    listener = await served(nursery)
    for code in (errno.EMFILE, errno.ENFILE):
        await listener.put(OSError(code, "too many"))
    assert await is_welcome(listener)


async def test_a_listener_that_fails_otherwise_ends_serving():
    listener = MemoryListener()
    await listener.put(OSError(errno.EBADF, "no socket"))
    with pytest.raises(ExceptionGroup) as risen:
        await Endpoint().serve([listener])
    assert risen.group_contains(OSError)


async def test_listeners_are_closed_when_serving_ends():
    async with trio.open_nursery() as nursery:
        listener = await served(nursery)
        nursery.cancel_scope.cancel()
    with pytest.raises(UnreachableError):
        await listener.dial()


async def test_a_peer_that_says_nothing_is_unreachable_and_hung_up_on(autojump_clock):
    listener = MemoryListener()
    with pytest.raises(UnreachableError, match="does not answer"):
        await Endpoint(listener.dial).dial(SOMEWHERE, visitor())
    silent = await listener.accept()
    assert len(await silent.receive_some()) > 0
    with trio.fail_after(20):
        assert await silent.receive_some() == b""
