"""Hosts on wires of their own: network namespaces, of which nothing leads outside. Root and iproute2 only."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True)
class Host:
    """A host, with the address that it has on the first wire: `prefix` before a command runs it there."""

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
    with lone_hosts(2) as (one, other):
        lay_wire((one, other), "wire", [f"{host.address}/24" for host in (one, other)])
        for host in (one, other):
            host.set_link("up")
            if rate:
                limit = f"qdisc add dev wire root tbf rate {rate} burst 256kb latency 50ms"
                subprocess.run(["tc", "-n", host.name, *limit.split()], check=True)
        yield one, other


def lay_wire(ends: tuple[Host, Host], name: str, addresses: Sequence[str]) -> None:
    """Connect two hosts; addresses with the length of their network, the ends' in turn, or none."""
    first, second = (host.name for host in ends)
    run_ip("-n", first, "link", "add", name, "type", "veth", "peer", "name", name, "netns", second)
    for host, address in zip(ends, addresses, strict=False):
        run_ip("-n", host.name, "address", "add", address, "dev", name)
    for host in ends:
        run_ip("-n", host.name, "link", "set", name, "up")


@contextmanager
def lone_hosts(count: int) -> Iterator[list[Host]]:
    """Make hosts without any wire."""
    stem = f"p2psync-e2e-{os.getpid()}-{next(NUMBERS)}"
    hosts = [Host(f"{stem}-{number}", f"10.91.0.{number}") for number in range(1, count + 1)]
    try:
        for host in hosts:
            run_ip("netns", "add", host.name)
            run_ip("-n", host.name, "link", "set", "lo", "up")
        yield hosts
    finally:
        for host in hosts:
            subprocess.run(["ip", "netns", "delete", host.name], check=False, capture_output=True)


def run_ip(*arguments: str) -> None:
    """Run iproute2's `ip`."""
    subprocess.run(["ip", *arguments], check=True)
