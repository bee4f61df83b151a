"""Limits as the user set them: time tables, and what follows from them now."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import trio

from p2psync.node.timetable import UNLIMITED, Timetable
from p2psync.swarm.limiter import Rates
from p2psync.swarm.throttle import Limits

LOOK_INTERVAL_S = 5.0
"""How late a change of the hour may be noticed; the clock may have been set meanwhile."""


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """What the user asked for; all in local time.

    Attributes:
        up: All that is sent.
        down: All that is received.
        peer_up: What each peer is sent.
        peer_down: What is received from each peer.
        lan: They hold for peers on the local network as well.
    """

    up: Timetable = UNLIMITED
    down: Timetable = UNLIMITED
    peer_up: Timetable = UNLIMITED
    peer_down: Timetable = UNLIMITED
    lan: bool = True

    def rates(self, week_minute: int) -> Rates:
        """Return what holds in a minute of the week."""
        return Rates(
            self.up.rate(week_minute),
            self.down.rate(week_minute),
            self.peer_up.rate(week_minute),
            self.peer_down.rate(week_minute),
            self.lan,
        )


NO_LIMITS = LimitOptions()


def local_week_minute() -> int:
    """Return the minute of the week by this machine's clock and time zone; 0 is Monday 0:00."""
    now = time.localtime()
    return (now.tm_wday * 24 + now.tm_hour) * 60 + now.tm_min


class LimitSchedule:
    """Keeps a folder's limits to their time tables.

    Attributes:
        limits: What the folder's links obey.
        options: What the user asked for last.
    """

    def __init__(self, options: LimitOptions, week_minute: Callable[[], int] = local_week_minute) -> None:
        self.options = options
        self._week_minute = week_minute
        self.limits = Limits(options.rates(week_minute()))

    def change(self, **changes: Timetable | bool) -> None:
        """Take other limits from now on; those not named stay."""
        self.options = replace(self.options, **changes)  # type: ignore[arg-type]
        self._look()

    async def run(self) -> None:
        """Follow the clock until cancelled."""
        while True:
            await trio.sleep(LOOK_INTERVAL_S)
            self._look()

    def _look(self) -> None:
        self.limits.set(self.options.rates(self._week_minute()))
