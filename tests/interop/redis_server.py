"""A Redis server of its own for a test, on a socket in its directory."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

redis = pytest.importorskip("redis", reason="needs p2psync[redis]")


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

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the server neither answer nor hang up."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def reads(self) -> int:
        """Return how often the server has read from a connection."""
        with self._client() as client:
            return int(client.info("stats")["total_reads_processed"])

    def lives(self) -> dict[bytes, int]:
        """Return the seconds that each key has left, negative for one that never expires."""
        with self._client() as client:
            return {key: client.ttl(key) for key in client.scan_iter()}

    def configure(self, name: str, value: str) -> None:
        with self._client() as client:
            client.config_set(name, value)

    def _client(self) -> Any:
        return redis.Redis(unix_socket_path=str(self.socket))

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.socket.unlink(missing_ok=True)


def redis_server_or_skip(directory: Path) -> RedisServer:
    """Start a server, or skip the test on machines without one."""
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server")
    server = RedisServer(directory)
    server.start()
    return server
