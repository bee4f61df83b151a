import random
import struct

import pytest

from p2psync.wire import tracker_udp as udp
from p2psync.wire.announce import Announce, Event, SwarmCounts, TrackerRefusalError
from tracker.access import Access, Mode
from tracker.connection_id import ConnectionIds
from tracker.memory_swarms import MemorySwarms
from tracker.service import Policy, TrackerService
from tracker.swarms import StoreUnavailableError
from tracker.telemetry import Telemetry
from tracker.udp_app import UdpApp

HASH, IP, IP6, TX = b"h" * 20, b"\x7f\0\0\1", bytes(15) + b"\1", b"tx-1"
NOW, WALL = 0.0, 1_700_000_000.0
IDS = ConnectionIds(b"k" * 32)


class Away(MemorySwarms):
    async def announce(self, updates, now):
        raise StoreUnavailableError

    async def scrape(self, hashes, now):
        raise StoreUnavailableError


def make(policy=Policy(jitter=0.0), *, store=None, access=None):  # noqa: B008 - a frozen value
    store = store or MemorySwarms(random.Random(0))
    return UdpApp(TrackerService(store, policy, random.Random(0), access), Telemetry(store), IDS)


def announcing(number=1, *, ip=IP, url_data=b"", **fields):
    announce = Announce(HASH, b"%020d" % number, 7000 + number, left=1)._replace(**fields)
    return udp.encode_announce(IDS.issue(ip, WALL), TX, announce, url_data=url_data)


def scraping(*hashes, connection_id=None, ip=IP):
    return (connection_id or IDS.issue(ip, WALL)) + udp.SCRAPE + TX + b"".join(hashes)


def counts_in(answer):
    assert answer[:8] == udp.SCRAPE + TX
    return [SwarmCounts(*numbers) for numbers in struct.iter_unpack(">III", answer[8:])]


async def ask(app, packet, *, ip=IP, wall=WALL):
    (answer,) = await app.respond([(packet, ip)], NOW, wall)
    return answer


async def test_the_exchange_of_the_bep():
    app = make()
    connection_id = udp.parse_connect_answer(await ask(app, udp.encode_connect(TX)), TX)
    packet = udp.encode_announce(connection_id, b"tx-2", Announce(HASH, b"p" * 20, 6881, left=0))
    answer = udp.parse_announce_answer(await ask(app, packet), b"tx-2")
    assert (answer.complete, answer.incomplete, answer.peers) == (1, 0, ())
    assert counts_in(await ask(app, scraping(HASH, connection_id=connection_id))) == [SwarmCounts(complete=1)]


async def test_packets_may_be_longer_than_they_must():
    app = make()
    assert len(await ask(app, udp.encode_connect(TX) + b"more")) == 16
    assert udp.parse_announce_answer(await ask(app, announcing(url_data=b"/announce")), TX)
    assert udp.parse_announce_answer(await ask(app, announcing() + b"\2\xffcut"), TX)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0" * 15,
        b"\0" * 16,
        udp.MAGIC + b"\0\0\0\1" + TX,
        udp.MAGIC[:-1] + b"\x81" + b"\0\0\0\0" + TX,
        IDS.issue(IP, WALL) + b"\0\0\0\3" + TX,
        IDS.issue(IP, WALL) + b"\0\0\0\4" + TX,
        IDS.issue(IP, WALL) + b"\0\0\0\1" + TX,
        IDS.issue(IP, WALL) + b"\0\0\0\2" + TX,
        IDS.issue(IP, WALL) + b"\0\0\0\2" + TX + b"x" * 19,
        announcing()[:97],
        b"d1:ad2:id20:" + b"x" * 100,  # the DHT, on the wrong port
        b"\x41" + b"\0" * 30,  # uTP
    ],
)
async def test_what_is_no_request_is_left_in_silence(packet):
    app = make()
    assert await ask(app, packet) == b""


async def test_without_a_valid_connection_id_there_is_no_answer_at_all():
    app = make()
    assert await ask(app, announcing(), ip=b"\x7f\0\0\2") == b""  # another's
    assert await ask(app, announcing(), wall=WALL + 130) == b""  # too old
    assert await ask(app, scraping(HASH, connection_id=bytes(8))) == b""
    assert await ask(app, announcing(), wall=WALL + 100)


async def test_an_unproven_address_never_gets_more_than_it_sent():
    app, rng = make(), random.Random(1)
    for length in (*range(120), 1000, 2000):
        for start in (
            b"",
            udp.MAGIC,
            udp.MAGIC + bytes(4),
            rng.randbytes(8) + b"\0\0\0\1",
            rng.randbytes(8) + b"\0\0\0\2",
        ):
            packet = (start + rng.randbytes(2000))[: max(length, len(start))]
            assert len(await ask(app, packet)) <= len(packet)


