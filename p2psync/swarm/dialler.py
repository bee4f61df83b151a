"""Keeps dialling every address that is due, a few at a time."""

from collections.abc import Awaitable, Callable, Iterable

import trio

from p2psync.errors import P2PSyncError
from p2psync.ids import DeviceId, PeerAddress
from p2psync.swarm.dials import Dials
from p2psync.swarm.link import Stream
from p2psync.swarm.peers import PeerBook

DIAL_TIMEOUT_S = 10.0
"""Connecting and the TLS handshake: several round trips of the worst network."""

Dial = Callable[[PeerAddress], Awaitable[Stream]]
"""Connects and authenticates; raises OSError, P2PSyncError or trio.BrokenResourceError where that fails."""


class Dialler:
    """Turns due addresses into streams.

    Args:
        book: Says what is due, and hears how it went.
        room: Returns how many links are to be looked for besides those that so many dials will soon lead to.
        linked: Returns the devices that need not be dialled.
        run_link: Runs a dialled stream until it ends.
    """

    def __init__(
        self,
        book: PeerBook,
        dial: Dial,
        *,
        room: Callable[[int], int],
        linked: Callable[[], Iterable[DeviceId]],
        run_link: Callable[[Stream, PeerAddress], Awaitable[None]],
    ) -> None:
        self._book = book
        self._dial = dial
        self._linked = linked
        self._run_link = run_link
        self._dials = Dials(book, room)
        self._changed = trio.Event()

    def look_again(self) -> None:
        """The book has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Dial, until cancelled; links run in here too."""
        async with trio.open_nursery() as nursery:
            while True:
                self._changed = trio.Event()
                for address in self._dials.begin(trio.current_time(), self._linked()):
                    nursery.start_soon(self._try, address)
                with trio.move_on_after(self._dials.nap_s(trio.current_time())):
                    await self._changed.wait()

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
            self._dials.end(address)
            self.look_again()

    def _failed(self, address: PeerAddress, sentence: str) -> None:
        self._book.failed(address, sentence, trio.current_time())
        self.look_again()
