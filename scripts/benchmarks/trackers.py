"""Trackers to be measured, each as a process on loopback, and the tools that load them."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SWARMS = 1000
CONNECTIONS = 16
_LATENCY = re.compile(r"99%\s+([\d.]+)(us|ms|s)")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Tracker:
    """A running tracker: its port for HTTP and UDP, its processes."""

    port: int
    pids: tuple[int, ...]

    def cpu_s(self) -> float:
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.pids]
        return sum(int(field) for of_one in fields for field in of_one[11:13]) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        lines = [line for pid in self.pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


@contextmanager
def our_tracker(*options: str, processes: int = 1) -> Iterator[Tracker]:
    """Run p2psync's tracker, several processes sharing one port if asked for."""
    port = _free_port()
    where = f"127.0.0.1:{port}"
    shared = ("--set", "reuse_port=true", "--set", "udp_secret=shared") if processes > 1 else ()
    command = [sys.executable, "-m", "tracker", "serve", "--listen", where, "--udp", where, *shared, *options]
    with ExitStack() as stack:
        pids = [stack.enter_context(_running(command)) for _ in range(processes)]
        _wait_for(port)
        time.sleep(processes if processes > 1 else 0.0)  # whoever answers first answers for all
        yield Tracker(port, tuple(pids))


@contextmanager
def opentracker(scratch: Path) -> Iterator[Tracker]:
    """Run opentracker for the hashes of `write_hashes`."""
    port = str(_free_port())
    listed = write_hashes(scratch)
    where = f"/{listed.name}" if os.geteuid() == 0 else str(listed)  # as root it changes its root to `-d`
    command = [
        "opentracker",
        "-i",
        "127.0.0.1",
        "-p",
        port,
        "-P",
        port,
        "-d",
        str(scratch),
        "-u",
        "nobody",
        "-w",
        where,
    ]
    with _running(command) as pid:
        _wait_for(int(port))
        yield Tracker(int(port), (pid,))


@contextmanager
def redis_server(scratch: Path) -> Iterator[str]:
    """Run a Redis that forgets, and yield its URL."""
    path = scratch / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"]
    with _running([*command, "--dir", str(scratch)]):
        while not path.exists():
            time.sleep(0.01)
        yield f"unix://{path}"
    path.unlink(missing_ok=True)


def load_udp(
    scratch: Path, port: int, seconds: float, *, sockets: int = 1, rate: int = 0, peers: int = 0
) -> dict[str, float]:
    """Announce to a port; see udp_load.c."""
    program = scratch / "udp_load"
    source = HERE / "udp_load.c"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
    arguments = [port, seconds, SWARMS, sockets, rate, *([peers] if peers else [])]
    output = subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(output)
    return figures


def load_http(scratch: Path, port: int, seconds: float, *, closes: bool = False, rate: float = 0) -> dict[str, float]:
    """Announce through wrk, at most `rate` a second if that is given."""
    pause_ms = CONNECTIONS / rate * 1000 if rate else 0
    environment = {**os.environ, "HASHES": str(write_hashes(scratch)), "PAUSE_MS": str(pause_ms)}
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{max(1, round(seconds))}",
        "--latency",
        "-s",
        HERE / "announce.lua",
    ]
    command += ["-H", "Connection: close"] if closes else []
    command.append(f"http://127.0.0.1:{port}/")
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    latency = _LATENCY.search(output)
    assert latency, output
    rate_line = next(line for line in output.splitlines() if line.startswith("Requests/sec"))
    answered = int(output.partition(" requests in ")[0].split()[-1])
    return {
        "answers_per_s": float(rate_line.split()[1]),
        "answered": answered,
        "p99_s": float(latency[1]) * _UNITS[latency[2]],
    }


def write_hashes(scratch: Path) -> Path:
    """Write the info hashes that udp_load announces, and return the file."""
    halves = ((number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "little") for number in range(SWARMS))
    listed = scratch / "hashes"
    listed.write_text("".join(f"{(half + half + bytes(4)).hex()}\n" for half in halves))
    return listed


def missing(*programs: str) -> list[str]:
    return [program for program in programs if shutil.which(program) is None]


@contextmanager
def _running(command: list[str]) -> Iterator[int]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise SystemExit(f"no tracker came up at port {port}")
        time.sleep(0.02)
