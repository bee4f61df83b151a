import pytest

from p2psync.errors import RemoteProtocolError
from p2psync.ids import BlockId
from p2psync.swarm.outbox import MAX_CONTROL_BYTES, MAX_CONTROL_MESSAGES, Outbox
from p2psync.wire.messages import Have, HeadOffer, Ping, Want

ID = BlockId(b"i" * 32)
MIB = 1 << 20


def put_until_refused(outbox, message):
    """Return how many are taken."""
    for count in range(2 * MAX_CONTROL_MESSAGES):
        try:
            outbox.put(message)
        except RemoteProtocolError:
            return count
    raise AssertionError("none is refused")


@pytest.mark.parametrize(
    ("message", "size"),
    [
        (Have(partial=[(ID, b"b" * MIB)]), MIB + 32),
        (Have(whole=[ID] * 5000, complete=[ID] * 5000, gone=[ID] * 5000), 32 * 15_000),
        (Want([ID] * 4096), 32 * 4096),
        (HeadOffer(b"h" * 5000), 5000),
    ],
)
def test_what_a_peer_does_not_read_is_bounded_by_its_bytes(message, size):
    assert put_until_refused(Outbox(), message) == -(-MAX_CONTROL_BYTES // size)


def test_it_is_bounded_by_its_number_too():
    assert put_until_refused(Outbox(), Ping()) == MAX_CONTROL_MESSAGES


async def test_what_was_taken_no_longer_counts():
    outbox = Outbox()
    count = put_until_refused(outbox, Have(partial=[(ID, b"b" * MIB)]))
    assert len(await outbox.take()) == count
    outbox.put(Ping())
