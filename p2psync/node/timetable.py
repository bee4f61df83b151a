"""Limits that depend on the day and the hour: '10M', or 'mon-fri 9-18 2M, sat 500K, 10M'. Pure."""

import re
from dataclasses import dataclass

from p2psync.errors import ConfigError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = 7 * _DAY_MINUTES
_DAY_GROUPS = {"weekdays": range(5), "weekends": range(5, 7), "daily": range(7)}
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_BINARY_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
LOWEST_RATE = 10_000
"""Bytes a second. Below it peers take us for dead, as a few of them share it."""
NO_LIMIT = "off"

_NUMBER = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)")
_UNIT = re.compile(r"([kKmMgG]?)(i?)B?(?:/s)?")
_RATE = re.compile(_NUMBER.pattern + _UNIT.pattern)
_DAY_SPAN = re.compile(r"([a-z]{3})(?:-([a-z]{3}))?")
_HOUR_SPAN = re.compile(r"([0-9]{1,2})(?::([0-9]{2}))?-([0-9]{1,2})(?::([0-9]{2}))?")


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """Days of the week, and minutes of the day; a span over midnight belongs to the day on which it begins.

    Attributes:
        days: 0 is Monday.
        start: Minute of the day at which it begins.
        end: Minute of the day before which it ends; at or before `start` for the next day.
    """

    days: frozenset[int] = frozenset(range(7))
    start: int = 0
    end: int = _DAY_MINUTES

    def holds(self, week_minute: int) -> bool:
        """Say whether a minute of the week, from Monday 0:00 on, lies in it."""
        length = (self.end - self.start) % _DAY_MINUTES or _DAY_MINUTES
        return any((week_minute - day * _DAY_MINUTES - self.start) % _WEEK_MINUTES < length for day in self.days)


@dataclass(frozen=True, slots=True)
class Timetable:
    """Rates with the times at which they hold, the first that fits first.

    Attributes:
        rows: Times, and bytes a second, or None for no limit.
        text: As the user wrote it; empty for no limit.
    """

    rows: tuple[tuple[TimeSpan, float | None], ...] = ()
    text: str = ""

    def rate(self, week_minute: int) -> float | None:
        """Return the limit in a minute of the week (0 is Monday 0:00), or None if there is none then."""
        return next((rate for span, rate in self.rows if span.holds(week_minute)), None)


UNLIMITED = Timetable()


def parse_timetable(text: str, *, option: str) -> Timetable:
    """Read a rate, or several with their times, separated by commas.

    Args:
        text: What the user gave.
        option: What it was given for, to name it in errors.

    Raises:
        ConfigError: It is none.
    """
    try:
        rows = tuple(_parse_row(row.split()) for row in text.split(","))
        _check_reach(rows)
    except ConfigError as error:
        raise ConfigError(f"{option} {text!r}: {error}") from None
    return Timetable(rows, text.strip())


def parse_rate(text: str) -> float | None:
    """Read bytes a second, as in `10M`, `500K`, `1.5MB/s` or `2MiB`; `off` is no limit.

    Raises:
        ConfigError: It is none, or too low to be of use.
    """
    if text == NO_LIMIT:
        return None
    match = _RATE.fullmatch(text)
    if match is None or (match[3] and not match[2]):
        raise ConfigError(
            f"{text!r} is no rate: write bytes (not bits) a second, as in 10M, 500K or 1.5MB, or '{NO_LIMIT}'"
        )
    unit = match[2].lower()
    rate = float(match[1]) * (_BINARY_UNITS[unit] if match[3] else _UNITS[unit])
    if rate < LOWEST_RATE:
        raise ConfigError(
            f"{text!r} is below the lowest limit, {LOWEST_RATE // 1000}K (bytes a second); '{NO_LIMIT}' is no limit"
        )
    return rate


def _parse_row(words: list[str]) -> tuple[TimeSpan, float | None]:
    if not words:
        raise ConfigError("a rate is missing")
    *times, rate = words
    if times and _UNIT.fullmatch(rate) and _NUMBER.fullmatch(times[-1]):  # a rate with a space: hours have a dash
        rate = times.pop() + rate
    span = TimeSpan()
    if times and not times[0][0].isdigit():
        span = TimeSpan(_parse_days(times.pop(0)))
    if times:
        span = TimeSpan(span.days, *_parse_hours(times.pop(0)))
    if times:
        raise ConfigError(f"{' '.join(words)!r} must be DAYS HOURS RATE, of which the first two may be left out")
    return span, parse_rate(rate)


def _parse_days(text: str) -> frozenset[int]:
    if text in _DAY_GROUPS:
        return frozenset(_DAY_GROUPS[text])
    days: set[int] = set()
    for part in text.split("+"):
        match = _DAY_SPAN.fullmatch(part)
        first, last = (match[1], match[2] or match[1]) if match else ("", "")
        if first not in DAYS or last not in DAYS:
            raise ConfigError(f"{text!r} are no days: write mon, mon-fri, sat+sun, weekdays, weekends or daily")
        start = DAYS.index(first)
        days.update((start + step) % 7 for step in range((DAYS.index(last) - start) % 7 + 1))
    return frozenset(days)


def _parse_hours(text: str) -> tuple[int, int]:
    match = _HOUR_SPAN.fullmatch(text)
    if match:
        start = int(match[1]) * 60 + int(match[2] or 0)
        end = int(match[3]) * 60 + int(match[4] or 0)
        minutes = (int(match[2] or 0), int(match[4] or 0))
        if start < _DAY_MINUTES and end <= _DAY_MINUTES and max(minutes) < 60 and start != end:
            return start, end
    raise ConfigError(f"{text!r} are no hours: write 9-18, 9:30-17 or 22-6 (local time)")


def _check_reach(rows: tuple[tuple[TimeSpan, float | None], ...]) -> None:
    always = next((at for at, (span, _) in enumerate(rows) if span == TimeSpan()), None)
    if always is not None and always < len(rows) - 1:
        raise ConfigError("the rate without a time must stand last: the first that fits holds")
