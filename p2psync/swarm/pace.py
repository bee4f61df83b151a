"""Nobody's flood of small messages may keep others waiting."""

from collections.abc import Sequence

import trio

from p2psync.wire import limits
from p2psync.wire.messages import Blocks, Have, Message


class Pace:
    """Slows down links that bring many control messages at once: a single turn for all links of a swarm.

    So however many links a flood comes over, its share of our time stays small; honest peers never need a turn.
    """

    def __init__(self) -> None:
        self._turn = trio.Lock()

    async def wait(self, messages: Sequence[Message]) -> None:
        """Wait as long as what one read brought makes it right; blocks that were asked for have their own limits."""
        count = sum(map(_weight, messages))
        if count > limits.CONTROL_BURST:
            async with self._turn:
                await trio.sleep(min(count * limits.CONTROL_MESSAGE_S, limits.MAX_CONTROL_PAUSE_S))


def _weight(message: Message) -> int:
    """Return how many ordinary control messages a message is as much work as."""
    match message:
        case Blocks():
            return 0
        case Have(complete, whole, partial, gone):
            rows = len(complete) + len(whole) + len(partial) + len(gone)
            upsetting = limits.UPSETTING_HAVE_MESSAGES if complete or gone else 0
            return 1 + rows // limits.HAVE_ROWS_A_MESSAGE + upsetting
    return 1
