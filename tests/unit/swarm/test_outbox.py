import pytest
import trio
import trio.testing

from p2psync.errors import RemoteProtocolError
from p2psync.ids import BlockId
from p2psync.swarm.outbox import MAX_CONTROL_BYTES, MAX_CONTROL_MESSAGES, Outbox
from p2psync.wire.messages import Blocks, Have, HeadOffer, Missing, Part, Ping, Want

ID, OTHER = BlockId(b"i" * 32), BlockId(b"o" * 32)
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


async def test_what_was_queued_last_is_taken_back_while_it_is_nothing_but_what_is_needless():
    outbox = Outbox()
    kept = [Blocks([(ID, b"1"), (OTHER, b"2")]), Missing([ID])]
    for message in (Part(ID, 9, 0, b"abc"), kept[0], Part(ID, 9, 3, b"def"), Blocks([(ID, b"3")])):
        outbox.put_payload(message)
    assert outbox.take_back({ID}) == 2
    assert outbox.take_back({ID}) == 0
    outbox.put_payload(kept[1])
    assert outbox.take_back({ID}) == 0
    assert [(await outbox.take())[0] for _ in range(3)] == [Part(ID, 9, 0, b"abc"), *kept]


async def test_what_is_taken_back_makes_room(autojump_clock):
    outbox = Outbox()
    for offset in (0, 3):
        outbox.put_payload(Part(ID, 9, offset, b"abc"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.wait_room)
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks
        outbox.take_back({ID})
        await trio.testing.wait_all_tasks_blocked()
        assert not nursery.child_tasks


async def test_what_was_taken_no_longer_counts():
    outbox = Outbox()
    count = put_until_refused(outbox, Have(partial=[(ID, b"b" * MIB)]))
    assert len(await outbox.take()) == count
    outbox.put(Ping())
