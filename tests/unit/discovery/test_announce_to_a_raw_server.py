"""Our announce, against servers that say whatever a test wants them to say, byte by byte."""

import contextlib
import datetime
import ipaddress
import random
import socket
import ssl

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from p2psync.bencoding import encode
from p2psync.discovery.http_announce import announce_http
from p2psync.discovery.udp_announce import announce_udp
from p2psync.errors import P2PSyncError, RemoteProtocolError, UnreachableError
from p2psync.ids import InfoHash, PeerAddress, PeerId
from p2psync.wire.announce import Announce, Event, TrackerRefusalError
from p2psync.wire.tracker_http import MAX_ANSWER_BYTES, parse_announce_query

ANNOUNCE = Announce(
    InfoHash(b"\xff" * 20), PeerId(b"p" * 20), 6881, 3, 4, 5, Event.STARTED, numwant=9, key=7, no_peer_id=True
)
BODY = b"d8:intervali60e5:peers6:\x7f\0\0\1\0\1e"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (
    BODY[:5],
    len(BODY) - 5,
    BODY[5:],
)


def response(body=BODY, status=b"200 OK", headers=b""):
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), headers, body)


@contextlib.asynccontextmanager
async def scripted(*scripts, tls=None):
    """Serve connections one after the other, each with the bytes of the next script; yield (URL, what was asked)."""
    asked = []
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    remaining = list(scripts)

    async def serve(stream):
        stream = trio.SSLStream(stream, tls, server_side=True, https_compatible=True) if tls else stream
        with contextlib.suppress(trio.BrokenResourceError):
            await converse(stream)
        await trio.aclose_forcefully(stream)

    async def converse(stream):
        script = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        request = b""
        while b"\r\n\r\n" not in request:
            request += await stream.receive_some()
        asked.append(request)
        for part in script if isinstance(script, list) else [script]:
            await stream.send_all(part)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        with trio.fail_after(10):
            scheme = "https" if tls else "http"
            yield f"{scheme}://127.0.0.1:{listeners[0].socket.getsockname()[1]}/announce", asked
        nursery.cancel_scope.cancel()


async def ask(url, **how):
    return await announce_http(url, ANNOUNCE, family=socket.AF_INET, **how)


async def test_the_query_says_what_we_meant():
    async with scripted(response()) as (url, asked):
        answer = await ask(f"{url}?passkey=x", tracker_id=b"id&")
    assert answer.peers == (PeerAddress("127.0.0.1", 1),)
    line, *headers = asked[0].split(b"\r\n")
    target = line.split()[1]
    assert target.startswith(b"/announce?passkey=x&info_hash=%FF")
    assert parse_announce_query(target.partition(b"?")[2]) == ANNOUNCE
    assert b"trackerid=id%26" in target
    assert {b"Host: " + url.split("/")[2].encode(), b"Connection: close"} <= set(headers)


@pytest.mark.parametrize(
    "script",
    [
        response(),
        b"HTTP/1.0 200 OK\r\n\r\n" + BODY,  # its end is the end of the connection
        CHUNKED,
        [bytes([octet]) for octet in response()],
        b"HTTP/1.1 100 Continue\r\n\r\n" + response(),
        response(headers=b"X: y\r\n" * 100),
    ],
)
async def test_every_way_to_answer_is_understood(script):
    async with scripted(script) as (url, _):
        assert (await ask(url)).interval_s == 60


@pytest.mark.parametrize(
    "script",
    [
        b"",
        b"\r\n",
        b"nonsense",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + BODY,  # cut short
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000,
        response(b"<html>captive portal</html>"),
        response(b""),
        response(b"", status=b"404 Not Found"),
        response(b"d8:intervali60ee", status=b"500 Oops"),
        response(b"d8:intervali60e5:peers5:xxxxxe"),
        response(b"x" * (MAX_ANSWER_BYTES + 1)),
        response(headers=b"Location: /\r\n", status=b"302 Found"),  # to itself, for ever
        response(headers=b"Location: ftp://127.0.0.1/\r\n", status=b"302 Found"),
        response(headers=b"Location: udp://127.0.0.1:1/\r\n", status=b"302 Found"),
        response(headers=b"Location: http://[::1\r\n", status=b"302 Found"),
        response(headers=b"Location: http://\xff/\r\n", status=b"302 Found"),
        response(status=b"302 Found"),
    ],
)
async def test_whatever_else_comes_is_an_error_that_says_so(script):
    async with scripted(script) as (url, _):
        with pytest.raises(P2PSyncError) as caught:
            await ask(url)
    assert isinstance(caught.value, P2PSyncError)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (b"", "it closes the connection without a whole answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "it closes the connection without a whole answer"),
        (response()[:-1], "it closes the connection without a whole answer"),
        (b"\x15\x03\x03\0\2\2\x0a\r\n\r\n", "what it answers is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", "what it answers is not HTTP"),
    ],
)
async def test_what_is_no_http_is_told_in_words_that_say_what_to_do(script, sentence):
    async with scripted(script) as (url, _):
        with pytest.raises(RemoteProtocolError, match=f"^{sentence}: see whether a tracker is there$"):
            await ask(url)


async def test_an_answer_without_end_is_cut_off():
    async with scripted([b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 100_000] * 1000]) as (url, _):
        with pytest.raises(RemoteProtocolError, match="longer"):
            await ask(url)


