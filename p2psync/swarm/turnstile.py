"""Where links wait until their next frame may leave, in the order in which they came."""

import trio

from p2psync.swarm.slots import Slots


class Turnstile:
    """All links of a swarm go through it with every frame of payload."""

    def __init__(self) -> None:
        self._slots = Slots()
        self._turn = trio.Lock()
        self._freed = trio.Event()

    async def enter(self) -> int:
        """Wait until one more frame may leave; `leave` must follow, with the number that this returns."""
        async with self._turn:
            while wait_s := self._slots.wait_s(trio.current_time()):
                self._freed = trio.Event()
                with trio.move_on_after(wait_s):
                    await self._freed.wait()
            return self._slots.begin(trio.current_time())

    def leave(self, number: int) -> None:
        """A frame has left, or never will."""
        self._slots.end(number, trio.current_time())
        self._freed.set()
