"""The packed table against a dictionary, over any sequence of announces, departures and expiries."""

import random
import sys

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tracker.peer_table import DEADLINE_MASK, PARTIAL, PeerTable, client_at, deadline_at


class TableAgainstDictionary(RuleBasedStateMachine):
    """Few addresses, so that the same ones come again."""

    def __init__(self):
        super().__init__()
        self.table = PeerTable(6)
        self.model: dict[bytes, tuple[bytes, int, bool]] = {}
        self.rng = random.Random(0)

    @rule(first=st.integers(0, 3000), count=st.integers(1, 600), uploads=st.booleans(), deadline=st.integers(1, 9))
    def add_many(self, first, count, uploads, deadline):
        for number in range(first, first + count):
            entry = _entry(number)
            if entry not in self.model:
                self.table.add(entry, _client(number), deadline | PARTIAL, uploads=uploads)
                self.model[entry] = (_client(number), deadline | PARTIAL, uploads)

    @rule(first=st.integers(0, 3000), step=st.integers(1, 7), count=st.integers(1, 500))
    def remove_some(self, first, step, count):
        for number in range(first, first + step * count, step):
            place = self.table.find(_entry(number))
            assert (place is not None) == (_entry(number) in self.model)
            if place is not None:
                self.table.remove(place)
                del self.model[_entry(number)]

    @rule()
    def shrink(self):
        self.table.shrink()

    @rule(want=st.integers(1, 400), uploaders=st.booleans())
    def choose(self, want, uploaders):
        chosen = []
        for bucket, start, end in self.table.choose(want, uploaders=uploaders, rng=self.rng):
            assert start < end
            chosen += [bytes(bucket.entries[i * 6 : i * 6 + 6]) for i in range(start, end)]
        assert len(chosen) == len(set(chosen)) <= want
        assert all(self.model[entry][2] == uploaders for entry in chosen)
        there = sum(uploads == uploaders for _, _, uploads in self.model.values())
        if len(self.table.buckets) <= 8:
            assert len(chosen) == min(want, there)

    @invariant()
    def both_hold_the_same(self):
        assert len(self.table) == len(self.model) == sum(len(bucket) for bucket in self.table.buckets)
        for bucket in self.table.buckets:
            for index in range(len(bucket)):
                entry, place = bytes(bucket.entries[index * 6 : index * 6 + 6]), (bucket, index)
                assert self.table.find(entry) == place
                assert self.model[entry] == (client_at(place), deadline_at(place), index >= bucket.downloaders)
            assert bucket.deadlines() == [deadline_at((bucket, i)) for i in range(len(bucket))]


TestTableAgainstDictionary = TableAgainstDictionary.TestCase
TestTableAgainstDictionary.settings = settings(max_examples=30, stateful_step_count=20)


@given(octets=st.binary(min_size=6, max_size=6), copies=st.integers(1, 5))
def test_an_entry_is_not_found_across_the_border_of_two_others(octets, copies):
    table = PeerTable(6)
    doubled = octets + octets
    shifted = {doubled[i : i + 6] for i in range(1, 6)} - {octets}
    table.add(octets, bytes(24), 1, uploads=False)
    for number in range(copies):
        table.add(bytes([number]) + octets[1:5] + b"\xfe", bytes(24), 1, uploads=False)
    held = {bytes(table.buckets[0].entries[i : i + 6]) for i in range(0, 6 * len(table), 6)}
    for entry in shifted - held:
        assert table.find(entry) is None


def test_a_client_is_not_found_across_the_border_of_two_others():
    table, clients = PeerTable(6), [b"a" * 24, b"b" * 24]
    deadline = 7
    across = clients[0][10:] + deadline.to_bytes(4, sys.byteorder) + clients[1][:6]
    for number, client in enumerate(clients):
        table.add(_entry(number), client, deadline, uploads=True)
    assert table.find_client(across) is None
    table.add(_entry(2), across, deadline, uploads=True)
    assert table.find_client(across) == (table.buckets[0], 2)


def test_deadlines_and_flags_do_not_touch():
    assert DEADLINE_MASK & PARTIAL == 0


def _entry(number: int) -> bytes:
    # Half of them private: those are hashed with their port, the others by address.
    return bytes([10 if number % 2 else 8, 1, number >> 8 & 255, number & 255]) + (1000 + number % 3).to_bytes(2, "big")


def _client(number: int) -> bytes:
    return b"%024d" % number
