"""Against OpenSSL's own client, which can do what `ssl` cannot: ask for new keys in the middle of a connection."""

import shutil
import subprocess

import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from p2psync.ids import PeerAddress
from p2psync.keys import keys_from_seed
from p2psync.swarm.secure_stream import SecureStream
from p2psync.swarm.tcp import open_listeners
from p2psync.swarm.tls import ALPN, load_device_key, member_certificate, server_context, swarm_certificate

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


async def hear(stream):
    buffer = memoryview(bytearray(100))
    return bytes(buffer[: await stream.receive_into(buffer)])


async def read_until(pipe, text):
    output = b""
    while text not in output:
        output += await pipe.receive_some()
        assert output


async def test_a_peer_may_ask_for_new_keys_at_any_time(nursery, tmp_path):
    listeners = await open_listeners(PeerAddress("127.0.0.1", 0))
    port = listeners[0].socket.getsockname()[1]

    async def run_client(task_status):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        await trio.run_process(command(tmp_path, port), check=False, task_status=task_status, **pipes)

    client = await nursery.start(run_client)
    with trio.fail_after(20):
        async with SecureStream(await listeners[0].accept(), server_context(KEYS, SERVER_KEY)) as stream:
            await stream.do_handshake()
            for line in (b"K\n", b"k\n", b"K\n"):  # K: both directions, k: its own only
                await client.stdin.send_all(b"before\n")
                assert await hear(stream) == b"before\n"
                await client.stdin.send_all(line)
                await read_until(client.stdout, b"KEYUPDATE\n")
                await client.stdin.send_all(b"after\n")
                assert await hear(stream) == b"after\n"
                await stream.send_all([b"answer" + line])
                await read_until(client.stdout, b"answer" + line)
    await listeners[0].aclose()
    nursery.cancel_scope.cancel()
