"""What systemd hears from a service of `Type=notify`: that it serves, lives, stops (sd_notify(3))."""

import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import trio

READY: Final = b"READY=1"
STOPPING: Final = b"STOPPING=1"
ALIVE: Final = b"WATCHDOG=1"


def notify(environment: Mapping[str, str], state: bytes) -> None:
    """Tell systemd a state; it does not matter here whether it listens.

    Args:
        environment: Of the process; NOTIFY_SOCKET names the socket, `@` stands for the zero of an abstract one.
        state: What to tell.
    """
    path = environment.get("NOTIFY_SOCKET", "")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, suppress(OSError):
            channel.sendto(state, f"\0{path[1:]}" if path.startswith("@") else path)


async def stay_alive(environment: Mapping[str, str]) -> None:
    """Tell a watchdog that this event loop turns, twice in the time after which it would restart us; for ever."""
    micros = environment.get("WATCHDOG_USEC", "")
    while micros.isdigit():
        notify(environment, ALIVE)
        await trio.sleep(int(micros) / 2e6)
