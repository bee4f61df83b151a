"""Whatever peers do, no block is lost, none is asked of two peers before the endgame, and all accounts are right."""

import random
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from p2psync.blocks.need import Run
from p2psync.ids import BlockId
from p2psync.swarm.holdings import Holdings
from p2psync.swarm.picker import Picker
from p2psync.swarm.tasks import Job
from p2psync.wire.messages import Have

ROOT = BlockId(b"r" * 32)
PAGES = [BlockId(bytes([page]) * 32) for page in range(3)]
PER_PAGE = 12


def block(page: int, position: int) -> BlockId:
    return BlockId(bytes([page, position]) * 16)


class PickerMachine(RuleBasedStateMachine):
    """Peers come, announce, are asked, answer rightly, wrongly, not at all, and go."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed):
        self.picker = Picker(random.Random(seed))
        self.job = Job(ROOT)
        self.picker.begin(self.job)
        self.holdings: dict[int, Holdings] = {}
        self.owed: dict[int, list[BlockId]] = {}
        self.wished: dict[int, set[BlockId]] = {}
        self.received: set[BlockId] = set()
        self.written: set[BlockId] = set()
        self.now, self.next_peer = 0.0, 0
        ids = [[block(page, position) for position in range(PER_PAGE)] for page in range(len(PAGES))]
        self.wanted = {id_ for page in ids for id_ in page}
        for page, page_ids in zip(PAGES, ids, strict=True):
            for at in range(0, PER_PAGE, 4):
                positions = list(range(at, at + 4))
                self.picker.add(self.job, [Run(page, positions, page_ids[at : at + 4], [100, 200, 300, 400])])

    @rule(
        page=st.integers(0, 2), positions=st.sets(st.integers(0, PER_PAGE - 1), min_size=1), urgency=st.integers(1, 3)
    )
    def somebody_waits(self, page, positions, urgency):
        waited_for = [at for at in sorted(positions) if block(page, at) not in self.written]
        ids = [block(page, at) for at in waited_for]
        urgent = Job(ROOT, urgency=urgency)
        lengths = [(at % 4 + 1) * 100 for at in waited_for]
        for dealer, unwished in self.picker.add(urgent, [Run(PAGES[page], waited_for, ids, lengths)]).items():
            assert set(unwished) <= self.wished[dealer] & set(ids)
            self.wished[dealer].difference_update(unwished)
        assert not urgent.pending, "all of them are under way already"

    @rule()
    def peer_comes(self):
        peer = self.next_peer = self.next_peer + 1
        self.holdings[peer], self.owed[peer], self.wished[peer] = Holdings(), [], set()
        self.holdings[peer].offer(ROOT)
        self.picker.add_peer(peer, self.holdings[peer], deals=bool(peer % 3))
        self.picker.holdings_shrank(peer)

    @precondition(lambda self: self.owed)
    @rule(data=st.data())
    def peer_goes(self, data):
        peer = data.draw(st.sampled_from(sorted(self.owed)))
        self.picker.drop_peer(peer)
        del self.owed[peer], self.holdings[peer], self.wished[peer]

    @precondition(lambda self: self.owed)
    @rule(data=st.data(), page=st.sampled_from(PAGES), bits=st.integers(1, 0xFFF0))
    def peer_announces(self, data, page, bits):
        peer = data.draw(st.sampled_from(sorted(self.owed)))
        grown = self.holdings[peer].hear(Have(partial=[(page, bits.to_bytes(2, "big"))]))
        for dealer, ids in self.picker.holdings_grew(peer, grown).items():
            self.wished[dealer].difference_update(ids)

    @precondition(lambda self: self.owed)
    @rule(data=st.data(), complete=st.booleans())
    def peer_completes_or_withdraws(self, data, complete):
        peer = data.draw(st.sampled_from(sorted(self.owed)))
        self.holdings[peer].hear(Have(complete=[ROOT]) if complete else Have(gone=[ROOT, *PAGES]))
        self.wished[peer].difference_update(self.picker.holdings_shrank(peer))

    @precondition(lambda self: self.owed)
    @rule(data=st.data(), limit=st.sampled_from([1, 5, 5000]))
    def peer_is_wished_at(self, data, limit):
        peer = data.draw(st.sampled_from(sorted(self.owed)))
        ids = self.picker.wishes.wish(peer, limit, self.now)
        assert not ids or (peer % 3 and ROOT in self.holdings[peer].complete)
        for id_ in ids:
            assert not any(id_ in wished for wished in self.wished.values()), "wished for at two peers"
            assert not any(id_ in owed for owed in self.owed.values())
            for other in self.holdings.values():
                assert ROOT in other.complete or not other.holds(BlockId(id_[:1] * 32), id_[1])
        self.wished[peer].update(ids)

    @precondition(lambda self: self.owed)
    @rule(data=st.data())
    def idle_dealer_takes_over(self, data):
        peer = data.draw(st.sampled_from(sorted(self.owed)))
        ids, cancels = self.picker.wishes.take_over(peer, self.now)
        for other, cancelled in cancels.items():
            assert set(cancelled) <= self.wished[other]
            self.wished[other].difference_update(cancelled)
        self.wished[peer].update(ids)

    @precondition(lambda self: any(self.wished.values()))
    @rule(data=st.data())
    def peer_deals(self, data):
        peer = data.draw(st.sampled_from([peer for peer, ids in self.wished.items() if ids]))
        id_ = data.draw(st.sampled_from(sorted(self.wished[peer])))
        self.wished[peer].remove(id_)
        assert self.picker.received(peer, id_) == []
        assert self.picker.written(id_)
        self.written.add(id_)

    @precondition(lambda self: any(self.wished.values()))
    @rule(data=st.data())
    def dealer_lacks_it(self, data):
        peer = data.draw(st.sampled_from([peer for peer, ids in self.wished.items() if ids]))
        id_ = data.draw(st.sampled_from(sorted(self.wished[peer])))
        self.wished[peer].remove(id_)
        self.picker.missing(peer, id_, self.now)

    @precondition(lambda self: self.owed)
    @rule(data=st.data(), limit=st.sampled_from([50, 500, 5000]))
    def peer_is_asked(self, data, limit):
        peer = data.draw(st.sampled_from(sorted(self.owed)))
        before = Counter(id_ for ids in self.owed.values() for id_ in ids)
        ids = self.picker.take(peer, limit, self.now)
        assert not any(before[id_] for id_ in ids), "asked of two peers before the endgame"
        assert len(set(ids)) == len(ids)
        assert not set(ids) & (self.written | self.received)
        for id_ in ids:
            assert ROOT in self.holdings[peer].complete or self.holdings[peer].holds_all(
                BlockId(id_[:1] * 32), [id_[1]]
            )
        self.owed[peer] += ids

    @precondition(lambda self: self.owed)
    @rule(data=st.data())
    def idle_peer_helps_in_the_endgame(self, data):
        peer = data.draw(st.sampled_from(sorted(self.owed)))
        self.job.exhausted = True
        if self.owed[peer]:
            return
        ids = self.picker.duplicate(peer, self.now)
        owed = Counter(id_ for ids in self.owed.values() for id_ in ids)
        assert all(owed[id_] == 1 for id_ in ids)
        self.owed[peer] += ids

    @precondition(lambda self: any(self.owed.values()))
    @rule(data=st.data(), right=st.booleans())
    def peer_delivers(self, data, right):
        peer = data.draw(st.sampled_from([peer for peer, ids in self.owed.items() if ids]))
        id_ = data.draw(st.sampled_from(self.owed[peer]))
        others = self.picker.received(peer, id_)
        assert others is not None
        for other in [peer, *others]:
            self.owed[other].remove(id_)
        self.received.add(id_)
        if right:
            self.received.discard(id_)
            written = self.picker.written(id_)
            assert written is not None
            assert (written.page, written.position) == (id_[:1] * 32, id_[1])
            self.written.add(id_)
        else:
            self.picker.refetch(id_)
            self.received.discard(id_)

    @precondition(lambda self: self.owed)
    @rule(data=st.data(), id_=st.builds(block, st.integers(0, 2), st.integers(0, PER_PAGE - 1)))
    def a_stray_block_arrives(self, data, id_):
        peer = data.draw(st.sampled_from(sorted(self.owed)))
        others = self.picker.received(peer, id_)
        assert (others is None) == (id_ in self.written)
        if others is not None:
            for ids in [*self.owed.values(), *self.wished.values()]:
                if id_ in ids:
                    ids.remove(id_)
            self.picker.refetch(id_)

    @precondition(lambda self: any(self.owed.values()))
    @rule(data=st.data())
    def peer_lacks_it(self, data):
        peer = data.draw(st.sampled_from([peer for peer, ids in self.owed.items() if ids]))
        id_ = data.draw(st.sampled_from(self.owed[peer]))
        shared = sum(id_ in ids for ids in self.owed.values()) > 1
        task_mates = [i for i in self.owed[peer] if sum(i in ids for ids in self.owed.values()) > 1]
        before = self.picker.in_flight(peer)[1]
        self.picker.missing(peer, id_, self.now)
        if shared:  # the whole task is left to the other peer
            gone = before - self.picker.in_flight(peer)[1]
            assert 1 <= gone <= len(task_mates)
            self.picker.release(peer)
            self.owed[peer], self.wished[peer] = [], set()
        else:
            self.owed[peer].remove(id_)

    @precondition(lambda self: self.owed)
    @rule(data=st.data())
    def peer_is_snubbed(self, data):
        peer = data.draw(st.sampled_from(sorted(self.owed)))
        cancelled = self.picker.release(peer)
        assert sorted(cancelled) == sorted([*self.owed[peer], *self.wished[peer]])
        self.owed[peer], self.wished[peer] = [], set()

    @rule(seconds=st.sampled_from([0.1, 5.0, 30.0]))
    def time_passes(self, seconds):
        self.now += seconds
        for peer in self.owed:
            self.picker.measured(peer, self.next_peer * 100.0 / peer, snubbed=False)

    @invariant()
    def accounts_are_right(self):
        if not hasattr(self, "job"):
            return
        for peer, ids in self.owed.items():
            assert self.picker.in_flight(peer) == (sum((id_[1] % 4 + 1) * 100 for id_ in ids), len(ids))
        assert self.job.pending == len(self.wanted) - len(self.written)
        owed = {id_ for ids in self.owed.values() for id_ in ids}
        assert self.job.unassigned == len(self.wanted - self.written - owed)
        for peer, wished in self.wished.items():
            assert self.picker.wishes.has(peer) == bool(wished)

    def teardown(self):
        if not hasattr(self, "job"):
            return
        for peer in list(self.owed):
            self.picker.drop_peer(peer)
        seed = Holdings()
        seed.hear(Have(complete=[ROOT]))
        self.picker.add_peer(0, seed)
        while ids := self.picker.take(0, 1000, self.now):
            for id_ in ids:
                assert self.picker.received(0, id_) == []
                assert self.picker.written(id_)
        self.job.exhausted = True
        assert self.job.is_done, "an honest seed can always finish the job"


TestPicker = PickerMachine.TestCase
TestPicker.settings = settings(max_examples=150, stateful_step_count=40)
