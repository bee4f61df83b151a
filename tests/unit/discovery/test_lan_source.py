"""On the loopback interface only: every source here listens on a loopback address."""

import random
import resource
import socket
import subprocess
import sys

import pytest
import trio

from p2psync.discovery.lan import AnnounceTimes, LanSource
from p2psync.discovery.multicast import MulticastGroup, Network, choose_interfaces, interface_hosts, look_at
from p2psync.ids import InfoHash, PeerAddress
from p2psync.wire.lan import LAN_GROUP_IPV4

SWARM, OTHER_SWARM = InfoHash(b"s" * 20), InfoHash(b"o" * 20)
ALICE, BOB, CAROL = (PeerAddress("127.0.0.1", port) for port in (1001, 1002, 1003))


@pytest.fixture
def lan_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


class Neighbours:
    """Sources that run in one nursery, whom each has found, and when it first did."""

    def __init__(self, nursery, port):
        self._nursery, self._port = nursery, port
        self.found = {}
        self.reports = []
        self._news = trio.Event()

    def start(self, address, swarm=SWARM):
        source = LanSource(swarm, [address], random.Random(address.port), self.reports.append, port=self._port)
        self.found[address] = {}
        self._nursery.start_soon(source.run, lambda peers: self._note(address, peers))

    async def wait_found(self, finder, peer):
        while peer not in self.found[finder]:
            await self._news.wait()
        return self.found[finder][peer]

    def _note(self, finder, peers):
        for peer in peers:
            self.found[finder].setdefault(peer, trio.current_time())
        self._news.set()
        self._news = trio.Event()


async def test_two_peers_find_each_other(nursery, lan_port, autojump_clock):
    neighbours = Neighbours(nursery, lan_port)
    neighbours.start(ALICE)
    neighbours.start(BOB)
    with trio.fail_after(2):
        await neighbours.wait_found(ALICE, BOB)
        await neighbours.wait_found(BOB, ALICE)
    assert neighbours.reports == []


async def test_a_newcomer_is_found_and_finds_others_within_two_seconds(nursery, lan_port, autojump_clock):
    neighbours = Neighbours(nursery, lan_port)
    neighbours.start(ALICE)
    await trio.sleep(100)
    begun = trio.current_time()
    neighbours.start(BOB)
    assert await neighbours.wait_found(ALICE, BOB) - begun < 2
    assert await neighbours.wait_found(BOB, ALICE) - begun < 2


async def test_nobody_finds_itself_or_the_peers_of_another_swarm(nursery, lan_port, autojump_clock):
    neighbours = Neighbours(nursery, lan_port)
    neighbours.start(ALICE)
    neighbours.start(BOB)
    neighbours.start(CAROL, OTHER_SWARM)
    await trio.sleep(1000)
    assert {finder: set(peers) for finder, peers in neighbours.found.items()} == {
        ALICE: {BOB},
        BOB: {ALICE},
        CAROL: set(),
    }


async def test_noise_on_the_port_harms_nobody(nursery, lan_port, autojump_clock):
    neighbours = Neighbours(nursery, lan_port)
    neighbours.start(ALICE)
    await trio.sleep(10)
    loopback = choose_interfaces(socket.if_nameindex(), loopback=True)
    stranger = MulticastGroup(LAN_GROUP_IPV4, lan_port, "127.0.0.1")
    for noise in (b"", b"\xff" * 2000, b"M-SEARCH * HTTP/1.1\r\n\r\n", b"BT-SEARCH * HTTP/1.1\r\nPort: x\r\n\r\n\r\n"):
        assert await stranger.send(noise, loopback) == 1
    stranger.close()
    neighbours.start(BOB)
    await neighbours.wait_found(ALICE, BOB)
    assert set(neighbours.found[ALICE]) == {BOB}


