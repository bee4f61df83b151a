"""The address book: where peers may be reached, when to try again, and whom never. Pure."""

import enum
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from p2psync.discovery.reach import party_of
from p2psync.ids import DeviceId, PeerAddress

FIRST_RETRY_S = 0.5
"""A sharer that restarts is back within a second or two."""
MAX_RETRY_S = 12.0
"""Whoever the user named is found within this and its jitter, however long it, or our network, was away."""
PATIENT_TRIES = 30
"""So often, which takes five minutes and more, whoever was met is tried as if the user had named it."""
CLOSE_PEERS = 10
"""Of those met later than others so many are tried for ever: most swarms are no larger, and one dial in six seconds
costs nothing."""
MET_OF_A_PARTY = 5
"""Of one party so many addresses count as met, the latest: it can make itself any number, and must not displace all."""
CLOSE_RETRY_S = 60.0
"""What their waits grow to: a sharer that was away over the weekend, or our network, is back about a minute later."""
LONGEST_RETRY_S = 300.0
"""What the waits grow to for all others, most of whom have gone for good; a source that names one anew hurries it."""
MOST_TRIES = 60
"""So often, which takes hours, any other address is tried; then it is forgotten until somebody names it again."""
JITTER = 0.25
"""A hundred peers that lost the same sharer must not all return in the same instant."""
STEADY_S = 10.0
"""A link that lived so long was a good one: its address is tried again at once."""
BUSY_RETRY_S = 30.0
"""A peer that had links enough is asked again after this and its jitter, so that thousands do not besiege it."""
MAX_ADDRESSES = 2_000
"""A tracker can name any number; more addresses than this find nobody new."""

MAX_BANS = 1_000
"""Devices, and as many addresses: a member can make itself new ones for ever, and each is kept and shown."""

MAX_HEARSAY = 200
"""Addresses that one peer told us of and that never worked: four of its messages. Beyond that it is not listened to."""
HEARSAY_TRIES = 3
"""So often an address of which only a peer told is tried; then it is forgotten until somebody tells of it again."""
RESERVED_DIALS = 8
"""Of the dials that may be under way, so many are for what others than peers told of: dead hearsay cannot fill them."""


class Origin(enum.Enum):
    """Where addresses come from, which says how long they are tried.

    Attributes:
        USER: The user named them.
        SAVED: Somebody was met there when the program ran last, the latest first.
        NAMED: A tracker, the local network or the peer itself named them.
    """

    USER = enum.auto()
    SAVED = enum.auto()
    NAMED = enum.auto()


@dataclass(frozen=True, slots=True)
class AddressRecord:
    """What is known about one address.

    Attributes:
        failures: In a row; sets the time to the next try.
        next_try: When it may be dialled.
        busy: It is being dialled, or a link to it is up.
        device: Who was found there last.
        last_failure: A sentence for people; empty if it never failed.
        rank: Its place in the list in which we heard of it, or among its party's addresses if that is further back.
        told_by: The peer that alone told us of it, as long as nobody was found there; None for any other source.
        by_user: The user named it.
        met: When somebody was met there last, as a number that grows with every meeting, from 1 on; those of the last
            run are at most 0. None for never.
    """

    failures: int = 0
    next_try: float = 0.0
    busy: bool = False
    device: DeviceId | None = None
    last_failure: str = ""
    rank: int = 0
    told_by: DeviceId | None = None
    by_user: bool = False
    met: int | None = None

    @property
    def is_promising(self) -> bool:
        """Somebody is there, or was not too many tries ago, or the user says so."""
        return self.by_user or (self.met is not None and self.failures < PATIENT_TRIES)


