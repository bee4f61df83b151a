"""What a link does without its stream."""

import pytest

from p2psync.errors import RemoteProtocolError
from p2psync.swarm.link import Link, Shared
from p2psync.wire.connection import State, Step, next_state


class Nowhere:
    device = b"d" * 32
    remote_host = ""
    unread_bytes = 0


async def test_a_failure_is_kept_without_what_was_being_heard():
    link = Link(Nowhere(), Shared(), number=1)
    with pytest.raises(RemoteProtocolError) as caught:
        next_state(State.CLOSED, Step.HELLO, blame=RemoteProtocolError)
    link.fail(caught.value)
    assert link.failure is caught.value
    assert link.ending == "HELLO in state CLOSED"
    assert link.failure.__traceback__ is None
