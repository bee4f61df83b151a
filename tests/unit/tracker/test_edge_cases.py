"""Every edge case that users of other trackers reported, through the protocol in which it was met.

The number after each name is the report: a repository's short name and its issue.
"""

import random

import pytest

from p2psync.bencoding import decode
from p2psync.wire import tracker_udp as udp
from p2psync.wire.announce import Announce
from tracker.connection_id import ConnectionIds
from tracker.http_app import HttpApp
from tracker.http_parser import RequestReader
from tracker.memory_swarms import MemorySwarms
from tracker.service import Policy, TrackerService
from tracker.telemetry import Telemetry
from tracker.udp_app import UdpApp

HASH = b"a" * 20
IDS = ConnectionIds(b"k" * 32)
LAN = b"\x0a\0\0\1"
IP, IP6 = b"\x09\x08\x07\x06", bytes.fromhex("20010db8") + bytes(11) + b"\1"


class Tracker:
    def __init__(self, **policy):
        self.store = MemorySwarms(random.Random(0))
        telemetry = Telemetry(self.store)
        service = TrackerService(self.store, Policy(jitter=0.0, **policy), random.Random(0))
        self.http, self.udp, self.now = HttpApp(service, telemetry), UdpApp(service, telemetry, IDS), 0.0

    async def get(self, path, ip=IP):
        (request,) = RequestReader().feed(b"GET %b HTTP/1.1\r\n\r\n" % path)
        (response,) = await self.http.respond([(request, ip)], self.now)
        return decode(response.partition(b"\r\n\r\n")[2])

    async def announce(self, number=1, ip=IP, more=b"", *, port=None, peer_id=None):
        peer_id = peer_id or b"%020d" % number
        query = b"info_hash=%b&peer_id=%b&port=%d%b" % (HASH, peer_id, port or 6000 + number, more)
        return await self.get(b"/announce?" + query, ip)

    async def packet(self, number=1, ip=IP, **fields):
        announce = Announce(HASH, b"%020d" % number, 6000 + number, left=1)._replace(**fields)
        (answer,) = await self.udp.respond(
            [(udp.encode_announce(IDS.issue(ip, 0), b"tx-1", announce), ip)], self.now, 0
        )
        return udp.parse_announce_answer(answer, b"tx-1", entry_bytes=len(ip) + 2)

    async def counts(self):
        return (await self.get(b"/scrape?info_hash=" + HASH))[b"files"][HASH]


async def test_peers_is_there_even_when_empty_aquatic_82():
    assert (await Tracker().announce())[b"peers"] == b""
    assert (await Tracker().announce(ip=IP6))[b"peers"] == b""
    assert (await Tracker().announce(more=b"&event=stopped"))[b"peers"] == b""


async def test_a_list_is_of_the_family_that_asked_and_of_whole_entries_chihaya_347():
    tracker = Tracker()
    for number in range(5):
        await tracker.announce(number, IP)
        await tracker.announce(number, IP6)
    four, six = await tracker.announce(9, IP), await tracker.announce(9, IP6)
    assert (len(four[b"peers"]), b"peers6" in four) == (30, False)
    assert (len(six[b"peers"]), len(six[b"peers6"])) == (0, 90)


async def test_missing_optional_parameters_have_defaults_trackerslist_166():
    assert b"interval" in await Tracker().announce()


async def test_paused_is_an_event_bittorrent_tracker_411():
    tracker = Tracker()
    assert b"failure reason" not in await tracker.announce(more=b"&left=5&event=paused")
    assert (await tracker.counts())[b"downloaders"] == 0
    assert (await tracker.packet(2, event=4)).incomplete == 2


async def test_compact_peer_id_and_counts_are_all_there_qbittorrent_9958():
    tracker = Tracker()
    await tracker.announce(1, more=b"&left=0")
    listed = await tracker.announce(2, more=b"&left=1&compact=0")
    assert listed[b"peers"] == [{b"ip": b"9.8.7.6", b"peer id": b"%020d" % 1, b"port": 6001}]
    assert (listed[b"complete"], listed[b"incomplete"]) == (1, 1)
    assert (await tracker.announce(2, more=b"&left=1&compact=1"))[b"peers"] == IP + (6001).to_bytes(2, "big")


@pytest.mark.parametrize("numwant", [b"-1", b"18446744073709551615", b"4294967295", b"100000"])
async def test_no_numwant_makes_a_huge_answer_torrust_569(numwant):
    tracker = Tracker(max_numwant=60, numwant=50)
    for number in range(150):
        await tracker.announce(number, LAN)
    wanted = 50 if numwant == b"-1" else 60
    assert len((await tracker.announce(999, LAN, b"&numwant=" + numwant))[b"peers"]) == 6 * wanted
    for signed in (-1, -(2**31)):
        assert len((await tracker.packet(999, LAN, numwant=signed)).peers) == 50


