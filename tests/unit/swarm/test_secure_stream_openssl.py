"""Against OpenSSL's own client: the handshake is that of TLS, whoever speaks it."""

import shutil
import subprocess

import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from p2psync.ids import PeerAddress
from p2psync.keys import keys_from_seed
from p2psync.swarm.secure_stream import SecureStream
from p2psync.swarm.tcp import open_listeners
from p2psync.swarm.tls import (
    ALPN,
    device_id,
    load_device_key,
    member_certificate,
    server_context,
    swarm_certificate,
)
from p2psync.wire.records import KEY_BYTES

KEYS = keys_from_seed(b"h" * 32)
SERVER_KEY, CLIENT_KEY = load_device_key(b"s" * 32), load_device_key(b"c" * 32)

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


def command(folder, port):
    leaf, authority = folder / "leaf.pem", folder / "ca.pem"
    key_text = CLIENT_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    leaf.write_bytes(member_certificate(KEYS, CLIENT_KEY).public_bytes(Encoding.PEM) + key_text)
    authority.write_bytes(swarm_certificate(KEYS).public_bytes(Encoding.PEM))
    identity = ["-cert", leaf, "-key", leaf, "-CAfile", authority, "-servername", KEYS.sni, "-alpn", ALPN]
    strict = ["-tls1_3", "-x509_strict", "-verify_return_error", "-verify", "3"]
    return ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *identity, *strict]


async def test_openssl_is_let_in_with_a_members_certificate_and_told_a_key(nursery, tmp_path):
    listeners = await open_listeners(PeerAddress("127.0.0.1", 0))
    port = listeners[0].socket.getsockname()[1]

    async def run_client(task_status):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        await trio.run_process(command(tmp_path, port), check=False, task_status=task_status, **pipes)

    client = await nursery.start(run_client)
    with trio.fail_after(20):
        async with SecureStream(await listeners[0].accept(), server_context(KEYS, SERVER_KEY)) as stream:
            await client.stdin.send_all(b"x" * KEY_BYTES)
            await stream.do_handshake()
            assert stream.device == device_id(CLIENT_KEY.public_key())
            output = b""
            while b"Verify return code: 0 (ok)" not in output:
                output += await client.stdout.receive_some()
                assert output
    await listeners[0].aclose()
    nursery.cancel_scope.cancel()
