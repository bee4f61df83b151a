from dataclasses import replace

import pytest

from p2psync.ids import DeviceId, PeerAddress
from p2psync.manifest.head import Standing
from p2psync.node.peer_table import explain_standstill, peer_rows
from p2psync.swarm.statistics import LinkStatistics, SwarmStatistics
from p2psync.sync.events import Activity

QUIET = LinkStatistics(
    device=DeviceId(b"\xab" * 32),
    address=PeerAddress("10.0.0.2", 4001),
    dialled=True,
    agent="p2psync/1",
    standing=Standing.SAME,
    complete=False,
    pages=3.5,
    received_bytes=10,
    sent_bytes=20,
    uploaded_bytes=5,
    down_bytes_per_s=0.0,
    up_bytes_per_s=0.0,
    up_limit=None,
    down_limit=None,
    up_exempt=False,
    down_exempt=False,
    in_flight_bytes=0,
    wished_blocks=0,
    wished_bytes=0,
    chokes_us=False,
    wanted_blocks=0,
    is_paused=False,
    is_choked=False,
    snubbed=False,
)


def swarm(*links, **numbers):
    counts = dict.fromkeys(["wasted_bytes", "uploaded_bytes", "wrong_blocks", "unassigned_tasks", "unwritten_bytes"], 0)
    counts |= {"disk_is_behind": False} | numbers
    return SwarmStatistics(linked=len(links), known=0, links=links, addresses=(), bans={}, **counts)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "idle"),
        ({"standing": None}, "has offered nothing yet"),
        ({"standing": None, "complete": True}, "idle"),
        ({"standing": Standing.OLDER}, "has an older version"),
        ({"in_flight_bytes": 1}, "sends to us"),
        ({"in_flight_bytes": 1, "is_paused": True, "down_limit": 1e6}, "held back by our limit"),
        ({"wished_blocks": 1, "wished_bytes": 1}, "sends what it has sent to nobody"),
        ({"wished_bytes": 1, "is_paused": True, "down_limit": 1e6}, "held back by our limit"),
        ({"wished_bytes": 1, "wanted_blocks": 1}, "trades with us"),
        ({"chokes_us": True}, "chokes us: others come first there"),
        ({"chokes_us": True, "wanted_blocks": 1}, "is sent to, and chokes us"),
        ({"wanted_blocks": 1}, "is sent to"),
        ({"wanted_blocks": 1, "in_flight_bytes": 1}, "trades with us"),
        ({"is_choked": True}, "is choked: others come first"),
        ({"snubbed": True, "in_flight_bytes": 1}, "owes blocks and sends none"),
    ],
)
def test_the_state_says_what_goes_on(changes, state):
    (row,) = peer_rows(swarm(replace(QUIET, **changes)), pages=7)
    assert row.state == state


@pytest.mark.parametrize(
    ("changes", "pages", "held"),
    [({}, 7, 0.5), ({"complete": True}, 0, 1.0), ({}, 0, None), ({"pages": 7.0}, 7, 0.999), ({"pages": 0}, 7, 0.0)],
)
def test_what_a_peer_holds_is_its_share_of_the_pages(changes, pages, held):
    (row,) = peer_rows(swarm(replace(QUIET, **changes)), pages)
    assert row.held == held


def test_who_moves_most_comes_first():
    rates = [(0.0, 5.0), (9.0, 0.0), (4.0, 3.0)]
    links = [replace(QUIET, down_bytes_per_s=down, up_bytes_per_s=up) for down, up in rates]
    assert [row.down_bytes_per_s for row in peer_rows(swarm(*links), 1)] == [9, 4, 0]


OWING = replace(QUIET, in_flight_bytes=2_000_000)
DEALING = replace(QUIET, complete=True, wished_blocks=3, wished_bytes=3_000_000)
CHOKING = replace(QUIET, chokes_us=True)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (swarm(QUIET, unassigned_tasks=3), "missing: the one linked peer does not"),
        (swarm(OWING), "waiting for 10.0.0.2:4001"),
        (swarm(QUIET, DEALING, unassigned_tasks=3), "waiting for 10.0.0.2:4001: 3.0 MB are asked for"),
        (swarm(OWING, DEALING), "waiting for 2 peers: 5.0 MB"),
        (swarm(QUIET, CHOKING, unassigned_tasks=3), "waiting for 10.0.0.2:4001: others are served first there"),
        (swarm(QUIET, replace(CHOKING, pages=0.0), unassigned_tasks=3), "none of the 2 linked peers"),
        (swarm(OWING, replace(OWING, address=None)), "waiting for 2 peers"),
        (swarm(OWING, disk_is_behind=True), "the disk here"),
    ],
)
def test_a_standstill_is_explained(numbers, words):
    assert words in explain_standstill(Activity.FETCHING, numbers, lambda: [])


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ([b"d/f"], "what is missing of 'd/f': the one linked peer does not"),
        ([b"h", b"g\xff", b"k"], "missing of 'g\\\\xff' and 2 more files: the"),
    ],
)
def test_what_nobody_has_is_named(paths, words):
    assert words in explain_standstill(Activity.FETCHING, swarm(QUIET, unassigned_tasks=3), lambda: paths)


def test_files_of_the_head_before_are_not_named_where_a_page_is_missing():
    assert "missing: the" in explain_standstill(Activity.MANIFEST, swarm(QUIET, unassigned_tasks=1), lambda: [b"file"])


@pytest.mark.parametrize(
    ("activity", "numbers"),
    [
        (Activity.FETCHING, swarm(replace(OWING, down_bytes_per_s=5000.0))),
        (Activity.FETCHING, swarm(replace(OWING, is_paused=True, down_limit=20e3))),
        (Activity.FETCHING, swarm(unassigned_tasks=3)),
        (Activity.SERVING, swarm(OWING)),
        (Activity.APPLYING, swarm(QUIET, disk_is_behind=True)),
    ],
)
def test_what_moves_or_waits_for_nobody_is_no_standstill(activity, numbers):
    assert explain_standstill(activity, numbers, lambda: [b"file"]) == ""
