"""Who may talk in a folder's swarm: certificates, and the TLS contexts that demand them.

Whoever holds the swarm key derives the same certificate authority from it, byte for byte, and mints a leaf for its own
device key. So OpenSSL's verification of a peer's leaf *is* the membership check, and the leaf's key says which device
it is. Membership lets a peer talk; it lets it change nothing.

The cipher suite is OpenSSL's first choice for TLS 1.3, AES-256-GCM: Python before 3.15 cannot set that list.
"""

import hashlib
import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from p2psync.errors import RemoteProtocolError
from p2psync.ids import DeviceId
from p2psync.keys import FolderKeys

ALPN = "p2psync/2"

# No clock of any member may make a certificate invalid: membership ends with the swarm key, not with a date. Machines
# without a clock of their own begin in 1970 or 1980, so the dates, which X.509 demands, are not looked at either.
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, for which `ssl` has no name
_NOT_BEFORE = datetime(2000, 1, 1, tzinfo=UTC)
_NOT_AFTER = datetime(2099, 12, 31, tzinfo=UTC)
_CA_SERIAL = 1
_CA_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "p2psync swarm")])
_LEAF_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "p2psync member")])
# RFC 5280, 4.1.2.2: a serial number has at most 20 bytes and is positive.
_SERIAL_BYTES = 16


def make_device_key() -> Ed25519PrivateKey:
    """Return the key of a new device; `private_bytes_raw()` is what to keep of it."""
    return Ed25519PrivateKey.generate()


def load_device_key(raw: bytes) -> Ed25519PrivateKey:
    """Return the device key of which `raw` are the 32 bytes kept."""
    return Ed25519PrivateKey.from_private_bytes(raw)


def device_id(public_key: Ed25519PublicKey) -> DeviceId:
    """Return the id of the device that holds the private half of `public_key`."""
    return _hash_of_key_info(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def swarm_certificate(keys: FolderKeys) -> x509.Certificate:
    """Return the certificate of the swarm's authority: the same bytes for every member, on every machine."""
    key = Ed25519PrivateKey.from_private_bytes(keys.ca_seed)
    public_key = key.public_key()
    builder = (
        _certificate(_CA_NAME, public_key, public_key, _CA_SERIAL)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    return builder.sign(key, algorithm=None)


def member_certificate(keys: FolderKeys, device_key: Ed25519PrivateKey) -> x509.Certificate:
    """Return the leaf by which a device shows that it is a member: for its own key, signed by the swarm's authority."""
    authority = Ed25519PrivateKey.from_private_bytes(keys.ca_seed)
    public_key = device_key.public_key()
    serial = int.from_bytes(device_id(public_key)[:_SERIAL_BYTES], "big") | 1
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _certificate(_LEAF_NAME, public_key, authority.public_key(), serial)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(keys.sni)]), critical=False)
    )
    return builder.sign(authority, algorithm=None)


def member_device(tls: ssl.SSLObject) -> DeviceId:
    """Return which device is at the other end, after checking once more that the swarm's authority signed for it.

    OpenSSL has checked that already, unless one of the switches between contexts was missed (CVE-2025-23419 is
    such a case); one signature a connection is a small price for not depending on it.

    Args:
        tls: After its handshake, in the context of a folder.

    Raises:
        RemoteProtocolError: The peer is no member.
    """
    authorities = tls.context.get_ca_certs(binary_form=True)
    certificate = tls.getpeercert(binary_form=True)
    if certificate is None or len(authorities) != 1:
        raise RemoteProtocolError("the peer is not a member of this folder: it showed no certificate")
    try:
        leaf = x509.load_der_x509_certificate(certificate)
        leaf.verify_directly_issued_by(x509.load_der_x509_certificate(authorities[0]))
        key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, x509.InvalidVersion, InvalidSignature, UnsupportedAlgorithm):
        raise RemoteProtocolError("the peer is not a member of this folder: its certificate is another's") from None
    return _hash_of_key_info(key)


def server_context(keys: FolderKeys, device_key: Ed25519PrivateKey) -> ssl.SSLContext:
    """Return the context in which the listener answers for one folder."""
    return _member_context(ssl.PROTOCOL_TLS_SERVER, keys, device_key)


def client_context(keys: FolderKeys, device_key: Ed25519PrivateKey) -> ssl.SSLContext:
    """Return the context in which this device dials members of one folder."""
    return _member_context(ssl.PROTOCOL_TLS_CLIENT, keys, device_key)


def listening_context(find_context: Callable[[str], ssl.SSLContext | None]) -> ssl.SSLContext:
    """Return the context for a port that many folders share.

    Args:
        find_context: Gives the `server_context` of the folder with this SNI name, None if there is none here; the
            handshake then ends with the alert `unrecognized_name`.
    """

    def switch(tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> int | None:
        context = find_context(name) if name is not None else None
        if context is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        tls.context = context
        return None

    base = _base_context(ssl.PROTOCOL_TLS_SERVER)
    base.sni_callback = switch
    return base


def _member_context(protocol: int, keys: FolderKeys, device_key: Ed25519PrivateKey) -> ssl.SSLContext:
    context = _base_context(protocol)
    # The swarm's authority and no other: nothing of the system's trust store is ever loaded.
    context.load_verify_locations(cadata=swarm_certificate(keys).public_bytes(Encoding.DER))
    _load_identity(context, member_certificate(keys, device_key), device_key)
    return context


def _base_context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the name is the folder's, the same for all its members
    # On the listener's context too: assigning `SSLObject.context` switches certificates but not verify_mode.
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT | _NO_CHECK_TIME
    context.set_alpn_protocols([ALPN])
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        # A ticket from one folder would resume into another, unchecked: resumption comes before the choice by SNI.
        context.num_tickets = 0
    return context


def _load_identity(context: ssl.SSLContext, leaf: x509.Certificate, device_key: Ed25519PrivateKey) -> None:
    """Give `context` its certificate and key.

    `load_cert_chain` takes paths only. These are pipes, which /dev/fd makes into paths, so that no private key is ever
    on a disk, not even in a file that is deleted at once. Both texts are shorter than the smallest pipe (4 KiB).
    """
    key_text = device_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    leaf_pipe, key_pipe = _filled_pipe(leaf.public_bytes(Encoding.PEM)), _filled_pipe(key_text)
    try:
        context.load_cert_chain(f"/dev/fd/{leaf_pipe}", f"/dev/fd/{key_pipe}")
    finally:
        os.close(leaf_pipe)
        os.close(key_pipe)


def _filled_pipe(text: bytes) -> int:
    reader, writer = os.pipe()
    try:
        os.write(writer, text)
    finally:
        os.close(writer)
    return reader


def _certificate(
    subject: x509.Name, public_key: Ed25519PublicKey, issuer_key: Ed25519PublicKey, serial: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_CA_NAME)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _hash_of_key_info(key_info: bytes) -> DeviceId:
    return DeviceId(hashlib.sha256(key_info).digest())
