"""Two hosts on a wire of their own: network namespaces, of which nothing leads outside. Root and iproute2 only."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True)
class Host:
    """One end of the wire: `prefix` before a command runs it there."""

    name: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    def set_link(self, state: str) -> None:
        """Pull the plug (`down`) or put it back (`up`)."""
        run_ip("-n", self.name, "link", "set", "wire", state)
        if state == "up":
            run_ip("-n", self.name, "route", "replace", "default", "dev", "wire")


def why_not() -> str:
    """Say what is missing for a lab, or nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    return "" if shutil.which("ip") and shutil.which("tc") else "iproute2 is not installed"


@contextmanager
def two_hosts(*, rate: str = "") -> Iterator[tuple[Host, Host]]:
    """Make two hosts, 10.91.0.1 and 10.91.0.2; `rate` (tc's way of saying it: 80mbit) limits both directions."""
    stem = f"p2psync-e2e-{os.getpid()}-{next(NUMBERS)}"
    hosts = [Host(f"{stem}-{number}", f"10.91.0.{number}") for number in (1, 2)]
    try:
        for host in hosts:
            run_ip("netns", "add", host.name)
        run_ip(
            "-n", hosts[0].name, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", hosts[1].name
        )
        for host in hosts:
            run_ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "wire")
            run_ip("-n", host.name, "link", "set", "lo", "up")
            host.set_link("up")
            if rate:
                limit = f"qdisc add dev wire root tbf rate {rate} burst 256kb latency 50ms"
                subprocess.run(["tc", "-n", host.name, *limit.split()], check=True)
        yield hosts[0], hosts[1]
    finally:
        for host in hosts:
            subprocess.run(["ip", "netns", "delete", host.name], check=False, capture_output=True)


def run_ip(*arguments: str) -> None:
    """Run iproute2's `ip`."""
    subprocess.run(["ip", *arguments], check=True)
