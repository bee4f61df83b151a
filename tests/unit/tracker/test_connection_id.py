import pytest

from tracker.connection_id import KEY_BYTES, ConnectionIds

KEY, IP = b"k" * KEY_BYTES, b"\x08\x08\x08\x08"
NOW = 1_700_000_000.0


@pytest.mark.parametrize("ip", [IP, bytes(range(16))])
@pytest.mark.parametrize("age", [0, 1, 60, 119])
def test_an_id_is_accepted_for_two_minutes(ip, age):
    ids = ConnectionIds(KEY)
    assert ids.accepts(ids.issue(ip, NOW), ip, NOW + age)


@pytest.mark.parametrize("age", [124, 200, 100_000, 2**17, 2**17 + 1, -13, -100_000])
def test_an_id_too_old_or_from_the_future_is_not(age):
    ids = ConnectionIds(KEY)
    assert not ids.accepts(ids.issue(IP, NOW), IP, NOW + age)


def test_clocks_of_two_trackers_may_differ_a_little():
    assert ConnectionIds(KEY).accepts(ConnectionIds(KEY).issue(IP, NOW + 8), IP, NOW)


def test_an_id_belongs_to_one_address_and_one_key():
    given = ConnectionIds(KEY).issue(IP, NOW)
    assert not ConnectionIds(KEY).accepts(given, b"\x08\x08\x08\x09", NOW)
    assert not ConnectionIds(b"x" * KEY_BYTES).accepts(given, IP, NOW)


def test_every_bit_counts():
    ids = ConnectionIds(KEY)
    given = ids.issue(IP, NOW)
    for bit in range(64):
        forged = (int.from_bytes(given, "big") ^ 1 << bit).to_bytes(8, "big")
        assert not ids.accepts(forged, IP, NOW)


@pytest.mark.parametrize("now", [0.0, 3.0, 130.0])
def test_a_machine_without_a_clock_may_serve_too(now):
    ids = ConnectionIds(KEY)
    assert ids.accepts(ids.issue(IP, now), IP, now)
    for age in range(2**16):
        ids.accepts(age.to_bytes(2, "big") + bytes(6), IP, now)


@pytest.mark.parametrize("nonsense", [b"", b"\0", bytes(8), bytes(9), b"\xff" * 8])
def test_what_was_never_issued_is_not_accepted(nonsense):
    assert not ConnectionIds(KEY).accepts(nonsense, IP, NOW)
