"""Which sockets have something to say: `select.epoll` where there is one, what the system has instead elsewhere."""

import select
import selectors
from contextlib import suppress
from typing import Protocol

READABLE = select.POLLIN  # the same numbers as EPOLLIN and EPOLLOUT, which only Linux has
WRITABLE = select.POLLOUT


class Readiness(Protocol):
    """What we use of `select.epoll`; descriptors that are closed are forgotten."""

    def fileno(self) -> int:
        """Return a descriptor that is readable while `poll` would return something."""

    def register(self, descriptor: int, events: int, /) -> None:
        """Watch a descriptor for READABLE or WRITABLE."""

    def modify(self, descriptor: int, events: int, /) -> None:
        """Watch it for other events, 0 for none."""

    def poll(self, timeout_s: float, most: int, /) -> list[tuple[int, int]]:
        """Return descriptors and what they are ready for."""

    def close(self) -> None:
        """Close its own descriptor, and none that it watches."""


def new_readiness() -> Readiness:
    """Return one that watches nothing."""
    return select.epoll() if hasattr(select, "epoll") else _SelectorReadiness()


class _SelectorReadiness:
    """Over kqueue (macOS, BSD) through the standard library, by which epoll would answer a twentieth less."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def fileno(self) -> int:
        descriptor: int = self._selector.fileno()
        return descriptor

    def register(self, descriptor: int, events: int, /) -> None:
        self.modify(descriptor, events)

    def modify(self, descriptor: int, events: int, /) -> None:
        with suppress(KeyError):  # if it is watched, or one that had its number and was closed
            self._selector.unregister(descriptor)
        if events:
            self._selector.register(descriptor, selectors.EVENT_READ if events == READABLE else selectors.EVENT_WRITE)

    def poll(self, timeout_s: float, most: int, /) -> list[tuple[int, int]]:
        ready = self._selector.select(timeout_s)[:most]
        return [(key.fd, WRITABLE if event == selectors.EVENT_WRITE else READABLE) for key, event in ready]

    def close(self) -> None:
        self._selector.close()
