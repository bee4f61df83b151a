import itertools
import ssl
import sys

import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from trio.testing import lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from p2psync.errors import RemoteProtocolError, UnreachableError
from p2psync.keys import keys_from_seed
from p2psync.swarm.secure_stream import SecureStream
from p2psync.swarm.tls import (
    client_context,
    device_id,
    listening_context,
    load_device_key,
    member_certificate,
    server_context,
)
from p2psync.wire.records import KEY_BYTES

HERE, THERE = keys_from_seed(b"h" * 32), keys_from_seed(b"t" * 32)
SERVER_KEY, CLIENT_KEY = load_device_key(b"s" * 32), load_device_key(b"c" * 32)
SERVED = {HERE.sni: server_context(HERE, SERVER_KEY)}


def streams(*, dialler=None, transports=None):
    client_end, server_end = transports or memory_stream_pair()
    client = SecureStream(client_end, dialler or client_context(HERE, CLIENT_KEY), HERE.sni)
    return client, SecureStream(server_end, listening_context(SERVED.get))


async def connected(transports=None):
    client, server = streams(transports=transports)
    # A peer that sent tickets would hang here over a transport without buffers (trio#819).
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            nursery.start_soon(server.do_handshake)
    return client, server


async def receive_exactly(stream, count):
    buffer = memoryview(bytearray(count))
    filled = 0
    while filled < count:
        filled += await stream.receive_into(buffer[filled:])
    return bytes(buffer)


async def failure_of(action):
    try:
        await action()
    except (RemoteProtocolError, UnreachableError) as error:
        return error
    return None


async def failures(*actions):
    found = [None] * len(actions)

    async def run(place, action):
        found[place] = await failure_of(action)

    async with trio.open_nursery() as nursery:
        for place, action in enumerate(actions):
            nursery.start_soon(run, place, action)
    return found


def letters(count):
    return bytes(itertools.islice(itertools.cycle(range(251)), count))


async def test_both_ends_know_which_device_the_other_is():
    client, server = await connected()
    assert client.device == device_id(SERVER_KEY.public_key())
    assert server.device == device_id(CLIENT_KEY.public_key())
    assert server.context is SERVED[HERE.sni]


@pytest.mark.parametrize(
    "sizes",
    [[0], [1], [16383, 16384, 16385], [20, 1 << 20], [1 << 20, 20], [100] * 9000, [262144, 0, 1, 262145], [3_000_001]],
)
async def test_what_is_sent_arrives_in_order_in_both_directions(sizes):
    client, server = await connected()
    buffers = [memoryview(letters(size)) for size in sizes] + [b"end"]
    sent = b"".join(buffers)
    for sender, receiver in ((client, server), (server, client)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send_all, buffers)
            assert await receive_exactly(receiver, len(sent)) == sent


async def test_after_much_a_little_is_sent_as_it_is():
    client, server = await connected()
    sent = [letters(size) for size in (300_000, 7, 20_000)]
    for data in sent:
        await client.send_all([data])
    assert await receive_exactly(server, 320_007) == b"".join(sent)


async def test_a_stream_that_is_closed_holds_on_to_nothing_that_it_received(autojump_clock):
    transports = memory_stream_pair()
    _, server = await connected(transports)
    await transports[0].send_all((1 << 20).to_bytes(4, "big") + bytes(5000))
    with trio.move_on_after(0.01):
        await server.receive_into(memoryview(bytearray(100)))
    assert server.unread_bytes == 5004
    await server.aclose()
    assert server.unread_bytes == 0


async def test_what_the_system_holds_of_a_record_counts_as_unread(nursery):
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    client_end = await trio.open_tcp_stream(*listeners[0].socket.getsockname())
    async with listeners[0], client_end, await listeners[0].accept() as server_end:
        _, server = await connected((client_end, server_end))
        nursery.start_soon(server.receive_into, memoryview(bytearray(100)))
        for part in ((1 << 20).to_bytes(4, "big") + bytes(5000), bytes(7000)):
            await wait_all_tasks_blocked()
            await client_end.send_all(part)
        with trio.fail_after(20):
            while server.unread_bytes != 12_004:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


async def test_one_task_may_send_while_another_receives():
    client, server = await connected()
    data = letters(1 << 20)
    arrived = []

    async def receive(stream):
        arrived.append(await receive_exactly(stream, len(data)))

    async with trio.open_nursery() as nursery:
        for stream in (client, server):
            nursery.start_soon(stream.send_all, [data])
            nursery.start_soon(receive, stream)
    assert arrived == [data, data]


