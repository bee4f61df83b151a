import random

import pytest

from p2psync.swarm.limiter import (
    MAX_QUANTUM_BYTES,
    MIN_QUANTUM_BYTES,
    SLACK_S,
    UNLIMITED_QUANTUM_BYTES,
    Bucket,
    quantum_bytes,
    wire_bytes,
)


def move(bucket, rate, *, seconds, step, now=100.0, late=lambda: 0.0):
    """Move bytes in steps as fast as the bucket allows, each wait a little late; return how many moved."""
    end, moved = now + seconds, 0
    while now < end:
        moved += step
        wait_s = bucket.spend(step, rate, now)
        if wait_s > 0:
            now += wait_s + late()
    return moved


@pytest.mark.parametrize("rate", [20e3, 10e6, 500e6])
@pytest.mark.parametrize("latest_s", [0.0, 0.01, 0.2])
def test_a_rate_is_met_to_two_percent_however_late_each_wait_ends(rate, latest_s):
    rng = random.Random(7)
    moved = move(Bucket(), rate, seconds=20, step=quantum_bytes([rate]), late=lambda: rng.uniform(0, latest_s))
    assert moved == pytest.approx(20 * rate, rel=0.02, abs=2 * MIN_QUANTUM_BYTES)


def test_nothing_is_saved_up_in_a_pause():
    bucket = Bucket()
    bucket.spend(1000, 1000, 100.0)
    assert bucket.spend(500, 1000, 1000.0) == 0.5


def test_a_delay_within_the_slack_is_made_up_for():
    bucket = Bucket()
    assert bucket.spend(1000, 1000, 100.0) == 1.0
    assert bucket.spend(100, 1000, 101.0 + SLACK_S / 2) < 0


def test_what_two_move_together_is_one_limit():
    bucket, now, moved = Bucket(), 50.0, 0
    waits = {"a": now, "b": now}
    while now < 60.0:
        who = min(waits, key=waits.__getitem__)
        now = waits[who]
        waits[who] = now + max(0.0, bucket.spend(50_000, 1e6, now))
        moved += 50_000
    assert moved == pytest.approx(10e6, rel=0.02)


def test_a_limit_that_rises_shortens_what_is_still_owed():
    bucket = Bucket()
    assert bucket.spend(100_000, 10_000, 0.0) == 10.0
    assert bucket.spend(0, 1_000_000, 0.0) == 0.1


@pytest.mark.parametrize(
    ("rates", "size"),
    [
        ([None, None], UNLIMITED_QUANTUM_BYTES),
        ([10e3, None], MIN_QUANTUM_BYTES),
        ([None, 2e6], 100_000),
        ([500e6, 2e6], 100_000),
        ([500e6, None], MAX_QUANTUM_BYTES),
    ],
)
def test_steps_are_small_where_the_lowest_limit_is(rates, size):
    assert quantum_bytes(rates) == size


@pytest.mark.parametrize(
    ("count", "size"), [(0, 0), (1, 21), (1 << 20, (1 << 20) + 20), ((1 << 20) + 1, (1 << 20) + 41)]
)
def test_every_record_costs_20_bytes(count, size):
    assert wire_bytes(count) == size
