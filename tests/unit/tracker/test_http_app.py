import ipaddress
import random

import pytest

from p2psync.bencoding import decode
from tracker.access import Access
from tracker.http_app import HttpApp
from tracker.http_parser import RequestReader
from tracker.memory_swarms import MemorySwarms
from tracker.service import Policy, TrackerService
from tracker.swarms import StoreUnavailableError
from tracker.telemetry import Telemetry

BASE = "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=6881&left=1"
LOCAL = ipaddress.ip_network("127.0.0.0/8")


class Away(MemorySwarms):
    async def announce(self, updates, now):
        raise StoreUnavailableError

    async def scrape(self, hashes, now):
        raise StoreUnavailableError


def make(store=None, *, access=None, policy=Policy(jitter=0.0), **options):  # noqa: B008 - a frozen value
    store = store or MemorySwarms(random.Random(0))
    service = TrackerService(store, policy, random.Random(0), access)
    return HttpApp(service, Telemetry(store), status_from=[LOCAL], **options)


async def get(app, target, *, source="127.0.0.1", method="GET", headers=""):
    (request,) = RequestReader().feed(f"{method} {target} HTTP/1.1\r\n{headers}\r\n".encode())
    (response,) = await app.respond([(request, ipaddress.ip_address(source).packed)], 0.0)
    head, _, body = response.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def fields(app, target, **how):
    status, body = await get(app, target, **how)
    assert status == 200
    return decode(body)


@pytest.mark.parametrize("path", ["/announce", "/secret-key/announce", "/a/b/announce"])
async def test_announces_are_answered_with_and_without_a_key_in_the_path(path):
    assert (await fields(make(), f"{path}?{BASE}"))[b"peers"] == b""


async def test_a_tracker_with_keys_serves_those_who_have_one():
    app = make(access=Access(keys=frozenset({b"member"})))
    assert b"peers" in await fields(app, f"/member/announce?{BASE}")
    scraped = await fields(app, f"/member/scrape?info_hash={'a' * 20}")
    assert scraped[b"files"][b"a" * 20][b"incomplete"] == 1
    for path in ("/announce", "/stranger/announce", "/member/x/announce", "//announce"):
        assert b"key" in (await fields(app, f"{path}?{BASE}"))[b"failure reason"]
    assert (await fields(app, f"/scrape?info_hash={'a' * 20}"))[b"files"] == {}


async def test_failures_have_status_200_because_clients_read_no_other():
    assert await fields(make(), "/announce?") == {b"failure reason": b"port must be a number"}
    assert b"failure reason" in await fields(make(), "/announce")
    assert b"failure reason" in await fields(make(), "/scrape")
    assert b"failure reason" in await fields(make(), "/scrape?info_hash=short")


async def test_the_client_learns_its_address():
    assert (await fields(make(), f"/announce?{BASE}", source="9.8.7.6"))[b"external ip"] == b"\x09\x08\x07\x06"
    assert (await fields(make(), f"/announce?{BASE}", source="2001:db8::1"))[b"external ip"][-1] == 1


async def test_each_family_gets_its_own_list():
    app = make()
    await fields(app, f"/announce?{BASE}", source="9.8.7.6")
    await fields(app, f"/announce?{BASE}", source="2001:db8::1")
    four = await fields(app, f"/announce?{BASE}&port=1", source="9.8.7.5")
    six = await fields(app, f"/announce?{BASE}&port=1", source="2001:db8::2")
    assert (four[b"peers"], b"peers6" in four) == (b"\x09\x08\x07\x06\x1a\xe1", False)
    assert (six[b"peers"], len(six[b"peers6"])) == (b"", 18)


async def test_a_client_that_wants_no_compact_list_gets_dictionaries():
    app = make()
    await fields(app, f"/announce?{BASE}")
    other = BASE.replace("6881", "6882").replace("b" * 20, "c" * 20)
    listed = await fields(app, f"/announce?{other}&compact=0")
    assert listed[b"peers"] == [{b"ip": b"127.0.0.1", b"peer id": b"b" * 20, b"port": 6881}]
    listed = await fields(app, f"/announce?{other}&compact=0&no_peer_id=1")
    assert listed[b"peers"] == [{b"ip": b"127.0.0.1", b"port": 6881}]


async def test_dictionaries_hold_ipv6_addresses_for_who_comes_from_one():
    app = make()
    assert (await fields(app, f"/announce?{BASE}&compact=0", source="2001:db8::1"))[b"peers"] == []
    listed = await fields(app, f"/announce?{BASE}&compact=0&port=1", source="2001:db8::2")
    assert listed[b"peers"] == [{b"ip": b"2001:db8::1", b"peer id": b"b" * 20, b"port": 6881}]


async def test_scrape_answers_for_exactly_the_hashes_asked():
    app = make()
    await fields(app, f"/announce?{BASE}")
    body = await fields(app, f"/x/scrape?info_hash={'a' * 20}&info_hash={'u' * 20}")
    assert body[b"files"][b"a" * 20][b"incomplete"] == 1
    assert body[b"files"][b"u" * 20] == {b"complete": 0, b"downloaded": 0, b"downloaders": 0, b"incomplete": 0}