async def test_a_lack_of_descriptors_passes(nursery, lan_port, autojump_clock):
    neighbours = Neighbours(nursery, lan_port)
    neighbours.start(ALICE)
    await trio.sleep(2)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        await trio.sleep(2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    neighbours.start(BOB)
    with trio.fail_after(2):
        await neighbours.wait_found(BOB, ALICE)


async def test_two_processes_share_the_port(nursery, lan_port):
    program = f"""
import random, trio
from p2psync.discovery.lan import LanSource
from p2psync.ids import PeerAddress
source = LanSource({SWARM!r}, [PeerAddress("127.0.0.1", 1002)], random.Random(), print, port={lan_port})
trio.run(source.run, lambda peers: print(*peers, flush=True))
"""
    neighbours = Neighbours(nursery, lan_port)
    other = await nursery.start(run_python, program)
    neighbours.start(ALICE)
    with trio.fail_after(20):
        heard = b""
        while not heard.endswith(b"\n"):
            heard += await other.stdout.receive_some()
        assert heard == f"{ALICE}\n".encode()
        await neighbours.wait_found(ALICE, BOB)
    nursery.cancel_scope.cancel()


async def run_python(program, task_status):
    command = [sys.executable, "-c", program]
    await trio.run_process(command, stdout=subprocess.PIPE, check=False, task_status=task_status)


async def test_a_port_that_another_program_keeps_to_itself_is_reported_once(nursery, lan_port, autojump_clock):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as selfish:
        selfish.bind(("0.0.0.0", lan_port))
        neighbours = Neighbours(nursery, lan_port)
        neighbours.start(ALICE)
        await trio.sleep(1000)
    assert len(neighbours.reports) == 1
    assert f"UDP port {lan_port}" in neighbours.reports[0]


async def test_interfaces_that_are_gone_are_passed_over(lan_port):
    group = MulticastGroup(LAN_GROUP_IPV4, lan_port, "127.0.0.1")
    gone = max(index for index, _ in socket.if_nameindex()) + 1000
    group.join([gone])
    assert await group.send(b"hello", [gone]) == 0
    group.close()


def run_times(times, until):
    """Return when announcements are sent if nobody is heard."""
    sent = []
    while times.due <= until:
        sent.append(times.due)
        times.sent(times.due)
    return sent


def test_announcements_are_a_few_at_start_and_rare_afterwards():
    sent = run_times(AnnounceTimes(50.0, random.Random(1)), 50.0 + 3600)
    assert sent[0] == 50.0
    assert 3 <= sum(at < 60 for at in sent) <= 5
    assert 10 <= sum(at > 60 for at in sent) <= 14


def test_a_newcomer_is_answered_soon_and_once():
    times = AnnounceTimes(0.0, random.Random(1))
    run_times(times, 100)
    later = times.due
    times.heard(BOB, "b", 100.0)
    assert 100 <= times.due <= 100.5
    times.sent(times.due)
    times.heard(BOB, "b", 101.0)
    assert times.due >= later
    times.heard(BOB, "restarted", 102.0)
    assert times.due <= 103


def test_a_flood_of_newcomers_makes_us_send_once_a_second():
    times = AnnounceTimes(0.0, random.Random(1))
    sent = run_times(times, 100)
    for step in range(10_000):
        now = 100 + step / 1000
        times.heard(BOB, str(step), now)
        if times.due <= now:
            sent.append(now)
            times.sent(now)
    assert 5 <= sum(at >= 100 for at in sent) <= 11


def test_a_network_that_changes_is_announced_to_as_at_the_start():
    times = AnnounceTimes(0.0, random.Random(1))
    run_times(times, 100)
    times.changed(100.0)
    assert run_times(times, 110) == [100.0, 100.7, 102.0, 106.0]


def test_a_network_that_changes_while_all_is_new_is_announced_to_at_once_and_once_more():
    times = AnnounceTimes(0.0, random.Random(1))
    run_times(times, 3)
    times.changed(3.0)
    assert run_times(times, 20) == [3.0, 6.0]


def test_a_network_that_never_rests_makes_us_send_about_once_a_second():
    times = AnnounceTimes(0.0, random.Random(1))
    sent = 0
    for tenth in range(6000):
        times.changed(tenth / 10)
        sent += len(run_times(times, tenth / 10))
    assert 60 <= sent <= 601


def test_a_network_that_takes_nothing_is_tried_again_soon():
    times = AnnounceTimes(0.0, random.Random(1))
    times.failed(0.0)
    assert 1 < times.due <= 30


def test_loopback_is_used_alone_or_not_at_all():
    interfaces = [(1, "lo"), (2, "eth0"), (3, "wlan0"), (4, "lowpan0"), (5, "lo0")]
    assert choose_interfaces(interfaces, loopback=True) == [1, 5]
    assert choose_interfaces(interfaces, loopback=False) == [2, 3, 4]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_addresses_of_interfaces_are_ours(family):
    for host in interface_hosts([index for index, _ in socket.if_nameindex()], family):
        with socket.socket(family, socket.SOCK_DGRAM) as ours:
            ours.bind((host, 0))
            assert host not in ("0.0.0.0", "::")
    assert interface_hosts([99_999], family) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells all of it")
def test_what_an_interface_leads_to_is_told_by_its_own_address():
    (loopback,) = look_at(choose_interfaces(socket.if_nameindex(), loopback=True))
    assert (loopback.is_running, loopback.ipv4) == (True, "127.0.0.1")
    assert look_at([99_999]) == {Network(99_999, is_running=False, ipv4="", ipv6="")}


async def test_what_was_left_is_not_heard(lan_port):
    loopback = choose_interfaces(socket.if_nameindex(), loopback=True)
    groups = [MulticastGroup(LAN_GROUP_IPV4, lan_port, "127.0.0.1") for _ in range(2)]
    groups[0].join(loopback)
    groups[0].leave([*loopback, 99_999])
    await groups[1].send(b"hello", loopback)
    with trio.move_on_after(0.1) as scope:
        await groups[0].receive()
    assert scope.cancelled_caught
    for group in groups:
        group.close()


async def test_a_group_hears_only_what_it_has_joined(lan_port):
    loopback = choose_interfaces(socket.if_nameindex(), loopback=True)
    groups = [MulticastGroup(LAN_GROUP_IPV4, lan_port, "127.0.0.1") for _ in range(2)]
    groups[0].join(loopback)
    assert await groups[1].send(b"hello", loopback) == 1
    assert await groups[0].receive() == (b"hello", "127.0.0.1")
    with trio.move_on_after(0.1) as scope:
        await groups[1].receive()
    assert scope.cancelled_caught
    for group in groups:
        group.close()
