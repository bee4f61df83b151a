"""A few frames leave at a time; those for slow receivers do not count for ever."""

from p2psync.swarm.slots import PATIENCE, SLOTS, START_FRAME_S, Slots


def test_a_few_frames_leave_at_once_and_the_next_waits_for_one_to_leave():
    slots = Slots()
    numbers = [slots.begin(0.0) for _ in range(SLOTS)]
    assert slots.wait_s(0.001) > 0
    slots.end(numbers[1], 0.002)
    assert slots.wait_s(0.002) == 0


def test_frames_that_take_much_longer_than_others_do_not_count():
    slots = Slots()
    for _ in range(SLOTS):
        slots.begin(0.0)
    assert slots.wait_s(PATIENCE * START_FRAME_S) == 0


def test_patience_follows_how_long_frames_take():
    slots, now = Slots(), 0.0
    for _ in range(1000):
        number = slots.begin(now)
        now += 0.2
        slots.end(number, now)
    for _ in range(SLOTS):
        slots.begin(now)
    assert 0.3 < slots.wait_s(now) < 0.5


def test_one_that_never_ends_does_not_spoil_the_measure():
    slots = Slots()
    stuck = slots.begin(0.0)
    slots.end(stuck, 1e6)
    for _ in range(SLOTS):
        slots.begin(1e6)
    assert slots.wait_s(1e6) < 0.1
