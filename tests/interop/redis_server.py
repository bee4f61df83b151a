"""A Redis server of its own for a test, on a socket in its directory."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest


class RedisServer:
    """Debian's redis-server without persistence."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([*command, "--dir", str(self.directory)], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self.socket.exists():
            assert self._process.poll() is None, "redis-server ended"
            assert time.monotonic() < deadline, "redis-server did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.socket.unlink(missing_ok=True)


def redis_server_or_skip(directory: Path) -> RedisServer:
    """Start a server, or skip the test on machines without one."""
    pytest.importorskip("redis", reason="needs p2psync[redis]")
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server")
    server = RedisServer(directory)
    server.start()
    return server
