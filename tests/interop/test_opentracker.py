"""Our clients through somebody else's tracker: opentracker as Debian builds it, which serves listed hashes alone."""

import os
import random
import shutil
import signal
import socket
import subprocess
import urllib.parse
import urllib.request

import pytest
import trio

from p2psync.discovery.tracker import Progress, TrackerSource
from p2psync.ids import InfoHash, PeerAddress, PeerId
from p2psync.sharelink import parse_link
from tests.e2e.program import code_of, eventually, get, share

HASH = InfoHash(b"found by opentracker")


class OpenTracker:
    def __init__(self, port, process, listed):
        self.urls = {"http": f"http://127.0.0.1:{port}/announce", "udp": f"udp://127.0.0.1:{port}/announce"}
        self._process = process
        self._listed = listed

    def serve(self, info_hash):
        with self._listed.open("a") as file:
            file.write(f"{info_hash.hex()}\n")
        self._process.send_signal(signal.SIGHUP)

    def is_ready(self):
        """Say whether it serves: it listens before it has read its list, which it does not ask for who stops."""
        try:
            begun, _ = (self._announce(event) for event in ("started", "stopped"))
        except OSError:  # it does not listen yet
            return False
        return b"failure" not in begun

    def _announce(self, event):
        told = {"info_hash": HASH, "peer_id": b"%020d" % 0, "port": 1, "left": 1, "event": event}
        with urllib.request.urlopen(
            f"{self.urls['http']}?{urllib.parse.urlencode(told, quote_via=urllib.parse.quote)}", timeout=1
        ) as answer:
            return answer.read()


@pytest.fixture
def opentracker(tmp_path):
    if shutil.which("opentracker") is None:
        pytest.skip("needs opentracker")
    listed = tmp_path / "whitelist"
    listed.write_text(f"{HASH.hex()}\n")
    port = free_port()
    command = ["opentracker", "-i", "127.0.0.1", "-p", str(port), "-P", str(port), "-d", str(tmp_path)]
    # It changes its root to `-d` if it may, and its user in any case.
    tmp_path.chmod(0o755)
    process = subprocess.Popen(
        [*command, "-u", "nobody", "-w", f"/{listed.name}" if os.geteuid() == 0 else str(listed)]
    )
    try:
        tracker = OpenTracker(port, process, listed)
        eventually(tracker.is_ready, "opentracker listens, and has read what it is to serve")
        yield tracker
    finally:
        process.kill()
        process.wait()


def free_port():
    """Return a port that was free for TCP and UDP a moment ago: opentracker cannot choose one."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]


@pytest.mark.parametrize("via", ["http", "udp"])
async def test_our_sources_find_each_other_through_it(opentracker, via):
    found, reports = {5001: set(), 5002: set()}, []
    met, joined = trio.Event(), trio.Event()

    def note(port, peers):
        found[port] |= set(peers)
        if PeerAddress("127.0.0.1", 5001) in found[5002]:
            met.set()

    def report(url, outcome):
        reports.append(outcome)
        joined.set()

    def source(port):
        return TrackerSource(
            ((opentracker.urls[via],),),
            info_hash=HASH,
            peer_id=PeerId(b"%020d" % port),
            port=port,
            progress=lambda: Progress(0, 0, 1),
            rng=random.Random(port),
            report=report,
        )

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source(5001).run, lambda peers: note(5001, peers))
            await joined.wait()
            nursery.start_soon(source(5002).run, lambda peers: note(5002, peers))
            await met.wait()
            nursery.cancel_scope.cancel()
    assert not [outcome for outcome in reports if not outcome.startswith("names")], reports


@pytest.mark.parametrize("via", ["http", "udp"])
def test_a_folder_travels_by_nothing_but_its_link_and_opentracker(opentracker, via, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "file").write_bytes(random.Random(1).randbytes(1_000_000))
    with share(source, "--tracker", opentracker.urls[via]) as sharing:
        link = sharing.wait_event("ready")["link"]
        opentracker.serve(parse_link(link).keys.info_hash)
        with get(code_of(link), target, "--tracker", opentracker.urls[via]) as getting:
            getting.complete()
    assert (target / "file").read_bytes() == (source / "file").read_bytes()
