"""libtorrent and Syncthing on hosts of a lab: one file from the first host to all others, which know each other."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from benchmarks.lab import LabHost
from benchmarks.watched import LIMIT_S, Watched

Rival = Callable[[Path, Sequence[LabHost], Path], float]
"""Takes a file, the hosts, and where to write; returns the seconds until the last has it."""
TORRENT_PORT = 7001
SYNCTHING_PORT = 22000
POLL_S = 0.1


def available() -> Mapping[str, Rival]:
    """Return those that are installed."""
    rivals: dict[str, Rival] = {}
    if find_spec("libtorrent") is not None:
        rivals["libtorrent"] = _libtorrent
    if shutil.which("syncthing"):
        rivals["syncthing"] = _syncthing
    return rivals


def _libtorrent(file: Path, hosts: Sequence[LabHost], place: Path) -> float:
    """Leeches know the torrent and wait; the clock starts when they are told of each other."""
    torrent, start = place / "file.torrent", place / "start"
    place.mkdir(parents=True)
    peer = (sys.executable, "-P", "-m", "benchmarks.libtorrent_peer")
    with Watched(*peer, "make", file, torrent) as maker:
        maker.wait()
    addresses = [f"{host.address}:{TORRENT_PORT}" for host in hosts]
    with ExitStack() as stack:
        seed, *leeches = [
            stack.enter_context(
                Watched(
                    *host.prefix, *peer, "lab", file.parent if not at else place / str(at), torrent, start,
                    addresses[at], *addresses[:at], sample_every_s=1.0,
                )
            )
            for at, host in enumerate(hosts)
        ]  # fmt: skip
        for one in (seed, *leeches):
            one.wait_event("ready")
        start.touch()
        began = time.perf_counter()
        return max(one.wait_event("matched")[0] + one.started_at for one in leeches) - began


def _syncthing(file: Path, hosts: Sequence[LabHost], place: Path) -> float:
    """Receivers are connected to all others; the clock starts when the sender has scanned the file."""
    devices = [_Device(host, place / str(at)) for at, host in enumerate(hosts)]
    for device in devices:
        device.configure(devices)
    with ExitStack() as stack:
        for device in devices:
            stack.enter_context(device.run())
        for device in devices:
            device.wait(lambda one: len(one.connected()) >= len(devices) - 1)
        shutil.move(file, devices[0].folder / file.name)
        devices[0].ask("/rest/db/scan?folder=f", method="POST")
        began = time.perf_counter()
        for device in devices[1:]:
            device.wait(lambda one: one.is_full(file.name))
        return time.perf_counter() - began


class _Device:
    """One Syncthing on its host."""

    def __init__(self, host: LabHost, home: Path) -> None:
        self._host, self._home, self.folder = host, home, home / "folder"
        self.folder.mkdir(parents=True)
        (self.folder / ".stfolder").mkdir()
        generate = ["syncthing", "generate", "--home", home, "--no-default-folder", "--skip-port-probing"]
        subprocess.run(generate, check=True, capture_output=True, env=self._env)
        self._config = (home / "config.xml").read_text()
        self.id = _found(r'<device id="([^"]+)"', self._config)
        self._key = _found(r"<apikey>([^<]+)", self._config)

    @property
    def _env(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self._home), "STNORESTART": "1", "STNOUPGRADE": "1"}

    def configure(self, devices: Sequence["_Device"]) -> None:
        text = re.sub(r"<address>127.0.0.1:\d+</address>", "<address>127.0.0.1:8384</address>", self._config)
        listen = f"<listenAddress>tcp://0.0.0.0:{SYNCTHING_PORT}</listenAddress>"
        text = re.sub("<listenAddress>[^<]*</listenAddress>", listen, text)
        for switch in ("globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled"):
            text = text.replace(f"<{switch}>true<", f"<{switch}>false<")
        text = text.replace("<crashReportingEnabled>true<", "<crashReportingEnabled>false<")
        text = text.replace("<reconnectionIntervalS>60<", "<reconnectionIntervalS>1<")
        text = text.replace("<urAccepted>0<", "<urAccepted>-1<")
        others = "".join(
            f'<device id="{each.id}" name="{each.id}" compression="never"><address>'
            f"tcp://{each._host.address}:{SYNCTHING_PORT}</address></device>"
            for each in devices
            if each is not self
        )
        members = "".join(f'<device id="{each.id}"></device>' for each in devices)
        kind = "sendonly" if self is devices[0] else "receiveonly"
        folder = (
            f'<folder id="f" label="f" path="{self.folder}" type="{kind}" rescanIntervalS="0" fsWatcherEnabled="false">'
            f"<filesystemType>basic</filesystemType>{members}</folder>"
        )
        text = text.replace("</configuration>", f"{folder}{others}</configuration>")
        (self._home / "config.xml").write_text(text)

    def run(self) -> Watched:
        command = ("syncthing", "serve", "--home", self._home, "--no-browser", "--no-restart")
        return Watched(*self._host.prefix, *command, env=self._env, sample_every_s=1.0)

    def ask(self, path: str, method: str = "GET") -> dict[str, object]:
        """Return what the program answers, nothing if it does not."""
        curl = ["curl", "-s", "-m", "5", "-X", method, "-H", f"X-API-Key: {self._key}", f"http://127.0.0.1:8384{path}"]
        answer = subprocess.run([*self._host.prefix, *curl], check=False, capture_output=True).stdout
        try:
            found = json.loads(answer)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def connected(self) -> list[str]:
        connections = self.ask("/rest/system/connections").get("connections")
        if not isinstance(connections, dict):
            return []
        return [name for name, connection in connections.items() if connection["connected"]]

    def is_full(self, name: str) -> bool:
        status = self.ask("/rest/db/status?folder=f")
        is_idle = status.get("state") == "idle" and status.get("needTotalItems") == 0
        return is_idle and (self.folder / name).exists()

    def wait(self, holds: Callable[["_Device"], bool]) -> None:
        end = time.perf_counter() + LIMIT_S
        while not holds(self):
            if time.perf_counter() > end:
                raise RuntimeError(f"syncthing on {self._host.address} is not done after {LIMIT_S:g} s")
            time.sleep(POLL_S)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"syncthing's configuration has no {pattern}")
    return match[1]
