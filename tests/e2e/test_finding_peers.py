"""Ways to find each other: trackers, several of them, addresses, the local network."""

import socket
import socketserver
import sqlite3
import threading
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack, closing

import pytest

from p2psync.sharelink import parse_link
from tests.e2e import lab
from tests.e2e.compare import differences
from tests.e2e.program import BIN, Program, ask, code_of, eventually, follow, get, serve_tracker, share
from tests.e2e.tree import make_random_file, make_random_tree


@pytest.fixture
def folder(tmp_path):
    make_random_tree(tmp_path / "a", 20, seed=1)
    return tmp_path / "a"


@pytest.fixture
def tracker():
    """The URL of a tracker of its own."""
    with serve_tracker() as program:
        yield f"http://{program.wait_event('listening')['listen']}/announce"


@pytest.fixture
def dead():
    """The URL of a tracker that is gone: its port is held, and nobody listens there."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{holder.getsockname()[1]}/announce"


def got(link, tmp_path, *options):
    with get(link, tmp_path / "b", *options) as getter:
        getter.complete()
    return differences(tmp_path / "a", tmp_path / "b") == []


def test_the_link_alone_is_enough(folder, tmp_path):
    with share(folder) as sharer:
        link = sharer.wait_event("ready")["link"]
        hints = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)
        assert hints["tr"]
        assert hints["peer"]
        assert hints["name"] == ["a"]
        assert got(link, tmp_path)


def test_it_says_at_which_address_what_came_of_it(folder, tmp_path):
    with share(folder) as sharer:
        code = code_of(sharer.wait_event("ready")["link"])
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as silent, ExitStack() as stack:
        threading.Thread(target=silent.serve_forever, args=[0.05]).start()
        stack.callback(silent.shutdown)
        peer = f"127.0.0.1:{silent.server_address[1]}"
        with get(code, tmp_path / "b", "--peer", peer) as getter:
            said = f"no peer reachable yet: trying on: {peer}: the peer hung up during the handshake"
            getter.wait_event("progress", waiting_for=said)


@pytest.mark.parametrize("kind", ["tr", "peer"])
def test_either_hint_of_the_link_is_enough(folder, tmp_path, kind):
    with share(folder) as sharer:
        link = sharer.wait_event("ready")["link"]
        hint = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)[kind][0]
        assert got(f"{code_of(link)}?{kind}={hint}", tmp_path)


def test_a_tracker_of_its_own_brings_them_together(folder, tmp_path, tracker):
    with share(folder, "--tracker", tracker) as sharer:
        link = sharer.wait_event("ready")["link"]
        assert tracker in urllib.parse.unquote(link)
        assert got(code_of(link), tmp_path, "--tracker", tracker)


@pytest.mark.parametrize(("host", "via"), [("127.0.0.1", "udp"), ("[::1]", "udp"), ("[::1]", "http")])
def test_it_does_so_over_udp_and_ipv6_too(folder, tmp_path, host, via):
    network = ("--listen", f"{host}:0", "--no-lan")
    with Program(
        BIN / "p2psync-tracker", "serve", "--json", f"--set={'listen' if via == 'http' else via}={host}:0"
    ) as ours:
        url = f"{via}://{ours.wait_event('listening')[via][0]}/announce"
        with share(folder, "--tracker", url, *network) as sharer:
            assert got(code_of(sharer.wait_event("ready")["link"]), tmp_path, "--tracker", url, *network)


def test_the_tracker_counts_who_is_there(folder, tmp_path, tracker):
    with share(folder, "--tracker", tracker) as sharer:
        link = sharer.wait_event("ready")["link"]
        eventually(lambda: b"8:completei1e" in scrape(tracker, link), "the sharer is counted")
        with get(code_of(link), tmp_path / "b", "--tracker", tracker, "--seed") as getter:
            getter.wait_event("matched")
            eventually(lambda: b"8:completei2e" in scrape(tracker, link), "the seeder is counted")
            getter.interrupt()
            getter.wait()
        eventually(lambda: b"8:completei1e" in scrape(tracker, link), "who leaves is no longer counted")


def scrape(tracker, link):
    swarm = urllib.parse.quote(parse_link(link).keys.info_hash)
    with urllib.request.urlopen(tracker.replace("/announce", "/scrape") + f"?info_hash={swarm}", timeout=5) as answer:
        return answer.read()


@pytest.mark.parametrize("joined", ["tiers", "one tier"])
def test_a_dead_tracker_in_front_does_no_harm(folder, tmp_path, tracker, dead, joined):
    trackers = ["--tracker", dead, "--tracker", tracker] if joined == "tiers" else ["--tracker", f"{dead},{tracker}"]
    with share(folder, *trackers) as sharer:
        assert got(code_of(sharer.wait_event("ready")["link"]), tmp_path, *trackers)


def test_a_tracker_that_never_answers_does_not_stop_the_next(folder, tmp_path, tracker):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/announce"
        with share(folder, "--tracker", tracker) as sharer:
            link = code_of(sharer.wait_event("ready")["link"])
            assert got(link, tmp_path, "--tracker", url, "--tracker", tracker)


def test_a_tracker_that_answers_nonsense_does_not_stop_the_next(folder, tmp_path, tracker):
    nonsense = f"{tracker.removesuffix('/announce')}/no/such/path"
    with share(folder, "--tracker", tracker) as sharer:
        link = code_of(sharer.wait_event("ready")["link"])
        assert got(link, tmp_path, "--tracker", nonsense, "--tracker", tracker)


def test_an_address_alone_is_enough(folder, tmp_path):
    with share(folder) as sharer:
        ready = sharer.wait_event("ready")
        assert got(code_of(ready["link"]), tmp_path, "--peer", ready["listen"])


def test_a_dead_address_in_front_does_no_harm(folder, tmp_path, dead):
    address = urllib.parse.urlsplit(dead).netloc
    with share(folder) as sharer:
        ready = sharer.wait_event("ready")
        assert got(code_of(ready["link"]), tmp_path, "--peer", address, "--peer", ready["listen"])


def test_a_sharer_dials_the_peers_it_is_told(folder, tmp_path):
    with share(folder) as sharer:
        link = code_of(sharer.wait_event("ready")["link"])
    with get(link, tmp_path / "b") as getter:
        address = getter.wait_event("listening")["listen"]
        with share(folder, "--peer", address):
            getter.complete()
    assert differences(folder, tmp_path / "b") == []


def test_ipv6_works_as_well(folder, tmp_path):
    with share(folder, "--listen", "[::1]:0", "--no-lan") as sharer:
        ready = sharer.wait_event("ready")
        assert ready["listen"].startswith("[::1]:")
        assert got(ready["link"], tmp_path, "--listen", "[::1]:0", "--no-lan")


@pytest.fixture
def hosts():
    """Two hosts on a network of their own."""
    if lab.why_not():
        pytest.skip(lab.why_not())
    with lab.two_hosts() as pair:
        yield pair


def test_two_hosts_of_one_network_find_each_other_by_the_link_code_alone(folder, tmp_path, hosts):
    one, other = hosts
    with share(folder, "--listen", f"{one.address}:0", prefix=one.prefix) as sharer:
        link = code_of(sharer.wait_event("ready")["link"])
        with get(link, tmp_path / "b", "--listen", f"{other.address}:0", prefix=other.prefix) as getter:
            getter.complete()
    assert differences(folder, tmp_path / "b") == []


def test_no_lan_sends_nothing_to_the_network(folder, tmp_path, hosts):
    one, other = hosts
    with share(folder, "--listen", f"{one.address}:0", "--no-lan", prefix=one.prefix) as sharer:
        link = code_of(sharer.wait_event("ready")["link"])
        where = ("--listen", f"{other.address}:0", "--timeout", "3")
        with get(link, tmp_path / "b", *where, prefix=other.prefix) as getter:
            assert getter.wait() == 3


def test_listening_everywhere_puts_an_address_in_the_link_that_others_reach(folder, tmp_path, hosts):
    one, other = hosts
    with share(folder, "--listen", "0.0.0.0:0", "--no-lan", prefix=one.prefix) as sharer:
        link = sharer.wait_event("ready")["link"]
        where = ("--listen", "0.0.0.0:0", "--no-lan")
        with get(link, tmp_path / "b", *where, prefix=other.prefix) as getter:
            getter.complete()
    assert differences(folder, tmp_path / "b") == []


@pytest.mark.parametrize("family", ["IPv4", "IPv6", "both"])
def test_a_new_peer_is_found_within_two_seconds_on_a_local_network(folder, tmp_path, hosts, family):
    for number, host in enumerate(hosts, 1):
        lab.run_ip("-n", host.name, "address", "add", f"fd91::{number}/64", "dev", "wire", "nodad")
    here, there = {
        "IPv4": [f"{host.address}:0" for host in hosts],
        "IPv6": ["[fd91::1]:0", "[fd91::2]:0"],
        "both": ["0.0.0.0:0", "0.0.0.0:0"],
    }[family]
    one, other = hosts
    with share(folder, "--listen", here, prefix=one.prefix) as sharer:
        link = code_of(sharer.wait_event("ready")["link"])
        time.sleep(3)  # the sharer's first announcements are over: the newcomer's are what counts
        with get(link, tmp_path / "b", "--listen", there, prefix=other.prefix) as getter:
            getter.wait_event("listening")
            began = time.monotonic()
            getter.wait_event("matched")
            assert time.monotonic() - began < 2
            getter.complete()


@pytest.fixture
def lone_hosts():
    """Three hosts without any network."""
    if lab.why_not():
        pytest.skip(lab.why_not())
    with lab.lone_hosts(3) as hosts:
        yield hosts


EVERYWHERE = ("--listen", "0.0.0.0:0")


def test_a_link_that_no_other_machine_can_use_is_said_to_be_one(folder, lone_hosts, hosts):
    for host, is_said in ((lone_hosts[0], True), (hosts[0], False)):
        with share(folder, *EVERYWHERE, prefix=host.prefix) as sharer:
            sharer.wait_event("ready")
            notes = [event["message"] for event in sharer.events if event["event"] == "note"]
            assert any("on no network" in note for note in notes) == is_said


def test_a_network_that_comes_up_later_is_looked_at_within_two_seconds(folder, tmp_path, lone_hosts):
    one, other, _ = lone_hosts
    with share(folder, *EVERYWHERE, prefix=one.prefix) as sharer:
        link = code_of(sharer.wait_event("ready")["link"])
        with get(link, tmp_path / "b", *EVERYWHERE, prefix=other.prefix) as getter:
            getter.wait_event("listening")
            time.sleep(7)  # what either says at its start is over
            lab.lay_wire((one, other), "late", ["10.92.0.1/24", "10.92.0.2/24"])
            began = time.monotonic()
            getter.wait_event("matched")
            assert time.monotonic() - began < 2
            getter.complete()


def test_a_host_on_two_networks_is_found_on_both(folder, tmp_path, lone_hosts):
    middle, *others = lone_hosts
    for number, host in enumerate(others, 1):
        lab.lay_wire((middle, host), f"wire{number}", [f"10.9{number}.0.1/24", f"10.9{number}.0.2/24"])
    with share(folder, *EVERYWHERE, prefix=middle.prefix) as sharer:
        link = code_of(sharer.wait_event("ready")["link"])
        for number, host in enumerate(others):
            with get(link, tmp_path / f"b{number}", *EVERYWHERE, prefix=host.prefix) as getter:
                getter.wait_event("listening")
                began = time.monotonic()
                getter.wait_event("matched")
                assert time.monotonic() - began < 2
                getter.complete()


def test_a_network_that_has_link_local_addresses_alone_will_do(folder, tmp_path, lone_hosts):
    one, other, _ = lone_hosts
    lab.lay_wire((one, other), "wire", [])
    with share(folder, *EVERYWHERE, prefix=one.prefix) as sharer:
        link = code_of(sharer.wait_event("ready")["link"])
        with follow(link, tmp_path / "b", *EVERYWHERE, prefix=other.prefix) as follower:
            follower.wait_event("matched")
            assert "[fe80::" in ask("peers", tmp_path / "b").stdout


def test_a_link_names_the_private_ipv6_address_of_a_host_that_has_no_other(folder, tmp_path, lone_hosts):
    one, other, _ = lone_hosts
    lab.lay_wire((one, other), "wire", [])
    for number, host in enumerate((one, other), 1):
        lab.run_ip("-n", host.name, "address", "add", f"fd91::{number}/64", "dev", "wire", "nodad")
    with share(folder, *EVERYWHERE, "--no-lan", prefix=one.prefix) as sharer:
        link = sharer.wait_event("ready")["link"]
        assert [address.host for address in parse_link(link).peers] == ["fd91::1"]
        with get(link, tmp_path / "b", *EVERYWHERE, "--no-lan", prefix=other.prefix) as getter:
            getter.complete()


def note(folder, name):
    """Return a note of a folder's state."""
    with closing(sqlite3.connect(folder / ".p2psync/index.sqlite")) as database:
        row = database.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
    return row[0] if row else b""


