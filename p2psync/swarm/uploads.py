"""What one peer asked of us and has not got yet, and how blocks are put into frames. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from math import inf
from weakref import ReferenceType, ref

from p2psync.errors import RemoteProtocolError
from p2psync.ids import BlockId
from p2psync.store.base import Payload
from p2psync.store.long_block import LongBlock
from p2psync.swarm.frame_size import START_FRAME_BYTES
from p2psync.swarm.holdings import Holdings
from p2psync.wire import limits
from p2psync.wire.messages import Blocks, Message, Missing, Packed, Part, Want, WantAny, Wish, payload_bytes

DEALT_BLOCKS = 65_536
"""So many blocks that were sent are remembered, some 8 MB: what peers wish for is much less at any time."""
LOOK_AT = 64
"""Wants or wishes that were sent to others, among which the one sent least is looked for."""
OVERTAKEN_FRAMES = 8
"""What was wanted first is overtaken for so many frames at most by what others can pass on sooner."""
REST_S = 0.3
"""What was sent is sent again to one that merely wishes for it only after so long, and longer where frames take long:
by then who has it should have announced it, and who wishes for it asked there. Sooner, it would come from both."""
REST_FRAMES = 8
"""The longer by the time in which so many frames leave: what is under way in front of it, and of its announcement."""
REST_LOOK_S = 0.1
"""A rest is over sooner when who was sent the block has all: so often it is looked whether that is so."""

_NEVER: tuple[int, float, ReferenceType[Holdings]] = (0, 0.0, ref(Holdings()))


class Dealt:
    """How often blocks were sent, when and to whom last, of the latest; all links of a folder share it."""

    def __init__(self) -> None:
        self._sent: dict[BlockId, tuple[int, float, ReferenceType[Holdings]]] = {}
        self._frame_s = 0.0

    def frame_left(self, took_s: float) -> None:
        """A frame took so long to leave."""
        self._frame_s += (took_s - self._frame_s) / 16

    def times(self, id_: BlockId) -> int:
        """Return how often a block was sent."""
        return self._sent.get(id_, _NEVER)[0]

    def rest_s(self, id_: BlockId, now: float) -> float:
        """Return for how long a block that was sent should not be sent to anybody else who may soon ask elsewhere."""
        if id_ not in self._sent:
            return 0.0
        _, at, receiver_ref = self._sent[id_]
        receiver = receiver_ref()
        if receiver is None or receiver.has_all:  # who is gone, or has all, announces nothing any more
            return 0.0
        return max(0.0, at + REST_S + REST_FRAMES * self._frame_s - now)

    def note(self, ids: Iterable[BlockId], receiver: Holdings, now: float) -> None:
        """Blocks are being sent to a peer, of which this is what it holds."""
        for id_ in ids:
            times = self.times(id_)
            self._sent.pop(id_, None)
            # Not to keep alive what a peer that is gone announced: it may be megabytes.
            self._sent[id_] = (times + 1, now, ref(receiver))
        while len(self._sent) > DEALT_BLOCKS:
            del self._sent[next(iter(self._sent))]

    def take_back(self, ids: Iterable[BlockId]) -> None:
        """Blocks were not sent after all."""
        for id_ in ids:
            times, at, receiver_ref = self._sent.get(id_, _NEVER)
            if times > 1:
                self._sent[id_] = (times - 1, at, receiver_ref)
            else:
                self._sent.pop(id_, None)


class WantQueue:
    """Ids in the order in which they were wanted, then those that may be sent in whatever order is best: wants, wishes.

    Of the latter come first those that were sent to nobody: so peers that wish for the same get different blocks, to
    give to each other, and what is new to a swarm need not wait at each host behind what many have.

    Args:
        dealt: What was sent to all peers.
        receiver: What the peer holds.
    """

    def __init__(self, dealt: Dealt, receiver: Holdings) -> None:
        self._ids: dict[BlockId, None] = {}
        self._any: dict[BlockId, None] = {}
        self._wishes: dict[BlockId, None] = {}
        self._stale: dict[BlockId, None] = {}
        self._queues = (self._ids, self._any, self._wishes, self._stale)
        self._dealt = dealt
        self._receiver = receiver
        self._overtaken_frames = 0
        self._mean_bytes = float(START_FRAME_BYTES)

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues)

    def __bool__(self) -> bool:
        return any(self._queues)

    def ask(self, message: Want | WantAny | Wish) -> None:
        """Append ids to those of their kind.

        Raises:
            RemoteProtocolError: The peer wants more at once than one peer may.
        """
        match message:
            case Want(ids):
                self._ids.update(dict.fromkeys(ids))
            case WantAny(ids):
                self._any.update(dict.fromkeys(ids))
            case Wish(ids):
                self._wishes.update(dict.fromkeys(ids))
        if len(self) > limits.MAX_OUTSTANDING_IDS:
            raise RemoteProtocolError(f"more than {limits.MAX_OUTSTANDING_IDS} blocks wanted at once")

    def drop(self, ids: Iterable[BlockId]) -> None:
        """Forget ids that were answered or cancelled."""
        for queue in self._queues:
            if queue:
                for id_ in ids:
                    queue.pop(id_, None)

    def clear(self) -> None:
        """Forget all that was asked for."""
        for queue in self._queues:
            queue.clear()

    @property
    def has_wants(self) -> bool:
        """Something is wanted, not only wished for."""
        return bool(self._ids or self._any)

    def rest_s(self, now: float) -> float:
        """Return when to look again for something to send: at once if there is any, never if nothing is wanted."""
        if self.has_wants or self._fresh(1):
            return 0.0
        rests_s = [self._dealt.rest_s(id_, now) for id_ in islice(self._stale, LOOK_AT)]
        return min(*rests_s, REST_LOOK_S) if rests_s else inf

    def first(self, most: int, size_bytes: int, now: float) -> list[BlockId]:
        """Return the ids to answer next: at most so many, for about so many bytes; wanted ones, else wishes."""
        count = max(1, min(most, int(size_bytes / self._mean_bytes)))
        chosen = (
            list(islice(self._ids, count)) or self._least_sent(count) or self._fresh(count) or self._rested(count, now)
        )
        self._dealt.note(chosen, self._receiver, now)
        return chosen

    def frame_left(self, took_s: float) -> None:
        """Learn how long frames take."""
        self._dealt.frame_left(took_s)

    def answered(self, chosen: Sequence[BlockId], payloads: Sequence[Payload | LongBlock | None]) -> None:
        """Forget what was answered, the first of what was chosen; learn how long blocks are."""
        self.drop(chosen[: len(payloads)])
        self._dealt.take_back(chosen[len(payloads) :])
        lengths = [len(data) for data in payloads if data is not None]
        if lengths:
            self._mean_bytes += (sum(lengths) / len(lengths) - self._mean_bytes) / 4

    def cut_off(self, ids: Iterable[BlockId]) -> None:
        """Take note that blocks that were answered did not leave whole."""
        self._dealt.take_back(ids)

    def _least_sent(self, count: int) -> list[BlockId]:
        """Return wants in no order: of those that came first, those that were sent least."""
        if len(self._any) <= count:
            return list(self._any)
        oldest = next(iter(self._any))
        if self._overtaken_frames == OVERTAKEN_FRAMES:
            chosen = list(islice(self._any, count))
        else:
            chosen = sorted(islice(self._any, count + LOOK_AT), key=self._dealt.times)[:count]
        self._overtaken_frames = 0 if oldest in chosen else self._overtaken_frames + 1
        return chosen

    def _fresh(self, count: int) -> list[BlockId]:
        """Return wishes that were sent to nobody; those before them that were are set apart."""
        chosen: list[BlockId] = []
        passed: list[BlockId] = []
        for id_ in self._wishes:
            if len(chosen) == count:
                break
            (passed if self._dealt.times(id_) else chosen).append(id_)
        for id_ in passed:
            del self._wishes[id_]
            self._stale[id_] = None
        return chosen

    def _rested(self, count: int, now: float) -> list[BlockId]:
        """Return wishes that were sent to others, long ago and least often."""
        rested = [id_ for id_ in islice(self._stale, LOOK_AT) if not self._dealt.rest_s(id_, now)]
        return sorted(rested, key=self._dealt.times)[:count]


def frames(
    ids: Sequence[BlockId], payloads: Sequence[Payload | LongBlock | None], limit_bytes: int
) -> Iterator[Blocks | Part | Missing | LongBlock]:
    """Put blocks, or the news that they are missing, into messages of about `limit_bytes`, in order.

    Blocks that were not read yet come as they are.
    """
    missing = [id_ for id_, data in zip(ids, payloads, strict=True) if data is None]
    if missing:
        yield Missing(missing)
    batch: list[tuple[BlockId, Payload]] = []
    batch_bytes = 0
    for id_, data in zip(ids, payloads, strict=True):
        if data is None:
            continue
        if isinstance(data, LongBlock):
            yield data
            continue
        if batch and (batch_bytes + len(data) > limit_bytes or len(batch) == limits.BLOCKS_PER_FRAME):
            yield Blocks(batch)
            batch, batch_bytes = [], 0
        if len(data) > limit_bytes:
            yield from parts(id_, len(data), 0, data, limit_bytes)
        else:
            batch.append((id_, data))
            batch_bytes += len(data)
    if batch:
        yield Blocks(batch)


def carried_bytes(message: Message) -> int:
    """Return how many bytes of payload, compressed or not, a message takes on the wire."""
    return len(message.data) if isinstance(message, Packed) else payload_bytes(message)


def parts(id_: BlockId, total: int, offset: int, stretch: Payload, limit_bytes: int) -> Iterator[Part]:
    """Put what stands at an offset of a block of `total` bytes into messages of at most `limit_bytes`."""
    view = memoryview(stretch)
    for start in range(0, len(view), limit_bytes):
        yield Part(id_, total, offset + start, view[start : start + limit_bytes])
