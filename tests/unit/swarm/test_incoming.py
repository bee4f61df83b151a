"""When a socket wakes its reader."""

import fcntl
import struct
import termios

import pytest
import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked

from p2psync.swarm.incoming import Incoming


async def socket_pair():
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    sender = await trio.open_tcp_stream(*listeners[0].socket.getsockname())
    receiver = await listeners[0].accept()
    await listeners[0].aclose()
    return sender, receiver


def arrived_bytes(stream):
    return struct.unpack("i", fcntl.ioctl(stream.socket.fileno(), termios.FIONREAD, bytes(4)))[0]


async def send(sender, receiver, count):
    """Send bytes, and wait until the system holds them for the receiver."""
    before = arrived_bytes(receiver)
    await sender.send_all(bytes(count))
    while arrived_bytes(receiver) not in (0, before + count):
        await trio.lowlevel.checkpoint()


async def test_who_waits_for_a_record_is_woken_when_it_is_whole(nursery):
    sender, receiver = await socket_pair()
    counts = []

    async def receive():
        counts.append(await Incoming(receiver).receive_into(memoryview(bytearray(1 << 20)), 60_000))

    async with sender, receiver:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        await send(sender, receiver, 20_000)
        await wait_all_tasks_blocked()
        assert counts == []
        await send(sender, receiver, 40_000)
        with trio.fail_after(20):
            while not counts:
                await trio.lowlevel.checkpoint()
        assert counts == [60_000]


async def receive_each(receiver, missing, counts):
    incoming = Incoming(receiver)
    for count in missing:
        await counts.send(await incoming.receive_into(memoryview(bytearray(1 << 20)), count))


async def test_what_the_system_holds_until_a_record_is_whole_is_known(nursery):
    sender, receiver = await socket_pair()
    incoming = Incoming(receiver)
    async with sender, receiver:
        nursery.start_soon(incoming.receive_into, memoryview(bytearray(1 << 20)), 60_000)
        for count in (0, 20_000, 30_000):
            await wait_all_tasks_blocked()
            await sender.send_all(bytes(count - incoming.waiting_bytes))
            with trio.fail_after(20):
                while incoming.waiting_bytes != count:
                    await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("missing", [1, 4, 10_000])
async def test_who_waits_for_little_after_much_is_woken_by_the_first_byte(nursery, missing):
    sender, receiver = await socket_pair()
    counts, heard = trio.open_memory_channel(2)
    async with sender, receiver:
        nursery.start_soon(receive_each, receiver, [50_000, missing], counts)
        for count in (50_000, 1):
            await wait_all_tasks_blocked()
            await sender.send_all(bytes(count))
            with trio.fail_after(20):
                assert await heard.receive() == count


async def test_the_end_wakes_who_waits_for_a_record(nursery):
    sender, receiver = await socket_pair()
    async with sender, receiver:
        await sender.send_all(bytes(100))
        await sender.aclose()
        incoming = Incoming(receiver)
        with trio.fail_after(20):
            counts = [await incoming.receive_into(memoryview(bytearray(1000)), 60_000) for _ in range(2)]
        assert counts == [100, 0]


async def test_a_connection_that_was_reset_is_at_its_end():
    sender, receiver = await socket_pair()
    async with receiver:
        sender.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
        await sender.aclose()
        with trio.fail_after(20):
            assert await Incoming(receiver).receive_into(memoryview(bytearray(10)), 1) == 0


async def test_what_this_side_has_closed_is_not_at_its_end_but_closed():
    sender, receiver = await socket_pair()
    await sender.aclose()
    incoming = Incoming(receiver)
    await receiver.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await incoming.receive_into(memoryview(bytearray(10)), 1)
