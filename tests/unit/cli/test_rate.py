"""How fast a count grows, from the steps it makes."""

import pytest

from p2psync.cli.rate import PATIENCE_S, Rate


def rate(*steps: tuple[float, int], now: float) -> float:
    """Return the rate at a moment, of a transfer that begins with the first of these steps."""
    made = Rate()
    made.begin(steps[0][1], steps[0][0])
    for time, count in steps[1:]:
        made.update(count, time)
    return made.bytes_per_s(now)


def test_what_had_come_before_it_began_is_no_step():
    assert rate((0.0, 1000), (0.5, 1000), (1.0, 1100), now=3.5) > 0


def test_what_happened_before_the_window_counts_as_far_as_a_step_reaches_into_it():
    assert rate((0.0, 0), (4.0, 300), (8.0, 400), now=8.0) == 50
    assert rate((0.0, 0), (4.0, 300), (8.0, 400), (9.5, 500), now=9.5) == pytest.approx(200 / 5.5)


def test_a_step_is_overdue_when_it_takes_longer_than_the_longest_and_given_up_after_as_long_again_and_some_patience():
    steps = (0.0, 0), (4.0, 400), (4.5, 450)
    assert rate(*steps, now=8.5) == 100
    assert rate(*steps, now=9.5) == pytest.approx(450 / 5.5)
    assert rate(*steps, now=12.4 + PATIENCE_S) > 0
    assert rate(*steps, now=12.6 + PATIENCE_S) == 0


def test_when_nothing_is_on_its_way_any_more_measuring_begins_anew():
    made = Rate()
    made.begin(0, 0.0)
    made.update(100, 1.0)
    made.stop()
    assert made.bytes_per_s(1.0) == 0
    made.begin(100, 2.0)
    made.update(200, 3.0)
    assert made.bytes_per_s(3.0) == 100
