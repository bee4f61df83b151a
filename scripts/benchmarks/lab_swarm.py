"""A share and its followers on hosts of a lab: they wait connected, the share publishes, all match."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.lab import LabHost
from benchmarks.watched import LIMIT_S, Watched

PROGRAM = (sys.executable, "-m", "p2psync")
SETTLED_S = 4.0
"""Until all have found each other, through the share's tracker, the LAN, and each other."""
FIRST = "first.txt"


class Follower:
    """One host that follows the share."""

    def __init__(self, host: LabHost, link: str, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.host, self.folder = host, folder
        self.watched = Watched(*host.prefix, *PROGRAM, "sync", link, folder, "--json", *options, sample_every_s=1.0)
        self.joined_at = self.watched.started_at

    @property
    def linked_at(self) -> float:
        """When it had started and was linked, as it says itself, half a second late at most."""
        at, _ = self.watched.wait_event("progress", fits=lambda event: event["peers"] > 0)
        return self.watched.started_at + at

    @property
    def wasted_bytes(self) -> int:
        """What it received twice."""
        ask = (*self.host.prefix, *PROGRAM, "status", self.folder, "--json")
        return int(json.loads(subprocess.run(ask, check=True, capture_output=True).stdout)["wasted_bytes"])

    def matched_at(self, root: str) -> float:
        """Wait until it has what a root names; return when that was."""
        at, _ = self.watched.wait_event("matched", fits=lambda event: event["root"] == root)
        return self.watched.started_at + at


class LabShare:
    """A folder that is shared from the first host of a lab; a context manager that ends everything."""

    def __init__(self, host: LabHost, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FIRST).write_text("something to match before the measurement\n")
        self._stack = ExitStack()
        self.folder = folder
        self.watched = Watched(*host.prefix, *PROGRAM, "share", folder, "--json", *options, sample_every_s=1.0)
        self._stack.enter_context(self.watched)
        _, ready = self.watched.wait_event("ready")
        self.link, self.root = str(ready["link"]), str(ready["root"])
        self.followers: list[Follower] = []

    def __enter__(self) -> "LabShare":
        return self

    def __exit__(self, *what: object) -> None:
        self._stack.close()

    def follow(self, hosts: Sequence[LabHost], folders: Path, *options: str) -> list[Follower]:
        """Let hosts join; return them."""
        joined = [Follower(host, self.link, folders / host.address, *options) for host in hosts]
        for follower in joined:
            self._stack.enter_context(follower.watched)
        self.followers += joined
        return joined

    def wait_settled(self) -> None:
        """Wait until every follower has what there is, and knows the others."""
        for follower in self.followers:
            follower.matched_at(self.root)
        time.sleep(SETTLED_S)

    def publish(self, change: Callable[[Path], None]) -> tuple[float, str]:
        """Change the folder; return when that was published, and its root."""
        change(self.folder)
        at, event = self.watched.wait_event("published", fits=lambda event: event["root"] != self.root)
        self.root = str(event["root"])
        return self.watched.started_at + at, self.root

    def uploaded_bytes(self) -> int:
        """Return how much payload the share has sent, as it says itself."""
        time.sleep(1.1)  # it says so twice a second
        return int(self.watched.last_event("progress").get("uploaded_bytes", 0))


def wait_all(followers: Sequence[Follower], root: str) -> list[float]:
    """Return when each has what a root names."""
    ends: dict[Follower, float] = {}

    def wait(follower: Follower) -> None:
        ends[follower] = follower.matched_at(root)

    threads = [threading.Thread(target=wait, args=(follower,), daemon=True) for follower in followers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    return [ends[follower] for follower in followers]


def put(prepared: Path, name: str = "data.bin") -> Callable[[Path], None]:
    """Return what moves a file, made beforehand on the same disk, into a folder."""
    return lambda folder: os.replace(prepared, folder / name)
