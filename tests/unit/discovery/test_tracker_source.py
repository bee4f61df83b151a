"""The announce loop against trackers of our own, in one process, and against broken ones."""

import random
import socket
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio

from p2psync.bencoding import encode
from p2psync.discovery.tracker import Progress, TrackerSource
from p2psync.ids import InfoHash, PeerAddress, PeerId
from p2psync.wire.announce import Event
from p2psync.wire.tracker_http import parse_announce_query
from tracker.embed import run_tracker

HASH = InfoHash(b"h" * 20)


class Swarm:
    """Sources that share a nursery, and what they found and reported."""

    def __init__(self, nursery):
        self._nursery = nursery
        self.found = {}
        self.reports = []
        self.changed = trio.Event()

    def join(self, port, *tiers, left=1, families=(socket.AF_INET,), is_linked=lambda: True):
        source = TrackerSource(
            tiers,
            info_hash=HASH,
            peer_id=PeerId(b"%020d" % port),
            port=port,
            progress=lambda: Progress(0, 0, left),
            rng=random.Random(port),
            report=self._report,
            is_linked=is_linked,
            families=families,
        )
        self.found[port] = set()
        scope = trio.CancelScope()
        self._nursery.start_soon(self._run, source, scope, port)
        return source, scope

    async def until(self, condition):
        while not condition():
            await self.changed.wait()

    async def _run(self, source, scope, port):
        with scope:
            await source.run(lambda peers: self._found(port, peers))
        self._notify()

    def _found(self, port, peers):
        self.found[port] |= set(peers)
        self._notify()

    def _report(self, url, outcome):
        self.reports.append((url, outcome))
        self._notify()

    def _notify(self):
        self.changed.set()
        self.changed = trio.Event()


@asynccontextmanager
async def swarm():
    """Let sources run, with a clock by which seconds pass in twentieths, while sockets stay real.

    On a busy machine they take what is many seconds by that clock: limits are as far from what is right as from what
    is wrong.
    """
    trio.lowlevel.current_clock().rate = 20
    async with trio.open_nursery() as nursery:
        with trio.fail_after(1200):
            yield Swarm(nursery)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def our_tracker(host="127.0.0.1"):
    listeners = await trio.open_tcp_listeners(0, host=host)
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(run_tracker, listeners)
        yield f"http://{'[::1]' if host == '::1' else host}:{port}/announce"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def stub_tracker(answer, note_query=lambda query: None):
    """Serve `answer(announce)`, a dictionary or raw bytes; yield (URL, all announces so far)."""
    announces = []
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def serve(stream):
        request = b""
        while b"\r\n\r\n" not in request:
            request += await stream.receive_some()
        query = request.split()[1].partition(b"?")[2]
        note_query(query)
        announces.append((trio.current_time(), parse_announce_query(query)))
        reply = answer(announces[-1][1])
        if reply is None:
            await trio.sleep_forever()
        body = reply if isinstance(reply, bytes) else encode(reply)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/announce", announces
        nursery.cancel_scope.cancel()


def address(port):
    return PeerAddress("127.0.0.1", port)


def events(announces):
    return [announce.event.name.lower() for _, announce in announces]


async def test_peers_at_one_address_find_each_other_by_their_ports(mock_clock):
    async with our_tracker() as url, swarm() as peers:
        for port in (5001, 5002, 5003):
            peers.join(port, [url])
        await peers.until(lambda: all(len(found) == 2 for found in peers.found.values()))
        assert peers.found[5001] == {address(5002), address(5003)}


async def test_who_came_first_and_alone_learns_soon_of_the_second(mock_clock):
    async with our_tracker() as url, swarm() as peers:
        peers.join(5001, [url])
        await peers.until(lambda: peers.reports)
        await trio.sleep(5)
        began = trio.current_time()
        peers.join(5002, [url])
        await peers.until(lambda: address(5002) in peers.found[5001])
        assert trio.current_time() - began < 50


async def test_the_tracker_hears_started_then_nothing_then_completed_then_stopped(mock_clock):
    intervals = {Event.STARTED: 10, Event.NONE: 500, Event.COMPLETED: 500, Event.STOPPED: 500}
    async with (
        stub_tracker(lambda announce: {"interval": intervals[announce.event], "peers": b"\x7f\0\0\1\0\1"}) as (
            url,
            heard,
        ),
        swarm() as peers,
    ):
        source, scope = peers.join(5001, [url])
        await peers.until(lambda: len(peers.reports) == 2)
        source.completed()
        await peers.until(lambda: len(peers.reports) == 3)
        scope.cancel()
        await peers.changed.wait()
        assert events(heard) == ["started", "none", "completed", "stopped"]
        assert 9 < heard[1][0] - heard[0][0] < 60
        assert heard[2][0] - heard[1][0] < 60  # at once, not after the interval
        assert heard[3][1].numwant == 0


