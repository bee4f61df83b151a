"""Windows follow rates; patience ends."""

import pytest

from p2psync.swarm.flow import (
    LIMITED_WINDOW_BYTES,
    LIMITED_WINDOW_S,
    MAX_WINDOW_BYTES,
    MIN_WINDOW_BYTES,
    START_WINDOW_BYTES,
    LifeWatch,
    PeerFlow,
    Pulse,
)
from p2psync.wire import limits


def driven(rate: float, seconds: float, *, delay_s: float = 0.01) -> tuple[PeerFlow, float]:
    """A peer that owes all the time and sends at a rate."""
    flow, now = PeerFlow(0.0), 0.0
    flow.asked(0.0)
    flow.arrived(delay_s)
    while now < seconds:
        now += 0.5
        flow.tick(now, int(rate * now), owing=True)
    return flow, now


def test_the_window_of_an_unknown_peer_is_the_start():
    assert PeerFlow(0.0).window_bytes == START_WINDOW_BYTES


@pytest.mark.parametrize(("rate", "low", "high"), [(10e6, 1.8e6, 2.5e6), (1.25e6, 0.2e6, 0.35e6)])
def test_a_window_is_about_a_fifth_of_a_second_of_the_rate(rate, low, high):
    assert low < driven(rate, 5)[0].window_bytes < high


def test_a_window_has_bounds():
    assert driven(1e10, 5)[0].window_bytes == MAX_WINDOW_BYTES
    assert driven(1e4, 5)[0].window_bytes == MIN_WINDOW_BYTES


def test_a_long_path_has_a_longer_window():
    assert driven(1e6, 5, delay_s=1.0)[0].window_bytes > 2 * driven(1e6, 5)[0].window_bytes


def test_a_peer_that_owes_nothing_is_never_overdue():
    flow = PeerFlow(0.0)
    for now in range(100):
        flow.tick(float(now), 0, owing=False)
        assert not flow.is_overdue(now)
        assert not flow.is_stalled(now)


def test_a_peer_that_owes_and_is_silent_is_overdue_then_stalled():
    flow = PeerFlow(0.0)
    flow.asked(0.0)
    flow.tick(1.0, 0, owing=True)
    assert not flow.is_overdue(limits.SNUB_S)
    assert flow.is_overdue(limits.SNUB_S + 0.1)
    flow.snubbed = True
    assert not flow.is_stalled(limits.STALL_S)
    assert flow.is_stalled(limits.STALL_S + 0.1)


def test_a_byte_a_second_is_silence_and_50_kib_are_not():
    assert driven(1, limits.SNUB_S + 1)[0].is_overdue(limits.SNUB_S + 1)
    assert not driven(50 << 10, limits.SNUB_S + 1)[0].is_overdue(limits.SNUB_S + 1)


def test_a_snubbed_peer_that_sends_again_is_forgiven():
    flow = PeerFlow(0.0)
    flow.snubbed = True
    flow.asked(10.0)
    flow.tick(10.5, limits.LIFE_SIGN_BYTES, owing=True)
    assert not flow.snubbed


def test_a_peer_that_was_snubbed_long_ago_gets_time_when_it_is_asked_again():
    flow = PeerFlow(0.0)
    flow.snubbed = True
    flow.asked(1000.0)
    assert not flow.is_stalled(1000.0 + limits.STALL_S - limits.SNUB_S)


def test_time_in_which_we_did_not_read_is_nobodys_fault():
    flow = PeerFlow(0.0)
    flow.asked(0.0)
    flow.excuse(100.0)
    assert not flow.is_overdue(100.1)


def pulses(watch: LifeWatch, until: float, messages=lambda now: 0, payload=lambda now: 0, sent=int) -> list[Pulse]:
    times = [now / 2 for now in range(1, int(until * 2) + 1)]
    return [watch.tick(now, messages(now), payload(now), sent(now)) for now in times]


def test_a_silent_link_is_pinged_thrice_and_then_dead():
    seen = pulses(LifeWatch(0.0), limits.DEAD_LINK_S + 1)
    assert seen.count(Pulse.PING) == 3
    assert Pulse.DEAD not in pulses(LifeWatch(0.0), limits.DEAD_LINK_S)
    assert seen[-1] is Pulse.DEAD


def test_messages_and_payload_keep_a_link_alive_and_single_bytes_do_not():
    assert Pulse.DEAD not in pulses(LifeWatch(0.0), 100, messages=lambda now: int(now / 10))
    assert Pulse.DEAD not in pulses(LifeWatch(0.0), 100, payload=lambda now: int(now * 1000))
    assert Pulse.DEAD in pulses(LifeWatch(0.0), 100, payload=int)


def test_a_probed_link_must_answer_soon():
    watch = LifeWatch(0.0)
    watch.probe(0.0)
    seen = pulses(watch, limits.PROBE_S + 1)
    assert seen[0] is Pulse.PING
    assert seen[-1] is Pulse.DEAD
    alive = LifeWatch(0.0)
    alive.probe(0.0)
    assert Pulse.DEAD not in pulses(alive, limits.PROBE_S + 1, messages=int)


def test_who_only_listens_says_now_and_then_that_it_lives():
    seen = pulses(LifeWatch(0.0), 40, payload=lambda now: int(now * 1e6), sent=lambda now: 0)
    assert seen.count(Pulse.PING) == 40 // limits.IDLE_PING_S


def test_who_hears_and_speaks_has_no_need_to_ask():
    assert set(pulses(LifeWatch(0.0), 40, messages=int, sent=int)) == {Pulse.ALIVE}


@pytest.mark.parametrize("measured", [False, True])
def test_what_we_read_slowly_on_purpose_is_not_asked_for_far_ahead(measured):
    flow = driven(10e6, 5)[0] if measured else PeerFlow(0.0)
    free = flow.window_bytes
    flow.limit_bytes_per_s = 200e3
    assert flow.window_bytes == int(200e3 * LIMITED_WINDOW_S)
    flow.limit_bytes_per_s = 10e3
    assert flow.window_bytes == LIMITED_WINDOW_BYTES
    flow.limit_bytes_per_s = 1e12
    assert flow.window_bytes == free