async def test_port_0_is_refused_and_never_told_qbittorrent_5221():
    tracker = Tracker()
    query = b"/announce?info_hash=%b&peer_id=%b&port=0" % (HASH, b"p" * 20)
    assert b"port" in (await tracker.get(query))[b"failure reason"]
    with pytest.raises(Exception, match="port"):
        await tracker.packet(1, port=0)
    assert (await tracker.announce(1))[b"peers"] == b""


async def test_port_1_of_clients_behind_a_proxy_is_accepted_libtorrent_7708():
    tracker = Tracker()
    assert b"failure reason" not in await tracker.announce(1, port=1)
    assert (await tracker.announce(1, port=1))[b"peers"] == b""  # and not echoed


async def test_a_client_of_two_families_or_interfaces_counts_once_unit3d_2462():
    tracker = Tracker()
    for ip in (IP, IP6, b"\x09\x08\x07\x05"):
        await tracker.announce(1, ip, more=b"&left=0&key=F259856B")
    assert (await tracker.counts())[b"complete"] == 1
    await tracker.announce(1, IP, more=b"&left=0&key=00000001")  # the same id with another key is another client
    assert (await tracker.counts())[b"complete"] == 2


async def test_started_twice_as_a_seed_and_then_completed_counts_no_download_qbittorrent_20570():
    tracker = Tracker()
    for event in (b"started", b"started", b"completed", b"completed"):
        await tracker.announce(1, more=b"&left=0&event=" + event)
    assert (await tracker.counts())[b"downloaded"] == 0


async def test_a_download_counts_once_however_often_completed_is_said():
    tracker = Tracker()
    for event, left in ((b"started", 5), (b"completed", 0), (b"completed", 0), (b"started", 0), (b"completed", 0)):
        await tracker.announce(1, more=b"&left=%d&event=%b" % (left, event))
    assert (await tracker.counts())[b"downloaded"] == 1


async def test_whoever_seeds_at_an_address_has_not_completed_anew_under_another_name():
    tracker = Tracker()
    for number in range(1, 5):
        await tracker.announce(number, port=6881, more=b"&left=0&event=completed")
    assert (await tracker.counts())[b"downloaded"] == 1


async def test_after_a_restart_of_the_tracker_clients_just_go_on_chihaya_69():
    tracker = Tracker()
    for event in (b"", b"completed", b"stopped", b"paused"):
        assert b"failure reason" not in await tracker.announce(1, more=b"&left=1&event=" + event)
    assert (await tracker.packet(2, event=3)).peers == ()


async def test_announcing_while_the_swarm_is_forgotten_loses_nobody_chihaya_126():
    tracker = Tracker(interval_s=10, min_interval_s=1)
    forgotten = 0
    for step in range(2000):
        tracker.now = step / 2
        if step % 121 < 40:  # then silent long enough to be forgotten, and back at any moment of the housekeeping
            await tracker.announce(1)
            assert (await tracker.counts())[b"incomplete"] == 1
        await tracker.store.tend(tracker.now)
        known = (await tracker.counts())[b"incomplete"]
        assert known == 1 or step % 121 > 80
        forgotten += not known
    assert forgotten


async def test_two_that_came_at_the_same_moment_meet_soon_chihaya_457():
    tracker = Tracker(interval_s=1800, small_swarm_interval_s=30)
    first = await tracker.announce(1)
    assert (first[b"peers"], first[b"interval"]) == (b"", 30)
    await tracker.announce(2)
    assert len((await tracker.announce(1))[b"peers"]) == 6


async def test_the_address_is_that_of_the_connection_and_no_other_chihaya_347():
    tracker = Tracker()
    await tracker.announce(1, more=b"&ip=1.2.3.4&ipv4=1.2.3.4&ipv6=%3A%3A1")
    assert (await tracker.announce(2))[b"peers"] == IP + (6001).to_bytes(2, "big")


async def test_a_peer_behind_the_same_gateway_is_another_peer():
    tracker = Tracker()
    await tracker.announce(1)
    await tracker.announce(2)
    assert (await tracker.announce(3))[b"incomplete"] == 3


async def test_a_client_that_starts_anew_at_its_address_is_still_one_peer():
    tracker = Tracker()
    await tracker.announce(1, port=6881)
    await tracker.announce(2, port=6881)
    assert (await tracker.counts())[b"incomplete"] == 1


async def test_a_hybrid_torrent_is_two_swarms_which_never_mix_torrust_154():
    tracker = Tracker()
    await tracker.announce(1)
    v2 = b"/announce?info_hash=%b&peer_id=%b&port=6001" % (b"v" * 20, b"%020d" % 1)
    assert (await tracker.get(v2))[b"peers"] == b""
    assert (await tracker.counts())[b"incomplete"] == 1


async def test_a_stop_of_somebody_unknown_makes_no_swarm():
    tracker = Tracker()
    answer = await tracker.announce(1, more=b"&event=stopped&numwant=0")
    assert (answer[b"peers"], tracker.store.totals().swarms) == (b"", 0)
