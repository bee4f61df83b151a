"""Wait for descriptors where the process has as many files open as the system allows."""

from collections.abc import Callable

import trio

from p2psync.sync.events import Remark

PAUSE_S = 1.0
"""How soon to try again: whatever takes so many, connections mostly, ends by itself within seconds."""


class DescriptorWait:
    """Has worker threads try again later, and the user know of it once.

    Args:
        tell: Told, in the event loop.
    """

    def __init__(self, tell: Callable[[Remark], None]) -> None:
        self._tell = tell
        self._is_told = False

    def wait(self) -> None:
        """Wait, in a worker thread, before what could not be opened is tried again."""
        trio.from_thread.run(self._wait)

    async def _wait(self) -> None:
        if not self._is_told:
            self._is_told = True
            self._tell(Remark("too many files are open (ulimit -n): the scan goes on as soon as others are closed"))
        await trio.sleep(PAUSE_S)