async def test_a_redirect_is_followed():
    async with (
        scripted(response()) as (there, _),
        scripted(response(headers=b"location: %b\r\n" % there.encode(), status=b"301 Moved")) as (url, _),
    ):
        # The query travels only if the tracker says so: it named the whole target.
        assert (await ask(url)).interval_s == 60


@pytest.mark.parametrize("status", [b"200 OK", b"403 Forbidden", b"503 Busy"])
async def test_a_refusal_is_read_whatever_its_status(status):
    async with scripted(response(encode({b"failure reason": b"not you"}), status=status)) as (url, _):
        with pytest.raises(TrackerRefusalError, match="not you"):
            await ask(url)


async def test_nobody_listening_is_nobody_answering():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(UnreachableError, match=r"^it does not answer \(Connection refused\)$"):
        await ask(f"http://127.0.0.1:{port}/announce")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("kind", ["http", "udp"])
async def test_a_tracker_without_an_address_of_the_family_is_not_reachable(kind, family):
    host = "[::1]" if family == socket.AF_INET else "127.0.0.1"
    with pytest.raises(UnreachableError):
        if kind == "http":
            await announce_http(f"http://{host}:1/", ANNOUNCE, family=family)
        else:
            await announce_udp(f"udp://{host}:1/", ANNOUNCE, family=family, rng=random.Random(0))


@pytest.mark.parametrize("host", ["x" * 64 + ".example", ".example", "a..b", "x" * 300, "-", "%00"])
async def test_a_name_that_cannot_be_is_not_reachable(host):
    with pytest.raises(P2PSyncError):
        await ask(f"https://{host}:1/announce")
    with pytest.raises(P2PSyncError):
        await announce_udp(f"udp://{host}:1/", ANNOUNCE, family=socket.AF_INET, rng=random.Random(0))


def make_certificate(folder):
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tracker")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = builder.add_extension(names, critical=False).sign(key, None)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "both.pem").write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    return folder / "both.pem"


async def test_a_tracker_over_tls_is_trusted_if_its_certificate_is(tmp_path):
    pem = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    async with scripted(response(), tls=context) as (url, _):
        answer = await ask(url, tls=ssl.create_default_context(cafile=pem))
        assert answer.interval_s == 60
        with pytest.raises(UnreachableError, match="certificate verify failed"):
            await ask(url)


# --- UDP ---


@contextlib.asynccontextmanager
async def scripted_udp(answer_to):
    """Answer each packet with what `answer_to(packet, number)` returns: a list of packets."""
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        await bound.bind(("127.0.0.1", 0))

        async def serve():
            number = 0
            while True:
                packet, sender = await bound.recvfrom(2048)
                for answer in answer_to(packet, number):
                    await bound.sendto(answer, sender)
                number += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            with trio.fail_after(10):
                yield f"udp://127.0.0.1:{bound.getsockname()[1]}/announce"
            nursery.cancel_scope.cancel()


def honest(packet, number):
    transaction = packet[12:16]
    if packet[8:12] == bytes(4):
        return [bytes(4) + transaction + b"CONNECT!"]
    assert packet[:8] == b"CONNECT!"
    assert packet[98:] == b"\2\x09/announce"
    return [b"\0\0\0\1" + transaction + b"\0\0\0\x3c" + bytes(8) + b"\x7f\0\0\1\0\1"]


async def ask_udp(url):
    return await announce_udp(url, ANNOUNCE, family=socket.AF_INET, rng=random.Random(0))


async def test_a_tracker_is_asked_as_the_bep_says():
    async with scripted_udp(honest) as url:
        answer = await ask_udp(url)
    assert (answer.interval_s, answer.peers) == (60, (PeerAddress("127.0.0.1", 1),))


async def test_what_got_lost_is_sent_again(mock_clock):
    mock_clock.rate = 20
    async with scripted_udp(lambda packet, number: honest(packet, number) if number % 2 else []) as url:
        assert (await ask_udp(url)).interval_s == 60


async def test_packets_that_are_no_answer_are_skipped():
    def confused(packet, number):
        return [
            b"",
            b"x",
            bytes(16),
            b"\0\0\0\3WRONgo away",
            packet,
            b"\0\0\0\1" + packet[12:16],
            *honest(packet, number),
        ]

    async with scripted_udp(confused) as url:
        assert (await ask_udp(url)).interval_s == 60


async def test_a_refusal_over_udp_is_a_refusal():
    async with scripted_udp(lambda packet, number: [b"\0\0\0\3" + packet[12:16] + b"go \x1baway"]) as url:
        with pytest.raises(TrackerRefusalError, match="go  away"):
            await ask_udp(url)


async def test_a_list_of_an_impossible_length_is_an_error():
    def cut(packet, number):
        return [answer[:-1] if number else answer for answer in honest(packet, number)]

    async with scripted_udp(cut) as url:
        with pytest.raises(RemoteProtocolError, match="peers"):
            await ask_udp(url)


async def test_a_closed_port_is_told_at_once():
    with socket.socket(type=socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with trio.fail_after(2), pytest.raises(UnreachableError, match="refused"):
        await ask_udp(f"udp://127.0.0.1:{port}/announce")
