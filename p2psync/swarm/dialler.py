"""Keeps dialling every address that is due, a few at a time."""

from collections.abc import Awaitable, Callable, Iterable

import trio

from p2psync.errors import P2PSyncError
from p2psync.ids import DeviceId, PeerAddress
from p2psync.swarm.link import Stream
from p2psync.swarm.peers import PeerBook

DIAL_TIMEOUT_S = 10.0
"""Connecting and the TLS handshake: several round trips of the worst network."""
MAX_DIALS = 16
"""At once: a list of dead addresses must not hold up the live one behind them for long."""
LONGEST_NAP_S = 5.0

Dial = Callable[[PeerAddress], Awaitable[Stream]]
"""Connects and authenticates; raises OSError, P2PSyncError or trio.BrokenResourceError where that fails."""


class Dialler:
    """Turns due addresses into streams.

    Args:
        book: Says what is due, and hears how it went.
        linked: Returns the devices that need not be dialled.
        run_link: Runs a dialled stream until it ends.
    """

    def __init__(
        self,
        book: PeerBook,
        dial: Dial,
        *,
        linked: Callable[[], Iterable[DeviceId]],
        run_link: Callable[[Stream, PeerAddress], Awaitable[None]],
    ) -> None:
        self._book = book
        self._dial = dial
        self._linked = linked
        self._run_link = run_link
        self._dials = 0
        self._changed = trio.Event()

    def look_again(self) -> None:
        """The book has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Dial, until cancelled; links run in here too."""
        async with trio.open_nursery() as nursery:
            while True:
                self._changed = trio.Event()
                room = MAX_DIALS - self._dials
                for address in self._book.due(trio.current_time(), self._linked(), room=room):
                    self._book.dialling(address)
                    self._dials += 1
                    nursery.start_soon(self._try, address)
                with trio.move_on_after(self._nap_s()):
                    await self._changed.wait()

    def _nap_s(self) -> float:
        if self._dials == MAX_DIALS:
            return LONGEST_NAP_S
        now = trio.current_time()
        waits = [record.next_try - now for _, record in self._book.records() if not record.busy]
        # An address may be due and yet not dialled, as its device is linked: hence the lower bound.
        return min(LONGEST_NAP_S, max(0.1, min(waits, default=LONGEST_NAP_S)))

    async def _try(self, address: PeerAddress) -> None:
        try:
            stream = await self._reach(address)
        except trio.TooSlowError:
            self._failed(address, "it does not answer")
        except (OSError, P2PSyncError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._failed(address, str(error) or type(error).__name__)
        else:
            await self._run_link(stream, address)

    async def _reach(self, address: PeerAddress) -> Stream:
        try:
            with trio.fail_after(DIAL_TIMEOUT_S):
                return await self._dial(address)
        finally:
            self._dials -= 1
            self.look_again()

    def _failed(self, address: PeerAddress, sentence: str) -> None:
        self._book.failed(address, sentence, trio.current_time())
        self.look_again()