async def test_a_download_that_completes_during_an_announce_is_told_too(mock_clock):
    def reply(announce):
        if announce.event == Event.STARTED:
            source.completed()
        return {"interval": 500, "peers": b"\x7f\0\0\1\0\1"}

    async with stub_tracker(reply) as (url, heard), swarm() as peers:
        source, _ = peers.join(5001, [url])
        await peers.until(lambda: len(peers.reports) == 2)
        assert events(heard) == ["started", "completed"]
        assert heard[1][0] - heard[0][0] < 400


async def test_the_interval_of_the_tracker_is_kept(mock_clock):
    reply = {"interval": 40, "min interval": 10, "peers": b"\x7f\0\0\1\0\1"}
    async with stub_tracker(lambda announce: reply) as (url, heard), swarm() as peers:
        peers.join(5001, [url])
        await peers.until(lambda: len(peers.reports) == 2)
        assert 39 < heard[1][0] - heard[0][0] < 200


async def test_alone_it_asks_sooner_but_never_below_the_minimum_and_ever_less_often(mock_clock):
    async with (
        stub_tracker(lambda announce: {"interval": 60, "min interval": 4, "peers": b""}) as (url, heard),
        swarm() as peers,
    ):
        peers.join(5001, [url])
        await peers.until(lambda: len(peers.reports) == 7)
        gaps = [later - earlier for (earlier, _), (later, _) in pairwise(heard)]
        assert all(gap > 3.9 for gap in gaps)
        assert gaps[0] < 30
        assert gaps[-1] > 2 * gaps[0]


async def test_whoever_was_told_of_peers_and_has_no_link_asks_again_soon_and_ever_less_often(mock_clock):
    async with (
        stub_tracker(lambda announce: {"interval": 420, "peers": b"\x7f\0\0\1\0\1"}) as (url, heard),
        swarm() as peers,
    ):
        peers.join(5001, [url], is_linked=lambda: False)
        await peers.until(lambda: len(peers.reports) == 9)
        gaps = [later - earlier for (earlier, _), (later, _) in pairwise(heard)]
        assert 14.9 < gaps[0] < 60  # there was time to dial them
        assert gaps[-1] > 2 * gaps[0]
        assert max(gaps) < 200


async def test_whoever_loses_its_last_link_asks_at_once_where_the_others_are_now(mock_clock):
    links = [1]
    reply = {"interval": 2000, "min interval": 60, "peers": b"\x7f\0\0\1\0\1"}
    async with stub_tracker(lambda announce: reply) as (url, heard), swarm() as peers:
        peers.join(5001, [url], is_linked=lambda: bool(links))
        await peers.until(lambda: len(peers.reports) == 1)
        await trio.sleep(100)
        assert len(heard) == 1
        links.clear()
        await peers.until(lambda: len(peers.reports) == 2)
        assert heard[1][0] - heard[0][0] < 200
        links.append(2)
        await trio.sleep(100)
        assert len(heard) == 2


async def test_its_own_address_in_the_list_is_no_company(mock_clock):
    own = b"\x7f\0\0\1" + (5001).to_bytes(2, "big")
    async with stub_tracker(lambda announce: {"interval": 1000, "peers": own}) as (url, heard), swarm() as peers:
        peers.join(5001, [url])
        await peers.until(lambda: len(peers.reports) == 2)
        assert heard[1][0] - heard[0][0] < 500


async def test_the_next_tier_is_asked_only_if_the_first_fails(mock_clock):
    async with our_tracker() as first, stub_tracker(lambda announce: {"interval": 5, "peers": b""}) as (second, heard):
        async with swarm() as peers:
            peers.join(5001, [first], [second])
            await peers.until(lambda: len(peers.reports) == 3)
            assert not heard
        async with swarm() as peers:
            peers.join(5001, ["http://127.0.0.1:1/announce"], [second])
            await peers.until(lambda: heard)
            assert "does not answer" in peers.reports[0][1]


async def test_whoever_answered_is_asked_first_from_then_on(mock_clock):
    dead = [f"http://127.0.0.1:{port}/announce" for port in (1, 2, 3)]
    async with stub_tracker(lambda announce: {"interval": 5, "peers": b""}) as (alive, heard), swarm() as peers:
        peers.join(5001, [*dead, alive])
        await peers.until(lambda: len(heard) == 4)
        asked = [url for url, _ in peers.reports]
        assert len(asked) > asked.index(alive) + 1
        assert set(asked[asked.index(alive) :]) == {alive}


async def test_what_a_tracker_gave_us_to_say_is_said_to_it_and_kept_if_it_gives_nothing_new(mock_clock):
    replies, queries = [{"tracker id": b"mine&"}, {}, {"tracker id": b"new"}, {}], []
    rest = iter(replies)
    async with (
        stub_tracker(lambda announce: {"interval": 5, "peers": b"", **next(rest, {})}, queries.append) as (url, heard),
        swarm() as peers,
    ):
        peers.join(5001, [url])
        await peers.until(lambda: len(heard) == 4)
        said = [query.partition(b"trackerid=")[2] for query in queries[:4]]
        assert said == [b"", b"mine%26", b"mine%26", b"new"]