def test_a_peer_that_worked_is_found_again_without_any_hint(folder, tmp_path):
    with share(folder) as sharer:
        ready = sharer.wait_event("ready")
        link = code_of(ready["link"])
        with follow(link, tmp_path / "b", "--peer", ready["listen"]) as follower:
            follower.wait_event("matched")
            eventually(lambda: ready["listen"].encode() in note(tmp_path / "b", "peers"), "the peer is saved")
            follower.kill()
        make_random_file(folder / "more", 100_000, seed=2)
        sharer.wait_event("published")
        assert got(link, tmp_path)


def test_nobody_notices_that_the_tracker_dies(tmp_path):
    make_random_file(tmp_path / "a/large", 40_000_000, seed=1)
    with ExitStack() as stack:
        tracker = stack.enter_context(serve_tracker())
        url = f"http://{tracker.wait_event('listening')['listen']}/announce"
        sharer = stack.enter_context(share(tmp_path / "a", "--tracker", url, "--limit-up", "8M"))
        code = code_of(sharer.wait_event("ready")["link"])
        first, second = (
            stack.enter_context(get(f"{code}?tr={url}", tmp_path / f"b{number}", "--seed")) for number in (1, 2)
        )
        for getter in (first, second):
            getter.wait_event("progress", state="fetching")
        tracker.kill()
        # A third one comes, which knows the first alone, and is told of the others.
        known = first.wait_event("listening")["listen"]
        third = stack.enter_context(get(code, tmp_path / "b3", "--seed", "--peer", known))
        third.wait_event("progress", state="fetching", peers=3)
        for getter in (first, second, third):
            getter.wait_event("matched", timeout_s=60)
    for number in (1, 2, 3):
        assert differences(tmp_path / "a", tmp_path / f"b{number}") == []
