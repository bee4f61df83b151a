"""Members that flood: whoever is attacked stays small, and serves others meanwhile."""

import contextlib
import itertools
import select
import threading
import time

import bencodepy
import pytest

from tests.e2e.compare import differences
from tests.e2e.program import follow, get
from tests.hostile.harm import FALSE, peak_memory_mb
from tests.hostile.raw_link import (
    CANCEL,
    HAVE,
    HEAD,
    PING,
    WAIT_S,
    WANT,
    blocks_frame,
    dial,
    frame,
    part_frame,
)

MIB = 1 << 20
MEMORY_MB = 200
FLOOD_S = 1.0
NUMBERS = itertools.count(1)


def fresh_ids(count):
    return b"".join(next(NUMBERS).to_bytes(32, "big") for _ in range(count))


def haves(version):
    """New pages, each held in part, as many as a frame takes."""
    rows = [[fresh_ids(1), b"\xff" * 64] for _ in range(4000)]
    return frame(HAVE, bencodepy.encode({b"partial": rows}))


def tiny_haves(version):
    return frame(HAVE, b"d4:gone32:" + fresh_ids(1) + b"e") * 1000


def complete_haves(version):
    return frame(HAVE, bencodepy.encode({b"complete": fresh_ids(16_000)}))


def heads(version):
    return frame(HEAD, version.head) * 200


def wants(version):
    return frame(WANT, fresh_ids(4096)) + frame(WANT, b"".join(version.file_blocks)) * 10


def wants_and_cancels(version):
    ids = b"".join(version.file_blocks)
    return (frame(WANT, ids) + frame(CANCEL, ids)) * 10


def pings(version):
    return frame(PING) * 10_000


def unasked(version):
    return blocks_frame([(fresh_ids(1), FALSE * (MIB // len(FALSE)))])


def unasked_parts(version):
    id_ = fresh_ids(1)
    return b"".join(part_frame(id_, 4 * MIB, at, bytes(MIB)) for at in range(0, 3 * MIB, MIB))


def unknown(version):
    return frame(200, bytes(MIB))


FLOODS = [
    haves,
    tiny_haves,
    complete_haves,
    heads,
    wants,
    wants_and_cancels,
    pings,
    unasked,
    unasked_parts,
    unknown,
]


class Flooders:
    """Two members, of whom one reads what it is sent; each comes again whenever its link is ended."""

    def __init__(self, address, keys, version, make):
        self._arguments = (address, keys, version, make)
        self._over = threading.Event()
        self.has_begun = threading.Event()
        self._threads = [threading.Thread(target=self._flood, args=(reads,)) for reads in (True, False)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(WAIT_S)

    def _flood(self, reads):
        address, keys, version, make = self._arguments
        while not self._over.is_set():
            with contextlib.suppress(OSError, EOFError), dial(address, keys) as link:
                link.greet(accepted=False)
                link.stream.settimeout(0.5)
                while not self._over.is_set():
                    link.send_raw(make(version))
                    self.has_begun.set()
                    if reads and not read_all(link):
                        break


def read_all(link):
    """Take what has come; return False at the end of the stream."""
    while select.select([link.stream], [], [], 0)[0]:
        if not link.stream.recv(MIB):
            return False
    return True


@pytest.fixture(scope="module")
def follower(origin, tmp_path_factory):
    target = tmp_path_factory.mktemp("flooded") / "b"
    with follow(origin.code, target, "--peer", origin.address) as program:
        address = program.wait_event("listening")["listen"]
        program.wait_event("matched")
        yield program, address


@pytest.mark.parametrize("make", FLOODS, ids=lambda make: make.__name__)
def test_who_is_flooded_serves_others_and_stays_small(origin, follower, tmp_path, make):
    program, address = follower
    with Flooders(address, origin.keys, origin.version, make) as flooders:
        flooders.has_begun.wait(WAIT_S)
        time.sleep(FLOOD_S)  # what grows shall have the time to grow
        with get(origin.code, tmp_path / "b", "--peer", address) as getter:
            assert getter.complete()["seconds"] < 25
        assert differences(origin.folder, tmp_path / "b") == []
        assert peak_memory_mb(program) < MEMORY_MB
    with dial(address, origin.keys) as link:
        link.greet(accepted=False)
        assert link.is_alive()
