import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2psync.errors import ConfigError
from p2psync.node.timetable import DAYS, parse_rate, parse_timetable

DAY = 24 * 60


def at(text):
    """Read 'tue 9:30' as a minute of the week."""
    day, _, time = text.partition(" ")
    hour, _, minute = time.partition(":")
    return DAYS.index(day) * DAY + int(hour) * 60 + int(minute or 0)


def rate(table, when):
    return parse_timetable(table, option="--limit-up").rate(at(when))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10M", 10e6),
        ("500K", 500e3),
        ("500k", 500e3),
        ("1.5MB/s", 1.5e6),
        ("2MiB", 2 << 20),
        ("1G", 1e9),
        ("10000", 10_000),
        ("off", None),
    ],
)
def test_rates_are_bytes_a_second(text, value):
    assert parse_rate(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "10Mb", "10Mbit", "-1M", "M", "1e6", "10 M", "0", "9K", "1.M", "10MM", "1i", "OFF", "inf", "nan", "1,5M"],
)
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ConfigError):
        parse_rate(text)


def test_bits_are_refused_with_a_word_on_bytes():
    with pytest.raises(ConfigError, match="not bits"):
        parse_rate("80Mbit")


def test_who_wants_no_limit_and_writes_none_is_told_its_word():
    with pytest.raises(ConfigError, match="'off'"):
        parse_rate("0")


@pytest.mark.parametrize(
    ("table", "when", "value"),
    [
        ("10M", "sun 3", 10e6),
        ("mon-fri 9-18 2M, 10M", "mon 9", 2e6),
        ("mon-fri 9-18 2M, 10M", "fri 17:59", 2e6),
        ("mon-fri 9-18 2M, 10M", "fri 18", 10e6),
        ("mon-fri 9-18 2M, 10M", "mon 8:59", 10e6),
        ("mon-fri 9-18 2M, 10M", "sat 12", 10e6),
        ("mon-fri 9-18 2M", "sat 12", None),
        ("weekdays 9-18 off, 1M", "wed 10", None),
        ("weekends 5M", "sun 23:59", 5e6),
        ("weekends 5M", "mon 0", None),
        ("sat+mon 1M", "mon 5", 1e6),
        ("fri-mon 1M", "sun 5", 1e6),
        ("fri-mon 1M", "tue 0", None),
        ("22-6 9M, 1M", "tue 2", 9e6),
        ("22-6 9M, 1M", "tue 12", 1e6),
        ("sun 22-6 9M, 1M", "mon 5:59", 9e6),
        ("sun 22-6 9M, 1M", "tue 5", 1e6),
        ("sun 22-6 9M, 1M", "sun 5", 1e6),
        ("9:30-17:15 2M", "thu 17:14", 2e6),
        ("9:30-17:15 2M", "thu 9:29", None),
        ("20-24 3M", "thu 23:59", 3e6),
        ("daily 0-24 3M", "thu 12", 3e6),
        ("mon 1M, mon-tue 2M, 3M", "mon 1", 1e6),
        ("10 M", "sun 3", 10e6),
        ("1.5 MB/s", "sun 3", 1.5e6),
        ("mon 9-18 2 MiB, 10000 B", "mon 9", 2 << 20),
        ("mon 9-18 2 MiB, 10000 B", "mon 8", 10e3),
    ],
)
def test_the_first_time_that_fits_holds(table, when, value):
    assert rate(table, when) == value


@pytest.mark.parametrize(
    "table",
    [
        "",
        "10M,",
        ",10M",
        "9-18",
        "mon-fri",
        "mon-fri 9-18",
        "mo-fr 9-18 2M",
        "Mon 2M",
        "mon-fri-sun 2M",
        "mon+ 2M",
        "mon 9 2M",
        "mon 9-9 2M",
        "mon 25-26 2M",
        "mon 9:60-10 2M",
        "mon 24-6 2M",
        "9-18 mon 2M",
        "mon 9-18 10-12 2M",
        "10M, mon 2M",
        "2M 10M",
        "mon;tue 2M",
        "9-18 M",
        "mon 9 10 M",
        "10M M",
    ],
)
def test_what_is_no_timetable_is_refused_by_its_option(table):
    with pytest.raises(ConfigError, match="--limit-up"):
        parse_timetable(table, option="--limit-up")


@given(st.sets(st.integers(0, 6), min_size=1), st.integers(0, 23), st.integers(1, 24), st.integers(0, 7 * DAY - 1))
def test_a_row_holds_as_long_as_it_says(days, start, end, minute):
    if start == end:
        return
    names = "+".join(DAYS[day] for day in sorted(days))
    table = parse_timetable(f"{names} {start}-{end} 1M", option="x")
    minutes = sum(table.rate(at_) is not None for at_ in range(0, 7 * DAY, 60)) * 60
    # Spans that run into the next day may overlap its own: never more than their sum, never less than one of them.
    assert (end - start) % 24 * 60 <= minutes or (end - start) % 24 == 0
    assert minutes <= len(days) * ((end - start) % 24 or 24) * 60


@given(st.text(alphabet="monfrisatu-+: ,0123456789KMBi/of", max_size=30))
def test_anything_is_read_or_refused(text):
    try:
        table = parse_timetable(text, option="x")
    except ConfigError:
        return
    assert table.rate(0) is None or table.rate(0) >= 10_000
