import os
import ssl
from datetime import datetime
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from p2psync.errors import RemoteProtocolError
from p2psync.keys import Role, keys_from_seed
from p2psync.swarm.tls import (
    ALPN,
    client_context,
    device_id,
    listening_context,
    load_device_key,
    make_device_key,
    member_certificate,
    member_device,
    server_context,
    swarm_certificate,
)

HERE, THERE = keys_from_seed(b"h" * 32), keys_from_seed(b"t" * 32)
SERVER_KEY, CLIENT_KEY = load_device_key(b"s" * 32), load_device_key(b"c" * 32)
SERVED = {keys.sni: server_context(keys, SERVER_KEY) for keys in (HERE, THERE)}


class Handshake:
    """Both ends of a handshake over memory, as far as it went; `failures` are OpenSSL's reasons by side."""

    def __init__(self, client_context, name, *, listening=None, session=None):
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        listening = listening or listening_context(SERVED.get)
        self.client = client_context.wrap_bio(to_client, to_server, server_hostname=name, session=session)
        self.server = listening.wrap_bio(to_server, to_client, server_side=True)
        self.failures = {}
        for _ in range(4):
            self.step("client", self.client.do_handshake)
            self.step("server", self.server.do_handshake)
        self.step("client", self.client.read)

    def step(self, side, action):
        try:
            action()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.failures.setdefault(side, error.reason)


def careless(context):
    """A client that does not mind who answers."""
    context.verify_mode = ssl.CERT_NONE
    return context


def without_certificate():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    return careless(context)


def test_the_swarm_certificate_never_changes():
    # A change here locks every existing member out of its swarms.
    der = swarm_certificate(keys_from_seed(bytes(32))).public_bytes(Encoding.DER)
    assert sha256(der).hexdigest() == "7bc46440cdd60fe9df9979f47e715f4522cfb2c276a2cc121189e02f7578e5ed"


def test_every_kind_of_member_derives_the_same_swarm_certificate():
    assert len({swarm_certificate(HERE.limited_to(role)) for role in Role}) == 1


def test_folders_have_certificates_of_their_own():
    assert swarm_certificate(HERE) != swarm_certificate(THERE)


def test_members_meet_and_know_which_device_the_other_is():
    done = Handshake(client_context(HERE, CLIENT_KEY), HERE.sni)
    assert done.failures == {}
    assert member_device(done.server) == device_id(CLIENT_KEY.public_key())
    assert member_device(done.client) == device_id(SERVER_KEY.public_key())
    assert done.client.selected_alpn_protocol() == ALPN
    assert done.client.version() == "TLSv1.3"


def test_a_device_is_the_hash_of_its_public_key_info():
    key = make_device_key()
    info = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert device_id(key.public_key()) == sha256(info).digest()
    assert device_id(load_device_key(key.private_bytes_raw()).public_key()) == sha256(info).digest()


def test_both_ends_verify_by_the_strict_rules():
    for context in (client_context(HERE, CLIENT_KEY), SERVED[HERE.sni], listening_context(SERVED.get)):
        assert context.verify_flags & ssl.VERIFY_X509_STRICT
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.minimum_version == ssl.TLSVersion.TLSv1_3


