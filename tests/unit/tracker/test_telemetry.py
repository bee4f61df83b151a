"""The metrics as monitoring reads them."""

import ipaddress
import random

import pytest

from tracker.http_app import HttpApp
from tracker.http_parser import RequestReader
from tracker.memory_swarms import MemorySwarms
from tracker.service import Outcome, Policy, TrackerService
from tracker.telemetry import Telemetry, Via

parser = pytest.importorskip("prometheus_client.openmetrics.parser")

LOCAL = b"\x7f\0\0\1"
QUERY = "info_hash=%s&peer_id=bbbbbbbbbbbbbbbbbbbb&port=6881&left=1"


async def metrics_after(*targets):
    store = MemorySwarms(random.Random(0))
    telemetry = Telemetry(store)
    service = TrackerService(store, Policy(), random.Random(0))
    app = HttpApp(service, telemetry, status_from=[ipaddress.ip_network("127.0.0.0/8")])
    for target in (*targets, "/metrics"):
        (request,) = RequestReader().feed(f"GET {target} HTTP/1.1\r\n\r\n".encode())
        (response,) = await app.respond([(request, LOCAL)], 0.0)
        telemetry.latencies[Via.HTTP].observe(0.002)
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n" in head
    return {family.name: family for family in parser.text_string_to_metric_families(body.decode())}


async def test_they_are_openmetrics_to_the_letter():
    families = await metrics_after(
        f"/announce?{QUERY % ('a' * 20)}&event=started", f"/announce?{QUERY % 'short'}", f"/scrape?info_hash={'a' * 20}"
    )
    announces = {
        (sample.labels["via"], sample.labels["event"], sample.labels["outcome"]): sample.value
        for sample in families["tracker_announces"].samples
    }
    assert announces["http", "started", "ok"] == 1
    assert announces["http", "none", "malformed"] == 1
    assert sum(announces.values()) == 2
    assert families["tracker_swarms"].samples[0].value == 1
    assert families["tracker_answer_seconds"].type == "histogram"


async def test_every_label_is_of_a_fixed_set_whatever_is_asked():
    before = await metrics_after()
    after = await metrics_after(
        *(f"/announce?{QUERY % 'a' * 20}&event=e{n}&key=k{n}" for n in range(20)), '/evil?{}"', "/%0A"
    )
    assert labels(before) == labels(after)
    assert {dict(found)["outcome"] for name, found in labels(after) if name == "tracker_announces_total"} == {
        outcome.name.lower() for outcome in Outcome
    }


def labels(families):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))) for family in families.values() for sample in family.samples
    }
