"""One end of a bare TLS stream as trio has it: `send SOURCE KEYS` and `receive TARGET KEYS PORT`.

Nothing is hashed, cut, asked for or stored: the files' bytes go through our own TLS contexts and are dropped. It is the
ceiling of what a Python program moves encrypted between two processes.
"""

import json
import sys
import time
from pathlib import Path

import trio

from p2psync.keys import FolderKeys, keys_from_seed
from p2psync.swarm.tls import client_context, make_device_key, server_context

PIECE_BYTES = 1 << 20


def main() -> None:
    command, folder, keys = sys.argv[1], Path(sys.argv[2]), keys_from_seed(bytes.fromhex(sys.argv[3]))
    if command == "send":
        trio.run(_send, sorted(folder.iterdir()), keys)
    else:
        trio.run(_receive, keys, int(sys.argv[4]))


async def _send(paths: list[Path], keys: FolderKeys) -> None:
    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        async with stream:
            for path in paths:
                with path.open("rb") as file:
                    while piece := file.read(PIECE_BYTES):
                        await stream.send_all(piece)

    context = server_context(keys, make_device_key())
    (listener,) = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1", https_compatible=True)
    _tell(event="ready", port=listener.transport_listener.socket.getsockname()[1])
    await trio.serve_listeners(serve, [listener])


async def _receive(keys: FolderKeys, port: int) -> None:
    start = time.perf_counter()
    stream = trio.SSLStream(
        await trio.open_tcp_stream("127.0.0.1", port),
        client_context(keys, make_device_key()),
        server_hostname=keys.sni,
        https_compatible=True,
    )
    while await stream.receive_some(PIECE_BYTES):
        pass
    _tell(event="matched", seconds=time.perf_counter() - start)


def _tell(**event: object) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    main()