class PeerBook:
    """All addresses of one swarm, and its latest bans, which last as long as the program.

    The first of every list are dialled first, and the last of long lists make room: whoever names thousands of dead
    addresses, in a list or one by one as a peer that listens at thousands of ports, does not hide the few that others
    name. Every other dial is to whoever has been due for longest instead: the first of a list, if dead, do not hide the
    rest. What peers tell comes after all else, and is not tried for long. Nothing but what the user named, and the last
    few that were met, is tried for ever: most who leave never return.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._records: dict[PeerAddress, AddressRecord] = {}
        self._banned_devices: dict[DeviceId, str] = {}
        self._banned_addresses: dict[PeerAddress, None] = {}
        self._meetings = 0
        self._by_age = False  # whether the next dial is to whoever has been due for longest

    @property
    def bans(self) -> dict[DeviceId, str]:
        """Banned devices, each with the reason."""
        return dict(self._banned_devices)

    def __len__(self) -> int:
        return len(self._records)

    def records(self) -> Iterator[tuple[PeerAddress, AddressRecord]]:
        """Yield all addresses that are tried."""
        yield from self._records.items()

    def add(self, addresses: Iterable[PeerAddress], now: float, origin: Origin = Origin.NAMED) -> None:
        """Learn addresses; those known keep their history but for the longest waits, banned ones stay banned."""
        places = Counter(party_of(address.host) for address in self._records)
        for place, address in enumerate(islice(addresses, MAX_ADDRESSES)):
            if address not in self._banned_addresses:
                met = -place if origin is Origin.SAVED else None
                party = party_of(address.host)
                rank = max(place, places[party])
                record = self._records.get(address, AddressRecord(next_try=now, rank=rank, met=met))
                places[party] += address not in self._records
                next_try = min(record.next_try, now + MAX_RETRY_S) if record.failures else record.next_try
                by_user = record.by_user or origin is Origin.USER
                self._records[address] = replace(record, next_try=next_try, told_by=None, by_user=by_user)
        if len(self._records) > MAX_ADDRESSES:
            self._make_room()

    def add_hearsay(self, addresses: Iterable[PeerAddress], teller: DeviceId, now: float) -> None:
        """Learn addresses that a peer told us of; what is known already stays as it is."""
        room = MAX_HEARSAY - sum(record.told_by == teller for record in self._records.values())
        fresh = (a for a in addresses if a not in self._banned_addresses and a not in self._records)
        for rank, address in enumerate(islice(fresh, max(0, room))):
            self._records[address] = AddressRecord(next_try=now, rank=rank, told_by=teller)
        if len(self._records) > MAX_ADDRESSES:
            self._make_room()

    def count_living(self) -> int:
        """Return how many addresses may lead to somebody: those that did not fail again and again."""
        return sum(record.busy or record.failures < HEARSAY_TRIES for record in self._records.values())

    def is_banned(self, device: DeviceId) -> bool:
        """Say whether no link with this device is wanted."""
        return device in self._banned_devices

    def due(self, now: float, linked: Iterable[DeviceId], *, room: int = MAX_ADDRESSES) -> list[PeerAddress]:
        """Return the addresses to dial now, best first; devices that are linked already need not be found.

        Args:
            now: In seconds.
            linked: Devices with a link.
            room: How many may be dialled.
        """
        known = set(linked)
        due = [
            (address, record)
            for address, record in self._records.items()
            if not record.busy and record.next_try <= now and record.device not in known
        ]
        reliable = self._in_turn([each for each in due if each[1].told_by is None])[:room]
        hearsay = self._in_turn([each for each in due if each[1].told_by is not None])
        return reliable + hearsay[: max(0, room - RESERVED_DIALS - len(reliable))]

    def _in_turn(self, due: list[tuple[PeerAddress, AddressRecord]]) -> list[PeerAddress]:
        by_rank = sorted(due, key=lambda each: (each[1].rank, each[0]))
        by_age = sorted(due, key=lambda each: (each[1].next_try, each[1].rank, each[0]))
        first, second = (by_age, by_rank) if self._by_age else (by_rank, by_age)
        return list(dict.fromkeys(address for pair in zip(first, second, strict=True) for address, _ in pair))

    def dialling(self, address: PeerAddress) -> None:
        """An address is being dialled."""
        self._change(address, busy=True)
        self._by_age = not self._by_age

    def linked(self, address: PeerAddress, device: DeviceId) -> None:
        """A link is up to whoever is at an address."""
        self._meetings += 1
        self._change(address, device=device, told_by=None, met=self._meetings)
        party = party_of(address.host)
        met = [(r.met, at) for at, r in self._records.items() if r.met is not None and party_of(at.host) == party]
        for _, earlier in sorted(met)[:-MET_OF_A_PARTY]:
            self._change(earlier, met=None)

    def failed(self, address: PeerAddress, sentence: str, now: float) -> None:
        """Dialling failed, or the link ended early: try later, later each time."""
        record = self._records.get(address)
        if record is None:
            return
        longest_s, tries = self._patience(record)
        if record.failures + 1 >= tries:
            del self._records[address]
            return
        wait = min(longest_s, FIRST_RETRY_S * 2.0 ** min(record.failures, 10))
        wait *= 1 + self._rng.uniform(-JITTER, JITTER)
        self._change(address, busy=False, failures=record.failures + 1, next_try=now + wait, last_failure=sentence)

    def _patience(self, record: AddressRecord) -> tuple[float, float]:
        """Return what the waits for an address grow to, and after how many tries it is forgotten."""
        if record.told_by is not None:
            return MAX_RETRY_S, HEARSAY_TRIES
        if record.is_promising:
            return MAX_RETRY_S, math.inf
        if record.met is not None and self._count_met_later(record.met) < CLOSE_PEERS:
            return CLOSE_RETRY_S, math.inf
        return LONGEST_RETRY_S, MOST_TRIES

    def _count_met_later(self, met: int) -> int:
        return sum(other.met is not None and other.met > met for other in self._records.values())

    def ended(self, address: PeerAddress, sentence: str, *, lived_s: float, now: float) -> None:
        """A link that we dialled ended; one that lived long starts a new history."""
        self.parted(address, lived_s=lived_s)
        self.failed(address, sentence, now)

    def parted(self, address: PeerAddress, *, lived_s: float) -> None:
        """A link ended, whoever dialled: if it lived long, whoever is there is looked for as if never away before."""
        if lived_s >= STEADY_S:
            self._change(address, failures=0)

    def put_off(self, address: PeerAddress, now: float) -> None:
        """A peer lives but has links enough, or we have: others come first."""
        wait = BUSY_RETRY_S * (1 + self._rng.uniform(-JITTER, JITTER))
        self._change(address, failures=0, next_try=now + wait)

    def ban(self, device: DeviceId, address: PeerAddress | None, reason: str) -> None:
        """Never link with this device again, nor dial this address."""
        self._banned_devices[device] = reason
        if len(self._banned_devices) > MAX_BANS:
            del self._banned_devices[next(iter(self._banned_devices))]
        if address is not None:
            self.forget(address)

    def forget(self, address: PeerAddress) -> None:
        """An address is our own, or leads to somebody banned: never dial it again."""
        self._banned_addresses[address] = None
        if len(self._banned_addresses) > MAX_BANS:
            del self._banned_addresses[next(iter(self._banned_addresses))]
        self._records.pop(address, None)

    def _make_room(self) -> None:
        def worth(item: tuple[PeerAddress, AddressRecord]) -> tuple[bool, bool, bool, int]:
            record = item[1]
            return not record.busy, not record.is_promising, record.told_by is not None, record.rank

        self._records = dict(sorted(self._records.items(), key=worth)[:MAX_ADDRESSES])

    def _change(self, address: PeerAddress, **changes: object) -> None:
        record = self._records.get(address)
        if record is not None:
            self._records[address] = replace(record, **changes)  # type: ignore[arg-type]
