"""The programs people use today, each driven over loopback from an empty receiver to a full one."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import forget_state
from benchmarks.report import Figures, with_totals
from benchmarks.watched import LIMIT_S, Watched

POLL_S = 0.05


def libtorrent(source: Path, target: Path, scratch: Path) -> Figures:
    """One seed, one leech, of a v1 torrent; `scan_s` is the making of the torrent."""
    torrent = scratch / "libtorrent.torrent"
    peer = (sys.executable, "-P", "-m", "benchmarks.libtorrent_peer")
    with Watched(*peer, "make", source, torrent) as maker:
        scan_s = maker.wait()
    with Watched(*peer, "seed", source, torrent) as seed:
        _, ready = seed.wait_event("ready")
        with Watched(*peer, "leech", target, torrent, str(ready["port"])) as leech:
            transfer_s = leech.wait()
            _, matched = leech.wait_event("matched")
            receiver = leech.figures("receiver")
        sender = seed.figures("sender")
    return _figures(scan_s, transfer_s, {"inner_transfer_s": matched["seconds"], **sender, **receiver})


def raw_tls(source: Path) -> Figures:
    """The bytes of a flat folder through a bare trio TLS stream into nothing."""
    seed = secrets.token_hex(32)
    peer = (sys.executable, "-P", "-m", "benchmarks.raw_tls_peer")
    with Watched(*peer, "send", source, seed) as sender:
        _, ready = sender.wait_event("ready")
        with Watched(*peer, "receive", os.devnull, seed, str(ready["port"])) as receiver:
            transfer_s = receiver.wait()
            _, matched = receiver.wait_event("matched")
            figures = {**sender.figures("sender"), **receiver.figures("receiver")}
    return _figures(0.0, transfer_s, {"inner_transfer_s": matched["seconds"], **figures})


@contextmanager
def serve_rsync(
    source: Path, scratch: Path, host: str = "127.0.0.1", prefix: Sequence[str] = ()
) -> Iterator[tuple[str, Watched]]:
    """Run an rsync daemon, with a command's prefix on another host; give the folder's URL and the daemon."""
    port = free_port()
    config = scratch / "rsyncd.conf"
    config.write_text(
        f"use chroot = no\nuid = {os.getuid()}\ngid = {os.getgid()}\nreverse lookup = no\n[source]\npath = {source}\n"
    )
    daemon = ("rsync", "--daemon", "--no-detach", f"--config={config}", f"--port={port}", f"--address={host}")
    with Watched(*prefix, *daemon) as server:
        _wait_port(host, port, prefix)
        yield f"rsync://{host}:{port}/source/", server


def rsync(source: Path, target: Path, scratch: Path) -> Figures:
    """`rsync --archive` from a daemon; it scans while it sends, so that there is no `scan_s` of its own."""
    with serve_rsync(source, scratch) as (url, server):
        with Watched("rsync", "--archive", "--stats", url, f"{target}/") as client:
            transfer_s = client.wait()
            receiver = client.figures("receiver")
        sender = server.figures("sender")
    text = next(line for line in client.lines if line.startswith("Total bytes received"))
    fetched_bytes = int(re.sub(r"\D", "", text))
    return _figures(0.0, transfer_s, {"fetched_bytes": fetched_bytes, **sender, **receiver})


def syncthing(source: Path, target: Path, scratch: Path) -> Figures:
    """One device that only sends and one that only receives; `transfer_s` begins when the receiver adds the folder."""
    homes = scratch / "syncthing"
    shutil.rmtree(homes, ignore_errors=True)
    a, b = (_generate_device(homes / name) for name in ("a", "b"))
    with _serve(a) as sender, _serve(b) as receiver:
        for device in (a, b):
            _wait_answer(device)
        scan_s = _add_folder(a, b, source, "sendonly")
        transfer_s = _add_folder(b, a, target, "receiveonly")
        figures = _figures(scan_s, transfer_s, {**sender.figures("sender"), **receiver.figures("receiver")})
    forget_state(source)
    return figures


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        return int(holder.getsockname()[1])


def _figures(scan_s: float, transfer_s: float, more: Figures) -> Figures:
    return with_totals({"scan_s": scan_s, "transfer_s": transfer_s, **more})


def _wait_port(host: str, port: int, prefix: Sequence[str]) -> None:
    """Wait until somebody listens, as seen from where `prefix` runs a command."""
    look = (*prefix, sys.executable, "-c", f"import socket; socket.create_connection(({host!r}, {port})).close()")
    for _ in range(200):
        if subprocess.run(look, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.01)
    raise RuntimeError(f"nobody listens on port {port}")


@dataclass(frozen=True, slots=True)
class Device:
    """One Syncthing: where it lives, who it is, and how to ask it."""

    home: Path
    device_id: str
    api_key: str
    api_port: int
    port: int


def _generate_device(home: Path) -> Device:
    command = ["syncthing", "generate", "--home", home, "--no-default-folder", "--skip-port-probing"]
    subprocess.run(command, check=True, capture_output=True)
    config = home / "config.xml"
    text = config.read_text()
    found = [re.search(pattern, text) for pattern in (r'<device id="([^"]+)"', r"<apikey>([^<]+)")]
    device_id, api_key = (match[1] for match in found if match)
    device = Device(home, device_id, api_key, free_port(), free_port())
    text = re.sub(r"<address>127.0.0.1:\d+</address>", f"<address>127.0.0.1:{device.api_port}</address>", text)
    address = f"<listenAddress>tcp://127.0.0.1:{device.port}</listenAddress>"
    text = re.sub("<listenAddress>[^<]*</listenAddress>", address, text)
    for switch in ("globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled"):
        text = text.replace(f"<{switch}>true<", f"<{switch}>false<")
    text = text.replace("<crashReportingEnabled>true<", "<crashReportingEnabled>false<")
    text = text.replace("<reconnectionIntervalS>60<", "<reconnectionIntervalS>1<")
    config.write_text(text.replace("<urAccepted>0<", "<urAccepted>-1<"))
    return device


def _serve(device: Device) -> Watched:
    env = {**os.environ, "HOME": str(device.home), "STNORESTART": "1", "STNOUPGRADE": "1"}
    return Watched("syncthing", "serve", "--home", device.home, "--no-browser", "--no-restart", env=env)


def _ask(device: Device, path: str, body: object = None) -> Any:  # noqa: ANN401 - whatever the JSON holds
    request = urllib.request.Request(
        f"http://127.0.0.1:{device.api_port}{path}",
        headers={"X-API-Key": device.api_key},
        data=json.dumps(body).encode() if body is not None else None,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def _wait_answer(device: Device) -> None:
    for _ in range(200):
        with suppress(OSError):
            _ask(device, "/rest/system/ping")
            return
        time.sleep(POLL_S)
    raise RuntimeError("syncthing does not answer")


def _add_folder(device: Device, other: Device, path: Path, kind: str) -> float:
    """Let a device share the folder with the other, and return the seconds until it has all of it."""
    addresses = [f"tcp://127.0.0.1:{other.port}"]
    _ask(device, "/rest/config/devices", {"deviceID": other.device_id, "addresses": addresses})
    folder = {"id": "f", "path": str(path), "type": kind, "devices": [{"deviceID": other.device_id}]}
    start = time.perf_counter()
    _ask(device, "/rest/config/folders", {**folder, "fsWatcherEnabled": False, "rescanIntervalS": 0})
    while time.perf_counter() - start < LIMIT_S:
        status = _ask(device, "/rest/db/status?folder=f")
        if status["state"] == "idle" and status["globalBytes"] > 0 and status["needTotalItems"] == 0:
            return time.perf_counter() - start
        time.sleep(POLL_S)
    raise RuntimeError(f"syncthing is not done after {LIMIT_S:g} s: {status}")
