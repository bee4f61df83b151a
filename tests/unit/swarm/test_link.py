"""What a link does without its stream."""

import pytest
import trio

from p2psync.errors import RemoteProtocolError
from p2psync.swarm.link import Link, Shared
from p2psync.wire.connection import State, Step, next_state


class Nowhere:
    device = b"d" * 32
    remote_host = ""
    unread_bytes = 0
    is_closed = False

    async def send_all(self, buffers):
        await trio.sleep_forever()

    async def aclose(self):
        self.is_closed = True


async def test_a_failure_is_kept_without_what_was_being_heard():
    link = Link(Nowhere(), Shared(), number=1)
    with pytest.raises(RemoteProtocolError) as caught:
        next_state(State.CLOSED, Step.HELLO, blame=RemoteProtocolError)
    link.fail(caught.value)
    assert link.failure is caught.value
    assert link.ending == "HELLO in state CLOSED"
    assert link.failure.__traceback__ is None


async def test_a_stream_over_which_no_farewell_leaves_is_closed_all_the_same(autojump_clock):
    stream = Nowhere()
    await Link(stream, Shared(), number=1).aclose(b"closing")
    assert stream.is_closed