async def test_what_comes_together_with_the_key_is_received_first():
    transports = memory_stream_pair()
    transports[0].receive_stream.receive_some_hook = wait_all_tasks_blocked  # so all that there is comes at once
    client, server = streams(transports=transports)

    async def serve():
        await server.do_handshake()
        await server.send_all([b"at once"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await client.do_handshake()
    await server.send_all([b" and later"])
    assert await receive_exactly(client, 17) == b"at once and later"


async def test_one_call_receives_every_record_that_has_arrived():
    client, server = await connected()
    await client.send_all([letters(100_000)])
    buffer = memoryview(bytearray(200_000))
    assert await server.receive_into(buffer) == 100_000
    assert bytes(buffer[:100_000]) == letters(100_000)


async def test_a_small_buffer_receives_what_fits_and_the_rest_next_time():
    client, server = await connected()
    await client.send_all([b"0123456789"])
    buffer = memoryview(bytearray(6))
    assert [await server.receive_into(buffer), await server.receive_into(buffer)] == [6, 4]


async def test_a_member_of_another_folder_is_refused_on_both_sides():
    client, server = streams(dialler=client_context(THERE, CLIENT_KEY))
    dialled, accepted = await failures(client.do_handshake, server.do_handshake)
    assert "the peer is not a member of this folder" in str(dialled)
    assert isinstance(accepted, RemoteProtocolError)


async def test_a_dialler_learns_that_it_is_refused_though_its_own_handshake_is_done(tmp_path):
    # In TLS 1.3 that is before its certificate is judged.
    leaf = tmp_path / "leaf.pem"
    key_text = CLIENT_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    leaf.write_bytes(member_certificate(THERE, CLIENT_KEY).public_bytes(Encoding.PEM) + key_text)
    dialler = client_context(HERE, CLIENT_KEY)
    dialler.load_cert_chain(leaf)
    client, server = streams(dialler=dialler)
    dialled, accepted = await failures(client.do_handshake, server.do_handshake)
    assert "does not take us for a member of this folder" in str(dialled)
    assert "the peer is not a member of this folder" in str(accepted)


async def test_a_dialler_of_a_folder_that_is_not_served_is_told_so():
    client_end, server_end = memory_stream_pair()
    client = SecureStream(client_end, client_context(THERE, CLIENT_KEY), THERE.sni)
    server = SecureStream(server_end, listening_context(SERVED.get))
    dialled, accepted = await failures(client.do_handshake, server.do_handshake)
    assert "the peer does not share this folder" in str(dialled)
    assert "not shared here" in str(accepted)


async def test_a_member_that_speaks_another_protocol_is_refused():
    dialler = client_context(HERE, CLIENT_KEY)
    dialler.set_alpn_protocols(["p2psync/999"])
    client, server = streams(dialler=dialler)
    for failure in await failures(client.do_handshake, server.do_handshake):
        assert "another protocol" in str(failure)


@pytest.mark.parametrize("greeting", [b"GET / HTTP/1.1\r\n\r\n", b"\x13BitTorrent protocol" + bytes(48), bytes(99)])
async def test_whoever_speaks_no_tls_is_refused(greeting):
    stranger, server_end = memory_stream_pair()
    await stranger.send_all(greeting)
    with pytest.raises(RemoteProtocolError):
        await SecureStream(server_end, listening_context(SERVED.get)).do_handshake()


async def test_a_folder_name_that_is_not_ascii_is_refused_without_a_traceback(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    hello = ssl.MemoryBIO()
    dialler = client_context(HERE, CLIENT_KEY).wrap_bio(ssl.MemoryBIO(), hello, server_hostname=HERE.sni)
    with pytest.raises(ssl.SSLWantReadError):
        dialler.do_handshake()
    stranger, server_end = memory_stream_pair()
    await stranger.send_all(hello.read().replace(HERE.sni.encode(), b"\xff" * len(HERE.sni)))
    with pytest.raises(RemoteProtocolError):
        await SecureStream(server_end, listening_context(SERVED.get)).do_handshake()
    assert reported == []


def say_more(tls):
    tls.write(bytes(KEY_BYTES + 1))


def say_goodbye(tls):
    with pytest.raises(ssl.SSLWantReadError):
        tls.unwrap()


@pytest.mark.parametrize(
    ("say", "failure", "words"),
    [(say_more, RemoteProtocolError, "more over TLS than its key"), (say_goodbye, UnreachableError, "hung up")],
)
async def test_over_tls_a_peer_says_its_key_and_nothing_else(nursery, say, failure, words):
    client_end, server_end = memory_stream_pair()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(HERE, CLIENT_KEY).wrap_bio(incoming, outgoing, server_hostname=HERE.sni)

    async def dial():
        is_done = False
        while not is_done:
            try:
                tls.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                await client_end.send_all(outgoing.read())
                incoming.write(await client_end.receive_some())
        say(tls)
        await client_end.send_all(outgoing.read())

    nursery.start_soon(dial)
    with trio.fail_after(20), pytest.raises(failure, match=words):
        await SecureStream(server_end, listening_context(SERVED.get)).do_handshake()


async def test_a_peer_that_hangs_up_in_the_handshake_is_unreachable():
    client_end, server_end = memory_stream_pair()
    await server_end.aclose()
    with pytest.raises(UnreachableError, match="hung up"):
        await SecureStream(client_end, client_context(HERE, CLIENT_KEY), HERE.sni).do_handshake()


async def test_the_end_of_the_stream_is_zero_bytes_after_all_that_was_sent():
    client, server = await connected()
    await client.send_all([b"last words"])
    await client.aclose()
    buffer = memoryview(bytearray(100))
    assert [await server.receive_into(buffer) for _ in range(3)] == [10, 0, 0]


async def test_an_abrupt_end_is_zero_bytes_too():
    client_end, server_end = memory_stream_pair()
    client, server = await connected((client_end, server_end))
    await client.send_all([b"last words"])
    await client_end.aclose()
    buffer = memoryview(bytearray(100))
    assert [await server.receive_into(buffer) for _ in range(3)] == [10, 0, 0]


async def test_a_transport_that_breaks_is_at_its_end_too():
    client_end, server_end = memory_stream_pair()
    client, server = await connected((client_end, server_end))

    async def break_down():
        raise trio.BrokenResourceError

    await client.send_all([b"last words"])
    buffer = memoryview(bytearray(100))
    assert await server.receive_into(buffer) == 10
    server_end.receive_stream.receive_some_hook = break_down
    assert [await server.receive_into(buffer) for _ in range(2)] == [0, 0]


async def test_a_goodbye_ends_the_stream_though_the_transport_stays_open():
    transports = memory_stream_pair()
    transports[0].aclose = trio.lowlevel.checkpoint
    client, server = await connected(transports)
    await client.aclose()
    with trio.fail_after(20):
        assert await server.receive_into(memoryview(bytearray(100))) == 0


async def test_garbage_breaks_the_stream_after_what_was_sent_before():
    client_end, server_end = memory_stream_pair()
    client, server = await connected((client_end, server_end))
    await client.send_all([b"good"])
    await client_end.send_all((32).to_bytes(4, "big") + bytes(32))
    buffer = memoryview(bytearray(100))
    assert await server.receive_into(buffer) == 4
    for _ in range(2):
        with pytest.raises(trio.BrokenResourceError):
            await server.receive_into(buffer)


async def test_a_cancelled_send_leaves_the_stream_unable_to_send():
    client, _ = await connected(lockstep_stream_pair())
    with trio.move_on_after(0.01) as scope:
        await client.send_all([b"nobody reads this"])
    assert scope.cancelled_caught
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all([b"nor this"])


async def test_a_send_to_a_peer_that_is_gone_breaks_the_stream():
    client, server = await connected()
    await server.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all([b"hello?"])


async def test_a_cancelled_receive_loses_nothing():
    client, server = await connected()
    buffer = memoryview(bytearray(100))
    with trio.move_on_after(0.01) as scope:
        await server.receive_into(buffer)
    assert scope.cancelled_caught
    await client.send_all([b"still here"])
    assert await server.receive_into(buffer) == 10


async def test_two_senders_at_a_time_are_refused(nursery):
    client, _ = await connected(lockstep_stream_pair())
    nursery.start_soon(client.send_all, [b"first"])
    await wait_all_tasks_blocked()
    with pytest.raises(trio.BusyResourceError):
        await client.send_all([b"second"])
    nursery.cancel_scope.cancel()


async def test_closing_does_not_wait_for_a_peer_that_does_not_read(autojump_clock):
    client, _ = await connected(lockstep_stream_pair())
    with trio.fail_after(2):
        await client.aclose()


async def test_closing_wakes_who_receives():
    client, _ = await connected()

    async def receive():
        with pytest.raises(trio.ClosedResourceError):
            await client.receive_into(memoryview(bytearray(1)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        await client.aclose()
        await client.aclose()


async def test_a_cancelled_close_closes_the_transport():
    client, server = await connected()
    with trio.CancelScope() as scope:
        scope.cancel()
        await client.aclose()
    assert await server.receive_into(memoryview(bytearray(1))) == 0
