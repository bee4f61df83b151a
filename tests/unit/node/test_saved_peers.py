from dataclasses import replace

import trio

from p2psync.ids import PeerAddress
from p2psync.node.saved_peers import MOST_SAVED, keep_saved, with_linked
from p2psync.store.database import Database
from p2psync.swarm.peers import PATIENT_TRIES
from tests.sim.hosts import SimPeer, make_folder, running
from tests.sim.net import Net
from tests.unit.node.test_peer_table import QUIET


def link(number, *, dialled=True):
    return replace(QUIET, address=PeerAddress(f"10.0.0.{number}", 1), dialled=dialled)


def saved(*links, before=()):
    return [address.host.rpartition(".")[2] for address in with_linked(dict(before), links)]


def test_the_latest_stand_last():
    first = with_linked({}, [link(1), link(2), link(3)])
    assert saved(link(1), before=first) == ["2", "3", "1"]


def test_so_many_are_kept_and_no_more():
    assert saved(*map(link, range(100))) == [str(number) for number in range(100 - MOST_SAVED, 100)]


def test_what_peers_say_of_themselves_displaces_nobody_we_reached():
    reached = with_linked({}, [link(number) for number in range(10)])
    after = with_linked(reached, [link(number, dialled=False) for number in range(100, 200)])
    assert reached.items() <= after.items()
    assert len(after) == MOST_SAVED


def test_who_was_reached_once_counts_as_reached_however_it_is_linked_now():
    reached = with_linked({}, [link(1)])
    assert list(with_linked(reached, [link(1, dialled=False)]).values()) == [True]


def test_a_peer_without_an_address_is_not_saved():
    assert saved(replace(QUIET, address=None)) == []


def test_an_address_that_means_something_on_one_interface_only_is_not_saved():
    assert saved(replace(QUIET, address=PeerAddress("fe80::1%eth0", 1))) == []


async def test_those_saved_are_looked_for_as_if_just_met(autojump_clock, tmp_path):
    database = Database(tmp_path / "index.sqlite")
    database.set_note("peers", b"dialled 10.0.0.1:1")
    peer = SimPeer(Net(), "10.0.0.2", make_folder([1000]))
    async with running(peer) as nursery:
        nursery.start_soon(keep_saved, database, peer.swarm)
        await trio.sleep(8 * 60)
        (gone,) = peer.swarm.statistics().addresses
        assert gone.failures >= PATIENT_TRIES
    database.close()
