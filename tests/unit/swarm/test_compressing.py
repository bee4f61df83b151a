"""Compressing is for slow links and for what shrinks."""

import itertools

import pytest

from p2psync.swarm.compressing import FAST_BYTES_PER_S, MOST_PASSED_OVER, Compressing

MIB = 1 << 20


def on_a_link_of(rate_bytes_per_s: float) -> Compressing:
    compressing = Compressing()
    for _ in range(20):
        compressing.sent(MIB, MIB / rate_bytes_per_s)
    return compressing


@pytest.mark.parametrize(("rate", "wanted"), [(FAST_BYTES_PER_S * 1.1, False), (FAST_BYTES_PER_S / 1.1, True)])
def test_only_a_slow_link_is_worth_compressing_for(rate, wanted):
    assert on_a_link_of(rate).wants() is wanted


def test_nothing_is_compressed_before_anything_was_sent():
    assert not Compressing().wants()


def test_frames_that_only_filled_the_socket_are_outweighed_by_those_that_had_to_wait():
    compressing = on_a_link_of(1e9)
    for _ in range(3):
        compressing.sent(MIB, 0.08)
    assert compressing.wants()


def test_what_does_not_shrink_is_tried_ever_more_rarely():
    compressing = on_a_link_of(1e6)
    tried = []
    for frame in range(5 * MOST_PASSED_OVER):
        if compressing.wants():
            tried.append(frame)
            assert not compressing.is_worthwhile(MIB, MIB)
    gaps = [later - earlier - 1 for earlier, later in itertools.pairwise(tried)]
    assert gaps[:6] == [1, 2, 4, 8, 16, 32]
    assert set(gaps[6:]) == {MOST_PASSED_OVER}


def test_what_shrinks_is_compressed_again_at_once():
    compressing = on_a_link_of(1e6)
    for _ in range(3):
        while not compressing.wants():
            pass
        compressing.is_worthwhile(MIB, MIB)
    while not compressing.wants():
        pass
    assert compressing.is_worthwhile(MIB, MIB // 2)
    assert compressing.wants()