async def test_the_family_of_the_packet_decides_what_is_told():
    app = make()
    await ask(app, announcing(1))
    await ask(app, announcing(2, ip=IP6), ip=IP6)
    four, six = await ask(app, announcing(3)), await ask(app, announcing(4, ip=IP6), ip=IP6)
    assert (len(four), len(six)) == (26, 38)


async def test_an_answer_never_needs_to_be_cut_by_the_network():
    policy = Policy(numwant=1000, max_numwant=1000, rate_per_s=0, jitter=0.0)
    for ip, most in ((IP, 196), (IP6, 65)):
        app = make(policy)
        for number in range(250):
            await ask(app, announcing(number, ip=ip), ip=ip)
        for numwant in (-1, 200, 2**31 - 1):
            answer = await ask(app, announcing(999, ip=ip, numwant=numwant), ip=ip)
            assert len(answer) == 20 + most * (len(ip) + 2)


async def test_the_event_4_of_libtorrent_is_a_partial_seed_and_others_are_none():
    app = make()
    for number, event in enumerate((Event.PAUSED, 5, 77)):
        assert udp.parse_announce_answer(await ask(app, announcing(number, event=event)), TX)


async def test_the_first_packet_may_be_a_stop():
    answer = await ask(make(), announcing(event=Event.STOPPED, numwant=0))
    assert udp.parse_announce_answer(answer, TX).peers == ()


async def test_port_0_and_a_swarm_not_served_are_errors_with_a_text():
    for app, packet in (
        (make(), announcing(port=0)),
        (make(access=Access(Mode.ALLOW)), announcing()),
        (make(store=Away(random.Random(0))), announcing()),
    ):
        answer = await ask(app, packet)
        assert len(answer) < len(packet)
        with pytest.raises(TrackerRefusalError):
            udp.parse_announce_answer(answer, TX)


async def test_whoever_asks_too_often_hears_nothing():
    ip = b"\x08\x08\x08\x08"
    app = make(Policy(rate_per_s=1, burst=2))
    answers = [await ask(app, announcing(ip=ip), ip=ip) for _ in range(4)]
    assert [bool(answer) for answer in answers] == [True, True, False, False]
    assert await ask(app, scraping(HASH, ip=ip), ip=ip) == b""


@pytest.mark.parametrize(
    ("source", "believed", "told"),
    [
        (b"\x0a\0\0\1", True, b"\x08\x08\x08\x08"),
        (b"\x0a\0\0\1", False, b"\x0a\0\0\1"),
        (b"\x09\0\0\1", True, b"\x09\0\0\1"),  # a stranger could announce a victim
    ],
)
async def test_an_address_in_the_packet_is_believed_as_one_in_a_query_would_be(source, believed, told):
    app = make(Policy(claimed_ip=believed))
    await ask(app, announcing(1, ip=source, claimed_ip=b"\x08\x08\x08\x08"), ip=source)
    assert (await ask(app, announcing(2)))[20:] == told + (7001).to_bytes(2, "big")


async def test_a_scrape_is_answered_in_its_order_up_to_74_hashes():
    app = make(access=Access(Mode.DENY, frozenset({b"d" * 20})))
    await ask(app, announcing())
    counts = counts_in(await ask(app, scraping(b"u" * 20, HASH, b"d" * 20, HASH)))
    assert [count.incomplete for count in counts] == [0, 1, 0, 1]
    assert len(counts_in(await ask(app, scraping(*[HASH] * 90)))) == 74


async def test_a_scrape_while_the_store_is_away_is_left_in_silence():
    assert await ask(make(store=Away(random.Random(0))), scraping(HASH)) == b""


async def test_a_key_comes_in_the_options_of_bep_41():
    app = make(access=Access(keys=frozenset({b"member"})))
    assert udp.parse_announce_answer(await ask(app, announcing(url_data=b"/member/announce?x=/y/")), TX)
    for path in (b"", b"/announce", b"/stranger/announce"):
        answer = await ask(app, announcing(url_data=path))
        with pytest.raises(TrackerRefusalError, match="key"):
            udp.parse_announce_answer(answer, TX)
    assert counts_in(await ask(app, scraping(HASH))) == [SwarmCounts()]


async def test_a_batch_is_answered_one_by_one():
    app = make()
    packets = [udp.encode_connect(TX), b"garbage", announcing(1), announcing(2), announcing(3)[:50]]
    answers = await app.respond([(packet, IP) for packet in packets], NOW, WALL)
    assert [len(answer) for answer in answers] == [16, 0, 20, 26, 0]
