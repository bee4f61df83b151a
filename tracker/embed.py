"""A tracker inside another program: in memory, over HTTP, for the few peers of a share."""

import random
from collections.abc import Sequence

import trio

from tracker.http_app import HttpApp
from tracker.http_server import serve_http
from tracker.memory_swarms import MemorySwarms
from tracker.service import LAN_POLICY, TrackerService
from tracker.telemetry import Telemetry

_TEND_EVERY_S = 1.0


async def run_tracker(
    listeners: Sequence[trio.SocketListener], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Track swarms on `listeners` until cancelled, then close them; started means that clients are answered."""
    store = MemorySwarms(random.Random())  # noqa: S311 - chooses which peers to tell, no secret
    telemetry = Telemetry(store)
    app = HttpApp(TrackerService(store, LAN_POLICY, random.Random()), telemetry)  # noqa: S311 - likewise
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_http, listeners, app, telemetry)
        task_status.started()
        while True:
            await store.tend(trio.current_time())
            await trio.sleep(_TEND_EVERY_S)
