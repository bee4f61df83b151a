"""Stock BitTorrent clients download a real file through our tracker, and nothing else helps them find each other."""

import json
import random
import shutil
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e import lab
from tests.e2e.program import BIN, Program, eventually
from tests.interop.redis_server import redis_server_or_skip

pytest.importorskip("libtorrent")

PEER = Path(__file__).with_name("libtorrent_peer.py")
SIZE = 3_000_000
# uTP and encryption work between transmission 3.00 and libtorrent 2.1 too, but take it minutes to get going.
TRANSMISSION = {f"{way}-enabled": False for way in ("utp", "dht", "lpd", "pex")} | {"encryption": 0}
LOOPBACK = {"http": "127.0.0.1", "udp": "127.0.0.1", "http6": "::1", "udp6": "::1"}


def bracketed(host):
    return f"[{host}]" if ":" in host else host


@contextmanager
def our_tracker(host, *options, prefix=()):
    where = f"{bracketed(host)}:0"
    command = (BIN / "p2psync-tracker", "serve", "--json", "--listen", where, "--udp", where, *options)
    with Program(*command, "--set", f"status_from={host}", prefix=prefix) as tracker:
        event = tracker.wait_event("listening")
        tracker.urls = {
            "http": f"http://{event['http'][0]}/announce",
            "udp": f"udp://{event['udp'][0]}/announce",
        }
        yield tracker


def count(tracker, via, event="started"):
    with urllib.request.urlopen(tracker.urls["http"].replace("/announce", "/metrics"), timeout=10) as response:
        metrics = response.read().decode()
    line = next(line for line in metrics.splitlines() if f'via="{via}",event="{event}",outcome="ok"' in line)
    return int(line.split()[1])


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "file.bin").write_bytes(random.Random(5).randbytes(SIZE))
    return folder / "file.bin"


def make_torrent(source, url):
    torrent = source.with_suffix(".torrent")
    subprocess.run([sys.executable, PEER, "make", source, torrent, url], check=True)
    return torrent


def libtorrent(command, folder, torrent, host, prefix=()):
    return Program(sys.executable, PEER, command, folder, torrent, f"{bracketed(host)}:0", prefix=prefix)


@contextmanager
def seeding(source, url, host, prefix=()):
    torrent = make_torrent(source, url)
    with libtorrent("seed", source.parent, torrent, host, prefix) as seeder:
        seeder.wait_event("announced")
        yield torrent


def is_there(source, folder):
    got = folder / source.name
    return got.exists() and got.stat().st_size == SIZE and got.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("way", ["http", "udp", "http6", "udp6"])
def test_libtorrent_downloads_and_reads_the_scrape(way, source, tmp_path):
    host, via = LOOPBACK[way], way.removesuffix("6")
    with our_tracker(host) as tracker, seeding(source, tracker.urls[via], host) as torrent:
        with libtorrent("get", tmp_path / "got", torrent, host) as getter:
            assert getter.wait_event("announced")["peers"] >= 1
            scraped = getter.wait_event("scraped")
            assert (scraped["complete"], scraped["incomplete"]) in {(1, 1), (2, 0)}
            getter.wait_event("done")
        assert is_there(source, tmp_path / "got")
        assert count(tracker, via) == 2


@pytest.mark.parametrize("way", ["http", "udp", "http6"])
def test_aria2_downloads(way, source, tmp_path):
    if shutil.which("aria2c") is None:
        pytest.skip("needs aria2")
    host, via = LOOPBACK[way], way.removesuffix("6")
    with our_tracker(host) as tracker, seeding(source, tracker.urls[via], host) as torrent:
        command = ["aria2c", "--no-conf", "--dir", tmp_path / "got", "--seed-time=0", "--disable-ipv6=false"]
        command += ["--bt-enable-lpd=false", "--enable-peer-exchange=false", "--enable-dht6=false"]
        # aria2 speaks to UDP trackers through its DHT's socket; without an entry point that DHT knows nobody.
        command += [f"--enable-dht={'true' if via == 'udp' else 'false'}", f"--dht-file-path={tmp_path / 'dht'}"]
        subprocess.run([*command, torrent], check=True, timeout=60, capture_output=True)
        assert is_there(source, tmp_path / "got")
        assert count(tracker, via) == 2


@pytest.mark.skipif(bool(lab.why_not()), reason=lab.why_not())
@pytest.mark.parametrize("way", ["http", "udp", "http6"])  # 3.00 reads no IPv6 peers from UDP trackers
def test_transmission_downloads(way, source, tmp_path):
    """In a lab, for transmission dials no peer on a loopback address."""
    if shutil.which("transmission-cli") is None:
        pytest.skip("needs transmission-cli")
    via = way.removesuffix("6")
    with lab.two_hosts() as (here, there):
        addresses = [host.address for host in (here, there)]
        if way.endswith("6"):
            addresses = give_ipv6(here, there)
        with (
            our_tracker(addresses[0], prefix=here.prefix) as tracker,
            seeding(source, tracker.urls[via], addresses[0], here.prefix) as torrent,
        ):
            got, config = tmp_path / "got", tmp_path / "config"
            for folder in (got, config):
                folder.mkdir()
            (config / "settings.json").write_text(json.dumps(TRANSMISSION))
            command = [*there.prefix, "transmission-cli", "--config-dir", config, "--no-portmap"]
            client = subprocess.Popen(
                [*command, "--download-dir", got, torrent], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                eventually(lambda: is_there(source, got), "transmission has the file", timeout_s=60)
            finally:
                client.kill()
                client.wait()


def give_ipv6(*hosts):
    addresses = [f"fd91::{number}" for number in range(1, len(hosts) + 1)]
    for host, address in zip(hosts, addresses, strict=True):
        command = ["ip", "-n", host.name, "address", "add", f"{address}/64", "dev", "wire", "nodad"]
        subprocess.run(command, check=True)
    return addresses


def test_two_trackers_on_one_redis_serve_clients_of_each(source, tmp_path):
    redis = redis_server_or_skip(tmp_path)
    try:
        with (
            our_tracker("127.0.0.1", "--state", redis.url) as one,
            our_tracker("127.0.0.1", "--state", redis.url) as two,
        ):
            with seeding(source, one.urls["udp"], "127.0.0.1"):
                torrent = make_torrent(source, two.urls["http"])
                with libtorrent("get", tmp_path / "got", torrent, "127.0.0.1") as getter:
                    getter.wait_event("done")
            assert is_there(source, tmp_path / "got")
            assert (count(one, "udp"), count(two, "http")) == (1, 1)
    finally:
        redis.stop()
