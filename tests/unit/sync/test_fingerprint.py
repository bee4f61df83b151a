import os

import pytest

from p2psync.sync.fingerprint import (
    CLOCK_TICK_NS,
    COARSE_TICK_NS,
    UNSETTLED,
    fingerprint,
    is_settled,
    looks_like,
    settled_fingerprint,
    unsettled,
)


class Stat:
    """What the fingerprint reads of a stat result, each value of our choice."""

    def __init__(self, **values: int) -> None:
        self.st_mode, self.st_size, self.st_ino = 0o100644, 10, 3
        self.st_mtime_ns, self.st_ctime_ns = 10**18, 2 * 10**18
        self.__dict__.update(values)


CHANGES = [
    {"st_size": 11},
    {"st_mtime_ns": 10**18 + 1},
    {"st_ctime_ns": 2 * 10**18 + 1},
    {"st_ino": 4},
    {"st_mode": 0o100645},
    {"st_mode": 0o120644},
    {"st_mtime_ns": -1},
    {"st_mtime_ns": 2**63},
    {"st_ctime_ns": 2**63},
    {"st_ino": 2**64 - 1},
]


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_a_file_shows(change):
    assert fingerprint(Stat()) == fingerprint(Stat())
    assert fingerprint(Stat(**change)) != fingerprint(Stat())
    assert fingerprint(Stat(**change)) != UNSETTLED


def test_a_directory_is_known_by_its_own_state_not_by_what_happens_inside():
    directory = 0o040755
    before = fingerprint(Stat(st_mode=directory))
    assert fingerprint(Stat(st_mode=directory, st_size=4096, st_ctime_ns=5)) == before
    for change in [{"st_mode": 0o040700}, {"st_mtime_ns": 7}, {"st_ino": 4}]:
        assert fingerprint(Stat(**{"st_mode": directory} | change)) != before


@pytest.mark.parametrize(
    ("age_ns", "settled"), [(CLOCK_TICK_NS + 1, True), (CLOCK_TICK_NS, False), (0, False), (-(10**9), False)]
)
@pytest.mark.parametrize("is_coarse", [False, True])
def test_a_file_touched_within_a_tick_of_the_scan_is_not_settled(age_ns, settled, is_coarse):
    """A time of whole seconds may be that of a file system which keeps no others."""
    stat = Stat(st_ctime_ns=2 * 10**18 + (not is_coarse))
    if is_coarse and age_ns > 0:
        age_ns += COARSE_TICK_NS - CLOCK_TICK_NS
    mark = settled_fingerprint(stat, stat.st_ctime_ns + age_ns)
    assert is_settled(mark) is settled
    assert (mark == fingerprint(stat)) is settled
    assert looks_like(mark, fingerprint(stat))


def test_an_old_mtime_does_not_make_a_fresh_file_settled():
    assert not is_settled(settled_fingerprint(Stat(st_mtime_ns=0), 2 * 10**18))


def test_what_nobody_looked_at_looks_like_nothing_and_is_not_settled():
    assert unsettled(UNSETTLED) == UNSETTLED
    assert not is_settled(UNSETTLED)
    assert not looks_like(UNSETTLED, UNSETTLED)
    assert not looks_like(UNSETTLED, fingerprint(Stat()))
    assert not looks_like(fingerprint(Stat()), UNSETTLED)


@pytest.mark.parametrize("change", CHANGES)
def test_an_unsettled_mark_still_tells_one_look_from_another(change):
    mark = unsettled(fingerprint(Stat()))
    assert mark == unsettled(mark) != fingerprint(Stat())
    assert looks_like(mark, fingerprint(Stat()))
    assert not looks_like(mark, fingerprint(Stat(**change)))


def test_a_directory_is_always_settled():
    stat = Stat(st_mode=0o040755)
    assert settled_fingerprint(stat, 0) == fingerprint(stat)


def test_a_real_file_keeps_its_fingerprint_until_it_is_changed(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"content")
    before = fingerprint(file.stat())
    assert fingerprint(file.stat()) == before
    os.utime(file, ns=(0, 16_725_225_600 * 10**9))  # the year 2500
    assert fingerprint(file.stat()) != before
