"""A tracker inside another program: in memory, over HTTP, for the few peers of a share."""

import random
import resource
from collections.abc import Sequence

import trio

from tracker.http_app import HttpApp
from tracker.http_server import HttpLimits, serve_http
from tracker.memory_swarms import MemorySwarms
from tracker.service import LAN_POLICY, TrackerService
from tracker.telemetry import Telemetry

_TEND_EVERY_S = 1.0
_CONNECTIONS = 512
_OPEN_FILES_FOR_ONE = 8
"""An eighth of the open files that the process may have: those whom the program is there for need the others."""
_IDLE_S = 5.0
"""Clients come for one answer in minutes; to wait for more from one of them would keep a descriptor for nothing."""


def embedded_limits(open_files: int) -> HttpLimits:
    """Return what connections to the tracker may take of a process that may have so many files open."""
    return HttpLimits(connections=max(1, min(_CONNECTIONS, open_files // _OPEN_FILES_FOR_ONE)), idle_s=_IDLE_S)


async def run_tracker(
    listeners: Sequence[trio.SocketListener], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Track swarms on `listeners` until cancelled, then close them; started means that clients are answered."""
    store = MemorySwarms(random.Random())  # noqa: S311 - chooses which peers to tell, no secret
    telemetry = Telemetry(store)
    app = HttpApp(TrackerService(store, LAN_POLICY, random.Random()), telemetry)  # noqa: S311 - likewise
    open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_http, listeners, app, telemetry, embedded_limits(open_files))
        task_status.started()
        while True:
            await store.tend(trio.current_time())
            await trio.sleep(_TEND_EVERY_S)
