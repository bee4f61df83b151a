"""A Redis server of its own for a test, on a socket in its directory or on a port of loopback."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_PATIENT_S = 30
"""How long trackers wait for an answer in tests: on a busy machine Redis is slow, which is not what they are about."""


class RedisServer:
    """Debian's redis-server without persistence.

    Attributes:
        impatient_url: For a tracker that takes Redis for away as soon as it does in operation.
        url: For one that is patient.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "redis.sock"
        self.impatient_url = f"unix://{self.socket}"
        self.url = patient(self.impatient_url)
        self._options: list[str] = ["--port", "0"]
        self._process: subprocess.Popen[bytes] | None = None

    def listen(self, *options: str) -> int:
        """Serve a port of loopback too, with options in which PORT stands for its number; return the number."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        self._options = ["--bind", "127.0.0.1", *(option.replace("PORT", str(port)) for option in options)]
        return port

    def start(self) -> None:
        command = ["redis-server", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"]
        command += ["--dir", str(self.directory), *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _PATIENT_S
        while not self._answers():  # its socket is there before it listens
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

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
            probe.sendall(b"PING\r\n")
            return probe.recv(100) == b"+PONG\r\n"

    def commands(self) -> set[str]:
        """Return the names of all commands that the server has carried out, those of scripts included."""
        with self._client() as client:
            return {name.removeprefix("cmdstat_") for name in client.info("commandstats")}

    def _client(self) -> Any:
        redis = pytest.importorskip("redis", reason="needs p2psync[redis]")
        return redis.Redis(unix_socket_path=str(self.socket))

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.socket.unlink(missing_ok=True)


def patient(url: str) -> str:
    """Return a URL with which a tracker waits longer for Redis."""
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}socket_timeout={_PATIENT_S}&socket_connect_timeout={_PATIENT_S}"


def redis_server_or_skip(directory: Path) -> RedisServer:
    """Start a server, or skip the test on machines without one or without p2psync[redis]."""
    pytest.importorskip("redis", reason="needs p2psync[redis]")
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server")
    server = RedisServer(directory)
    server.start()
    return server
