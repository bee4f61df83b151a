"""Who is no member gets nothing: not in, not a word beyond a TLS alert, and not in anybody's way."""

import contextlib
import socket
import ssl
import tempfile
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from p2psync.keys import keys_from_seed, make_seed
from p2psync.sharelink import parse_link
from p2psync.swarm.tls import ALPN, client_context, make_device_key, server_context
from tests.e2e.compare import differences
from tests.e2e.program import get, share
from tests.e2e.tree import make_random_tree
from tests.hostile.harm import assert_gave_up
from tests.hostile.raw_link import Listener, RawLink, dial_tcp, dial_tls

FOREIGN = keys_from_seed(make_seed())


def bare_context():
    """Trust anybody, show no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN])
    return context


def foreign_context():
    """Trust anybody, show the certificate of another folder's member."""
    context = client_context(FOREIGN, make_device_key())
    context.verify_mode = ssl.CERT_NONE
    return context


def old_context():
    context = bare_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def hears(stream):
    """Return what an accepted connection says first; nothing if it is refused."""
    try:
        return stream.recv(1)
    except (ConnectionError, ssl.SSLError):
        return b""


def greeting(address, context, name):
    try:
        with dial_tls(address, context, name) as stream:
            return hears(stream)
    except (ConnectionError, ssl.SSLError):
        return b""


def test_a_member_is_heard_as_a_control(origin):
    member = client_context(origin.keys, make_device_key())
    assert greeting(origin.address, member, origin.keys.sni) != b""


@pytest.mark.parametrize(
    "context", [bare_context, foreign_context, old_context], ids=["no certificate", "another folder's", "TLS 1.2"]
)
def test_who_is_no_member_hears_nothing(origin, context):
    assert greeting(origin.address, context(), origin.keys.sni) == b""


@pytest.mark.parametrize(
    "name",
    [FOREIGN.sni, "localhost", None, "räksmörgås"],
    ids=["another folder", "localhost", "no name", "not ASCII"],
)
def test_a_member_that_asks_for_no_folder_of_ours_hears_nothing(origin, name):
    assert greeting(origin.address, client_context(origin.keys, make_device_key()), name) == b""


def test_a_member_of_another_folder_does_not_get_in_by_its_name(origin):
    """SNI says theirs, the certificate is ours alone: what a base context that does not verify would let in."""
    for name in (origin.keys.sni, FOREIGN.sni):
        assert greeting(origin.address, foreign_context(), name) == b""


def test_no_session_can_be_resumed_not_even_by_a_member(origin, tmp_path):
    make_random_tree(tmp_path / "other", 2, seed=9)
    with share(tmp_path / "other") as other:
        member = client_context(origin.keys, make_device_key())
        with RawLink(dial_tls(origin.address, member, origin.keys.sni)) as link:
            link.greet(accepted=False)
            assert link.is_alive()  # a ticket would have come by now
            session = link.stream.session
            assert session is None or not session.has_ticket
        with dial_tls(origin.address, member, origin.keys.sni, session) as again:
            assert hears(again) != b""
            assert not again.session_reused
        ready = other.wait_event("ready")
        address = ready["listen"]
        with (
            contextlib.suppress(ConnectionError, ssl.SSLError),
            dial_tls(address, member, parse_link(ready["link"]).keys.sni, session) as stream,
        ):
            assert hears(stream) == b""
            assert not stream.session_reused


GARBAGE = {
    "nothing": b"",
    "a request of the web": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "zeros": bytes(100_000),
    "half a record": b"\x16\x03\x01\x40\x00\x01",
    "a record of 64 KiB": b"\x16\x03\x01\xff\xff" + bytes(65535),
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "our own frames, in the clear": b"\x00\x00\x00\x01\x08",
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_is_answered_by_a_tls_alert_at_most(origin, garbage):
    with dial_tcp(origin.address) as stream:
        answer = b""
        with contextlib.suppress(OSError):  # it may be over before all of it is said
            stream.sendall(GARBAGE[garbage])
            stream.shutdown(socket.SHUT_WR)
            while data := stream.recv(4096):
                answer += data
    assert answer == b"" or (answer[0] == 0x15 and len(answer) == 7)


def test_two_hundred_half_open_connections_keep_nobody_out(origin, tmp_path):
    with contextlib.ExitStack() as stack:
        for number in range(200):
            stream = stack.enter_context(dial_tcp(origin.address))
            stream.sendall(b"\x16\x03\x01\x02\x00\x01"[: number % 7])
        with get(origin.code, tmp_path / "b", "--peer", origin.address) as getter:
            assert getter.complete()["seconds"] < 25
    assert differences(origin.folder, tmp_path / "b") == []


# --- whoever a getter dials -------------------------------------------------------------------------------------------


def speaks(data):
    """Say this to whoever comes, and wait for the end."""

    def answer(stream):
        stream.sendall(data)
        while stream.recv(4096):
            pass

    return answer


def hangs_up(stream):
    stream.recv(1)


def in_tls(make_context):
    """Finish the handshake, whoever comes, and greet."""

    def answer(stream):
        with make_context().wrap_socket(stream, server_side=True) as tls, RawLink(tls) as link:
            link.greet(accepted=True)

    return answer


def foreign_server():
    context = server_context(FOREIGN, make_device_key())
    context.verify_mode = ssl.CERT_NONE
    return context


def self_signed_server():
    """What every web server has that somebody set up in a minute."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    key = make_device_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, datetime(2020, 1, 1), datetime(2040, 1, 1))
    with tempfile.NamedTemporaryFile() as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.write(builder.sign(key, None).public_bytes(Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    context.set_alpn_protocols([ALPN])
    return context


ODD = {
    "hangs up": hangs_up,
    "never says a word": speaks(b""),
    "speaks HTTP": speaks(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "speaks garbage": speaks(bytes(range(256)) * 4000),
    "sends half a record": speaks(b"\x16\x03\x03\x10\x00\x02"),
    "a member of another folder": in_tls(foreign_server),
    "a web server": in_tls(self_signed_server),
}


def test_a_getter_takes_no_stranger_for_a_peer_and_gives_up_in_time(origin, tmp_path):
    with contextlib.ExitStack() as stack:
        odd = [stack.enter_context(Listener(answer)) for answer in ODD.values()]
        peers = [word for one in odd for word in ("--peer", one.address)]
        with get(origin.code, tmp_path / "b", *peers, "--timeout", "3") as getter:
            sentence = assert_gave_up(getter, 3, within_s=15)
            assert sentence.startswith("no peer reachable in 3 s: is the share running? (")
            assert {event["peers"] for event in getter.events if event["event"] == "progress"} == {0}
        # All but who never says a word were dialled and let go again.
        assert all(one.ended for one, name in zip(odd, ODD, strict=True) if name != "never says a word")


def test_strangers_do_not_keep_a_getter_from_the_one_who_is_a_member(origin, tmp_path):
    with contextlib.ExitStack() as stack:
        odd = [stack.enter_context(Listener(answer)) for answer in list(ODD.values()) * 4]
        peers = [word for one in odd for word in ("--peer", one.address)]
        with get(origin.code, tmp_path / "b", *peers, "--peer", origin.address) as getter:
            assert getter.complete()["seconds"] < 30
    assert differences(origin.folder, tmp_path / "b") == []