def showing(certificate, context, key, place):
    """Give a context a certificate of its own, as PEM, by way of a file."""
    place.write_bytes(certificate + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context.load_cert_chain(place)
    return context


def outdated(context, key, place):
    """Give a context a certificate that, good in all else, ended in 1960."""
    leaf = member_certificate(HERE, key)
    builder = (
        x509.CertificateBuilder().subject_name(leaf.subject).issuer_name(leaf.issuer).public_key(leaf.public_key())
    )
    builder = builder.serial_number(leaf.serial_number)
    builder = builder.not_valid_before(datetime(1950, 1, 1)).not_valid_after(datetime(1960, 1, 1))
    for extension in leaf.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    signed = builder.sign(Ed25519PrivateKey.from_private_bytes(HERE.ca_seed), None)
    return showing(signed.public_bytes(Encoding.PEM), context, key, place)


def test_no_clock_makes_a_member_a_stranger(tmp_path):
    dialling = outdated(client_context(HERE, CLIENT_KEY), CLIENT_KEY, tmp_path / "client")
    answering = outdated(server_context(HERE, SERVER_KEY), SERVER_KEY, tmp_path / "server")
    done = Handshake(dialling, HERE.sni, listening=listening_context({HERE.sni: answering}.get))
    assert done.failures == {}


def test_a_member_trusts_its_own_swarm_only():
    assert len(SERVED[HERE.sni].get_ca_certs()) == 1


def test_a_stranger_with_no_certificate_is_refused():
    # Switching contexts by SNI does not switch verify_mode: the listener's own context must demand certificates.
    refused = Handshake(without_certificate(), HERE.sni)
    assert refused.failures["server"] == "PEER_DID_NOT_RETURN_A_CERTIFICATE"


def test_a_member_of_another_folder_is_refused():
    refused = Handshake(careless(client_context(THERE, CLIENT_KEY)), HERE.sni)
    assert refused.failures["server"] == "CERTIFICATE_VERIFY_FAILED"


def test_a_session_of_one_folder_does_not_open_another():
    # Resumption comes before the choice by SNI (CVE-2025-23419): there must be no tickets.
    listening, context = listening_context(SERVED.get), careless(client_context(THERE, CLIENT_KEY))
    earlier = Handshake(context, THERE.sni, listening=listening)
    assert earlier.failures == {}
    refused = Handshake(context, HERE.sni, listening=listening, session=earlier.client.session)
    assert not refused.server.session_reused
    assert refused.failures["server"] == "CERTIFICATE_VERIFY_FAILED"


def test_a_dialler_refuses_a_listener_of_another_folder():
    impostor = server_context(THERE, SERVER_KEY)
    refused = Handshake(
        client_context(HERE, CLIENT_KEY), HERE.sni, listening=listening_context({HERE.sni: impostor}.get)
    )
    assert refused.failures["client"] == "CERTIFICATE_VERIFY_FAILED"


@pytest.mark.parametrize("name", ["0123456789abcdef0123456789abcdef", None])
def test_a_dialler_that_names_no_folder_of_ours_is_told_so(name):
    refused = Handshake(client_context(HERE, CLIENT_KEY), name)
    assert refused.failures["client"] == "TLSV1_UNRECOGNIZED_NAME"


def test_the_second_check_refuses_who_showed_no_certificate():
    listening = listening_context(SERVED.get)
    listening.verify_mode = ssl.CERT_NONE  # the first check is gone
    entered = Handshake(without_certificate(), HERE.sni, listening=listening)
    assert entered.failures == {}
    with pytest.raises(RemoteProtocolError, match="not a member of this folder"):
        member_device(entered.server)


def test_the_second_check_refuses_a_session_of_another_folder():
    listening, context = listening_context(SERVED.get), careless(client_context(THERE, CLIENT_KEY))
    listening.num_tickets = 2  # the first check is gone
    earlier = Handshake(context, THERE.sni, listening=listening)
    entered = Handshake(context, HERE.sni, listening=listening, session=earlier.client.session)
    assert entered.failures == {}
    assert entered.server.session_reused
    with pytest.raises(RemoteProtocolError, match="not a member of this folder"):
        member_device(entered.server)


def test_loading_keys_leaves_no_descriptor_behind():
    before = os.listdir("/dev/fd")
    server_context(HERE, SERVER_KEY)
    assert len(os.listdir("/dev/fd")) == len(before)


def der(tag: int, body: bytes) -> bytes:
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag]) + (length if len(body) < 128 else bytes([0x80 | len(length)]) + length) + body


def of_version(version: int, context, key, place):
    """Give a context a certificate that the folder's authority signed, good in all else, of a version of X.509."""
    signed = member_certificate(HERE, key).tbs_certificate_bytes
    signed = signed.replace(bytes.fromhex("a003020102"), bytes.fromhex("a0030201") + bytes([version]), 1)
    signature = Ed25519PrivateKey.from_private_bytes(HERE.ca_seed).sign(signed)
    certificate = der(0x30, signed + der(0x30, bytes.fromhex("06032b6570")) + der(0x03, b"\0" + signature))
    return showing(ssl.DER_cert_to_PEM_cert(certificate).encode(), context, key, place)


def test_a_member_whose_certificate_is_of_a_version_that_is_not_known_is_none(tmp_path):
    place = tmp_path / "certificate.pem"
    known, strange = (of_version(version, client_context(HERE, CLIENT_KEY), CLIENT_KEY, place) for version in (2, 3))
    assert member_device(Handshake(known, HERE.sni).server) == device_id(CLIENT_KEY.public_key())
    with pytest.raises(RemoteProtocolError, match="not a member"):
        member_device(Handshake(strange, HERE.sni).server)
