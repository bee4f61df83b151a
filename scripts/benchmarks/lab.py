"""Hosts in one room: network namespaces behind one bridge, each with a line of its own rate. Root and iproute2 only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabHost:
    """One host: `prefix` before a command runs it there."""

    name: str
    address: str
    plug: str
    switch: str

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    def limit(self, mbit_per_s: float) -> None:
        """Let its line carry so much each way, with what a switch's port buffers."""
        shape = f"root tbf rate {mbit_per_s:g}mbit burst 64kb latency 30ms".split()
        for where, device in ((self.name, "line"), (self.switch, self.plug)):
            subprocess.run(["tc", "-n", where, "qdisc", "replace", "dev", device, *shape], check=True)


@contextmanager
def room(mbit_per_s: list[float]) -> Iterator[list[LabHost]]:
    """Make a host for each of the rates, 10.77.0.1 and on."""
    stem = f"p2psync-lab-{os.getpid()}"
    switch = f"{stem}-switch"
    hosts = [LabHost(f"{stem}-{n}", f"10.77.0.{n}", f"plug{n}", switch) for n in range(1, len(mbit_per_s) + 1)]
    try:
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for host, rate in zip(hosts, mbit_per_s, strict=True):
            _plug_in(host)
            host.limit(rate)
        yield hosts
    finally:
        for name in [*(host.name for host in hosts), switch]:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _plug_in(host: LabHost) -> None:
    _ip("netns", "add", host.name)
    _ip("-n", host.switch, "link", "add", host.plug, "type", "veth", "peer", "name", "line", "netns", host.name)
    _ip("-n", host.switch, "link", "set", host.plug, "master", "bridge", "up")
    _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "line")
    _ip("-n", host.name, "link", "set", "line", "up")
    _ip("-n", host.name, "link", "set", "lo", "up")
    _ip("-n", host.name, "route", "add", "default", "dev", "line")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
