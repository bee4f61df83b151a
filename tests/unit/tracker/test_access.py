import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2psync.errors import ConfigError
from tracker.access import Access, Mode, RateLimiter, parse_hashes, parse_keys

HASH = "0123456789abcdef0123456789ABCDEF01234567"


def test_a_list_has_a_hash_a_line_and_comments():
    hashes = parse_hashes(f"# ours\n\n{HASH}  # the one\n  {'00' * 20}\n", source="list")
    assert hashes == {bytes.fromhex(HASH), bytes(20)}


def test_wrong_lines_are_named():
    with pytest.raises(ConfigError, match=r"list: .* line 2, 4$"):
        parse_hashes(f"{HASH}\nnonsense\n\n{HASH}00\n{HASH}", source="list")


def test_keys_are_words_one_a_line():
    keys = parse_keys("# members\nabc123\n  XYZ  # the lab\n", source="keys")
    assert keys == {b"abc123", b"XYZ"}
    assert Access(keys=keys).admits(b"XYZ")
    assert not Access(keys=keys).admits(b"")
    assert Access().admits(b"")


@pytest.mark.parametrize(
    "text", ["", "# none\n", "two words", "a/b", "schl\N{LATIN SMALL LETTER U WITH DIAERESIS}ssel", "a\n-"]
)
def test_a_list_of_keys_that_cannot_be_is_refused(text):
    with pytest.raises(ConfigError, match="keys: an access key"):
        parse_keys(text, source="keys")


def test_an_empty_list_is_a_list():
    assert parse_hashes("", source="list") == frozenset()
    assert not Access(Mode.ALLOW).permits(bytes(20))


def test_a_limiter_of_rate_zero_admits_all():
    limiter = RateLimiter(0, 1)
    assert all(limiter.admit(b"x", 0.0) for _ in range(1000))
    assert len(limiter) == 0


@given(gaps=st.lists(st.floats(0, 0.4), min_size=50, max_size=200))
def test_over_time_no_more_than_the_rate_and_the_burst_are_admitted(gaps):
    limiter, now, admitted = RateLimiter(5.0, 10), 100.0, 0
    for gap in gaps:
        now += gap
        admitted += limiter.admit(b"x", now)
    assert admitted <= 10 + 5.0 * (now - 100.0) + 1e-6


def test_who_keeps_to_the_rate_is_always_admitted():
    limiter = RateLimiter(5.0, 1)
    assert all(limiter.admit(b"x", 100.0 + number * 0.201) for number in range(500))


def test_owners_long_silent_are_forgotten():
    limiter = RateLimiter(10.0, 10)
    for number in range(1000):
        limiter.admit(number.to_bytes(4, "big"), 0.0)
    for now in (2.0, 4.0):
        limiter.admit(b"x", now)
    assert len(limiter) <= 2
