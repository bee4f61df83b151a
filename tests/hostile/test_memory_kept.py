"""`--max-memory` is kept to by a real process with many links, whose members take and give as fast as they can."""

import random
import selectors
import time
from contextlib import ExitStack

import pytest

from p2psync.sharelink import parse_link
from tests.e2e.compare import differences
from tests.e2e.program import get, share
from tests.e2e.tree import make_random_file, make_random_tree
from tests.hostile.forgery import code_for, copy_of, honest
from tests.hostile.harm import peak_memory_mb
from tests.hostile.raw_link import WANT, dial, listeners

LEAST, LEAST_MB = "118M", 118
TAKERS = 40
SEEDS = 14
"""More than a getter has links."""
TAKING_S = 3.0
OF_LONG_BLOCKS_BYTES = 540_000_000
"""A file of so many bytes is cut into blocks of two megabytes and more."""


@pytest.fixture
def folder(tmp_path):
    make_random_tree(tmp_path / "a", 300, seed=1)
    make_random_file(tmp_path / "a/large", 60_000_000, seed=2)
    return tmp_path / "a"


@pytest.mark.parametrize("large_bytes", [60_000_000, OF_LONG_BLOCKS_BYTES])
def test_whoever_many_take_from_stays_as_small_as_was_said(folder, large_bytes):
    make_random_file(folder / "large", large_bytes, seed=2)
    with share(folder, "--max-memory", LEAST) as sharer, ExitStack() as stack:
        ready = sharer.wait_event("ready")
        keys = parse_link(ready["write_link"]).keys
        wanted = copy_of(ready["listen"], keys).file_blocks
        selector = stack.enter_context(selectors.DefaultSelector())
        for number in range(TAKERS):
            link = stack.enter_context(dial(ready["listen"], keys))
            link.greet(accepted=False)
            link.send(WANT, b"".join(random.Random(number).sample(wanted, min(len(wanted), 4096))))
            if number % 4:  # the others read nothing
                selector.register(link.stream, selectors.EVENT_READ, link)
        end, taken_bytes = time.monotonic() + TAKING_S, 0
        while time.monotonic() < end:
            for key, _ in selector.select(0.1):
                taken_bytes += len(key.data.stream.recv(1 << 20))
        assert taken_bytes > 60_000_000
        assert peak_memory_mb(sharer) * 1.024 < LEAST_MB


def test_whoever_takes_from_many_stays_as_small_as_was_said(folder, tmp_path):
    with share(folder) as sharer:
        ready = sharer.wait_event("ready")
        keys = parse_link(ready["write_link"]).keys
        version = copy_of(ready["listen"], keys)
    with listeners(keys, [honest(version)] * SEEDS) as seeds:
        peers = [word for seed in seeds for word in ("--peer", seed.address)]
        with get(code_for(keys), tmp_path / "b", *peers, "--max-memory", LEAST, "--seed") as getter:
            getter.wait_event("matched")
            assert sum(seed.greeted > 0 for seed in seeds) > 8
            assert peak_memory_mb(getter) * 1.024 < LEAST_MB
    assert differences(folder, tmp_path / "b") == []