async def test_a_scrape_of_more_than_74_hashes_is_answered_for_those():
    hashes = [f"{number:020}" for number in range(80)]
    body = await fields(make(), "/scrape?" + "&".join(f"info_hash={info_hash}" for info_hash in hashes))
    assert set(body[b"files"]) == {info_hash.encode() for info_hash in hashes[:74]}


async def test_scrapes_count_against_the_rate_of_their_address_too():
    app = make(policy=Policy(rate_per_s=1, burst=3))
    target = f"/scrape?info_hash={'a' * 20}"
    answers = [await fields(app, target, source="8.8.8.8") for _ in range(4)]
    assert [b"files" in answer for answer in answers] == [True, True, True, False]
    assert answers[-1][b"retry in"] == 5
    assert b"failure reason" in await fields(app, f"/announce?{BASE}", source="8.8.8.8")
    assert b"files" in await fields(app, target, source="8.8.4.4")


async def test_a_batch_is_answered_in_order():
    app, reader = make(), RequestReader()
    targets = [f"/announce?{BASE}", "/health", "/nothing", "/announce?x", f"/scrape?info_hash={'a' * 20}"]
    requests = reader.feed("".join(f"GET {target} HTTP/1.1\r\n\r\n" for target in targets).encode())
    responses = await app.respond([(request, b"\x7f\0\0\1") for request in requests], 0.0)
    assert [response.split()[1] for response in responses] == [b"200", b"200", b"404", b"200", b"200"]
    assert b"8:intervali" in responses[0]
    assert responses[1].endswith(b"ok\n")
    assert b"failure reason" in responses[3]
    assert b"5:files" in responses[4]


async def test_other_methods_are_refused():
    for method in ("POST", "HEAD", "CONNECT"):
        assert (await get(make(), "/announce", method=method))[0] == 405


async def test_metrics_and_page_are_for_the_networks_that_may_see_them():
    app = make()
    for path in ("/metrics", "/"):
        assert (await get(app, path))[0] == 200
        assert (await get(app, path, source="8.8.8.8"))[0] == 404
        assert (await get(app, path, source="::1"))[0] == 404
    assert await get(app, "/health", source="8.8.8.8") == (200, b"ok\n")


async def test_metrics_count_by_protocol_event_and_outcome_and_hold_no_request_text():
    app = make()
    await fields(app, f"/announce?{BASE}&event=started&key=SECRETKEY")
    await fields(app, "/announce?info_hash=EVIL")
    metrics = (await get(app, "/metrics"))[1].decode()
    assert 'tracker_announces_total{via="http",event="started",outcome="ok"} 1' in metrics
    assert 'tracker_announces_total{via="http",event="none",outcome="malformed"} 1' in metrics
    assert "tracker_swarms 1" in metrics
    assert "tracker_peers_ipv4 1" in metrics
    for text in ("SECRETKEY", "EVIL", "aaaa", "bbbb", "6161"):
        assert text not in metrics


async def test_the_page_shows_totals_and_the_busiest_swarms_by_hash():
    store = MemorySwarms(random.Random(0))
    app = make(store)
    await fields(app, f"/announce?{BASE}")
    await store.tend(0)
    await store.tend(20)
    page = (await get(app, "/"))[1].decode()
    assert "1 swarm, 1 peer (" in page
    assert "61" * 20 in page


@pytest.mark.parametrize(
    ("header", "seen"),
    [
        ("X-Forwarded-For: 1.1.1.1, 9.8.7.6\r\n", "9.8.7.6"),
        ("x-forwarded-for: 2001:db8::1\r\n", "2001:db8::1"),
        ("X-Forwarded-For: ::ffff:9.8.7.6\r\n", "9.8.7.6"),
        ("X-Forwarded-For: nonsense\r\n", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
async def test_a_trusted_proxy_tells_the_clients_address_in_its_last_entry(header, seen):
    app = make(trusted_proxies=[LOCAL])
    answer = await fields(app, f"/announce?{BASE}", headers=header)
    assert answer[b"external ip"] == ipaddress.ip_address(seen).packed


async def test_anybody_else_tells_nothing_of_addresses():
    answer = await fields(make(), f"/announce?{BASE}", headers="X-Forwarded-For: 1.1.1.1\r\n", source="9.8.7.6")
    assert answer[b"external ip"] == b"\x09\x08\x07\x06"


async def test_a_stranger_behind_a_trusted_proxy_sees_no_status():
    app = make(trusted_proxies=[LOCAL])
    assert (await get(app, "/metrics", headers="X-Forwarded-For: 8.8.8.8\r\n"))[0] == 404


async def test_a_store_that_is_away_is_told_to_clients_and_to_whoever_watches():
    app = make(Away(random.Random(0)))
    assert (await fields(app, f"/announce?{BASE}"))[b"retry in"] == 1
    assert (await fields(app, f"/scrape?info_hash={'a' * 20}"))[b"retry in"] == 1
    assert (await get(app, "/health"))[0] == 503


async def test_the_connection_is_kept_or_closed_as_asked():
    app = make()
    for headers, closes in (("", False), ("Connection: close\r\n", True)):
        for target in (f"/announce?{BASE}", "/announce?", "/scrape", "/health", "/nothing"):
            (request,) = RequestReader().feed(f"GET {target} HTTP/1.1\r\n{headers}\r\n".encode())
            (response,) = await app.respond([(request, b"\x7f\0\0\1")], 0.0)
            assert (b"\r\nConnection: close\r\n" in response) is closes
