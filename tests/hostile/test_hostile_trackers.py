"""Trackers that lie, stall or babble: the next one is asked, and peers known otherwise are not waited for."""

import contextlib
import itertools
import socket
import struct
import time
import zlib

import bencodepy
import pytest

from tests.e2e.compare import differences
from tests.e2e.program import eventually, get, serve_tracker, share
from tests.e2e.tree import make_random_tree
from tests.hostile.harm import peak_memory_mb
from tests.hostile.raw_link import Listener

MIB = 1 << 20


def http(body, *headers):
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), b"Connection: close", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def answers(*pieces, for_ever=b"", every_s=0.0):
    """Read the request, say this, then this again and again."""

    def answer(stream):
        stream.recv(65536)
        for piece in pieces:
            stream.sendall(piece)
        while for_ever:
            stream.sendall(for_ever)
            time.sleep(every_s)

    return answer


def redirects(location):
    return answers(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n")


def redirects_to_itself(stream):
    stream.recv(65536)
    host, port = stream.getsockname()
    stream.sendall(
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://%s:%d/on\r\n\r\n" % (host.encode(), port)
    )


def never_answers(stream):
    while stream.recv(65536):
        pass


def names(addresses, **fields):
    packed = b"".join(socket.inet_aton(host) + struct.pack(">H", port) for host, port in addresses)
    return answers(http(bencodepy.encode({"interval": 1800, "peers": packed} | fields)))


def bomb():
    packer = zlib.compressobj(wbits=31)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(500)) + packer.flush()
    return http(packed, b"Content-Encoding: gzip")


OK_HEAD = b"HTTP/1.1 200 OK\r\n"
TRACKERS = {
    "garbage": answers(bytes(range(256)) * 100),
    "peers of 7 bytes": answers(http(b"d8:intervali1800e5:peers7:1234567e")),
    "deep bencode": answers(http(b"d8:intervali1800e5:peers" + b"l" * 50_000 + b"e" * 50_001)),
    "an interval of 10**40": answers(http(b"d8:intervali1" + b"0" * 40 + b"e5:peers0:e")),
    "refuses in a megabyte": answers(http(b"d14:failure reason900000:" + b"\x1b[31m" * 180_000 + b"e")),
    "redirects for ever": redirects_to_itself,
    "redirects to nonsense": redirects(b"http://["),
    "redirects to bytes": redirects(b"/\xff\x00 \xfe"),
    "an endless head": answers(OK_HEAD, for_ever=b"X-More: " + b"x" * 1000 + b"\r\n"),
    "an endless chunked body": answers(
        OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", for_ever=b"10000\r\n" + bytes(65536) + b"\r\n"
    ),
    "continues for ever": answers(for_ever=b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "switches the protocol": answers(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    "500 MiB in 500 KB": answers(bomb()),
    "a byte a second": answers(for_ever=b"H", every_s=1.0),
    "never answers": never_answers,
}
DEAD = [(f"127.{a}.{b}.1", 9) for a, b in itertools.product(range(1, 41), range(250))]


def url(listener):
    return f"http://{listener.address}/announce"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A share that is to be found by an honest tracker alone: its folder, its link's code, that tracker."""
    folder = tmp_path_factory.mktemp("shared") / "a"
    make_random_tree(folder, 5, seed=3)
    with serve_tracker() as program:
        honest = f"http://{program.wait_event('listening')['listen']}/announce"
        with share(folder, "--tracker", honest) as sharer:
            yield folder, sharer.wait_event("ready")["link"].partition("?")[0], honest


@pytest.fixture(scope="module")
def asking(shared, tmp_path_factory):
    """For each hostile tracker a `get` that asks it first, and the honest one only then; all run at the same time."""
    _, code, honest = shared
    with contextlib.ExitStack() as stack:
        running = {}
        for name, answer in TRACKERS.items():
            hostile = stack.enter_context(Listener(answer))
            target = tmp_path_factory.mktemp("asking") / "b"
            getter = stack.enter_context(get(code, target, "--tracker", url(hostile), "--tracker", honest))
            running[name] = getter, target
        yield running


@pytest.mark.parametrize("tracker", TRACKERS)
def test_the_next_tracker_is_asked(shared, asking, tracker):
    getter, target = asking[tracker]
    took_s = getter.complete(60)["seconds"]
    print(f"{tracker}: {took_s} s")
    assert took_s < 25
    assert differences(shared[0], target) == []


def test_a_peer_that_is_known_is_not_waited_for(origin, tmp_path):
    with contextlib.ExitStack() as stack:
        hostile = [stack.enter_context(Listener(answer)) for answer in TRACKERS.values()]
        words = [word for one in hostile for word in ("--tracker", url(one))]
        with get(origin.code, tmp_path / "b", *words, "--peer", origin.address) as getter:
            assert getter.complete()["seconds"] < 8
    assert differences(origin.folder, tmp_path / "b") == []


def test_ten_thousand_dead_addresses_do_not_keep_a_getter_from_who_dials_it(tmp_path):
    folder = tmp_path / "a"
    make_random_tree(folder, 5, seed=4)
    with share(folder) as sharer:
        code = sharer.wait_event("ready")["link"].partition("?")[0]
    with Listener(names(DEAD)) as hostile, get(code, tmp_path / "b", "--tracker", url(hostile)) as getter:
        address = getter.wait_event("listening")["listen"]
        eventually(lambda: hostile.ended, "the tracker is asked")
        with share(folder, "--peer", address):
            getter.complete()
    assert differences(folder, tmp_path / "b") == []


@pytest.mark.parametrize("kind", ["dead", "never answer"])
def test_ten_thousand_addresses_do_not_keep_a_getter_from_the_one_that_is_right(origin, tmp_path, kind):
    with Listener(never_answers, host="0.0.0.0") as silent:
        port = int(silent.address.rpartition(":")[2])
        addresses = DEAD if kind == "dead" else [(host, port) for host, _ in DEAD]
        with Listener(names(addresses)) as hostile:
            words = ("--tracker", url(hostile), "--peer", origin.address)
            with get(origin.code, tmp_path / "b", *words, "--seed") as getter:
                assert getter.wait_event("matched")["seconds"] < 8
                eventually(lambda: hostile.ended, "the tracker is asked")
                assert peak_memory_mb(getter) < 250
                getter.interrupt()
                assert getter.wait(5) == 130
    assert differences(origin.folder, tmp_path / "b") == []