async def test_a_tracker_that_does_not_answer_is_told_to_the_user_and_given_up_after_ten_seconds(mock_clock):
    async with stub_tracker(lambda announce: None) as (silent, _), our_tracker() as url, swarm() as peers:
        began = trio.current_time()
        peers.join(5001, [silent], [url])
        await peers.until(lambda: len(peers.reports) == 2)
        assert peers.reports[0] == (silent, "it did not answer within 10 seconds")
        assert peers.reports[1] == (url, "names 0 peers")
        assert 9 < trio.current_time() - began < 60


async def test_a_dead_tracker_is_asked_ever_less_often_and_the_loop_outlives_it(mock_clock):
    async with swarm() as peers:
        times = []
        peers.join(5001, ["http://127.0.0.1:1/announce"])
        for number in range(1, 7):
            await peers.until(lambda number=number: len(peers.reports) >= number)
            times.append(trio.current_time())
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps[0] > 2
        assert gaps[-1] > 2 * gaps[0]


@pytest.mark.parametrize(
    "reply", [b"", b"nonsense", {"interval": -5, "peers": b""}, {"peers": b"x"}, {"interval": 1, "peers": [1]}]
)
async def test_a_tracker_that_talks_nonsense_is_reported_and_asked_again(reply, mock_clock):
    async with stub_tracker(lambda announce: reply) as (url, heard), swarm() as peers:
        peers.join(5001, [url])
        await peers.until(lambda: len(peers.reports) == 2)
        assert events(heard) == ["started", "started"]
        assert peers.found[5001] == set()


async def test_a_refusal_is_told_and_its_patience_kept(mock_clock):
    async with (
        stub_tracker(lambda announce: {"failure reason": "too many", "retry in": 1}) as (url, heard),
        swarm() as peers,
    ):
        peers.join(5001, [url])
        await peers.until(lambda: len(peers.reports) == 2)
        assert peers.reports[0] == (url, "refuses: too many")
        assert heard[1][0] - heard[0][0] >= 60


async def test_a_refusal_for_ever_is_for_ever(mock_clock):
    async with (
        stub_tracker(lambda announce: {"failure reason": "no", "retry in": "never"}) as (url, heard),
        swarm() as peers,
    ):
        peers.join(5001, [url])
        await peers.until(lambda: peers.reports)
        await trio.sleep(40)
        assert len(heard) == 1


async def test_intervals_without_sense_are_bounded(mock_clock):
    async with (
        stub_tracker(lambda announce: {"interval": 0, "peers": b"\x7f\0\0\1\0\1"}) as (url, heard),
        swarm() as peers,
    ):
        peers.join(5001, [url])
        await peers.until(lambda: len(peers.reports) == 4)
        assert all(later - earlier > 0.9 for (earlier, _), (later, _) in pairwise(heard))


async def test_leaving_takes_no_longer_than_a_second_whatever_the_tracker_does(mock_clock):
    def reply(announce):
        return None if announce.event.name == "STOPPED" else {"interval": 60, "peers": b"\x7f\0\0\1\0\1"}

    async with stub_tracker(reply) as (url, heard), swarm() as peers:
        _, scope = peers.join(5001, [url])
        await peers.until(lambda: peers.reports)
        began = trio.current_time()
        scope.cancel()
        await peers.changed.wait()
        assert trio.current_time() - began < 8  # other answers are waited for ten seconds
        assert events(heard) == ["started", "stopped"]


async def test_who_left_is_not_told_to_others(mock_clock):
    async with our_tracker() as url, swarm() as peers:
        _, scope = peers.join(5001, [url])
        await peers.until(lambda: peers.reports)
        scope.cancel()
        await peers.changed.wait()
        peers.join(5002, [url])
        await peers.until(lambda: len(peers.reports) == 2)
        assert peers.reports[1][1] == "names 0 peers"


async def test_ipv6_is_announced_from_an_ipv6_address(mock_clock):
    async with our_tracker("::1") as url, swarm() as peers:
        for port in (5001, 5002):
            peers.join(port, [url], families=(socket.AF_INET, socket.AF_INET6))
        await peers.until(lambda: all(peers.found.values()))
        assert peers.found[5001] == {PeerAddress("::1", 5002)}


async def test_without_trackers_it_waits_to_be_cancelled(mock_clock):
    async with swarm() as peers:
        _, scope = peers.join(5001)
        await trio.sleep(50)
        assert not peers.reports
        scope.cancel()
        await peers.changed.wait()


@pytest.mark.parametrize(
    "url", ["", "nonsense", "wss://x/", "udp://127.0.0.1", "http://127.0.0.1:99999/", "http://a..b/"]
)
async def test_a_url_that_names_no_tracker_is_reported(url, mock_clock):
    async with our_tracker() as good, swarm() as peers:
        peers.join(5001, [url], [good])
        await peers.until(lambda: len(peers.reports) == 2)
        assert peers.reports[0][0] == url
        assert peers.reports[1] == (good, "names 0 peers")
