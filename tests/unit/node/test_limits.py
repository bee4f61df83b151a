import trio

from p2psync.node.limits import LimitOptions, LimitSchedule
from p2psync.node.timetable import parse_timetable
from p2psync.swarm.limiter import Rates


def table(text):
    return parse_timetable(text, option="x")


async def test_limits_follow_the_clock(nursery, autojump_clock):
    week_minute = 0
    schedule = LimitSchedule(LimitOptions(up=table("mon 9-18 2M, 10M")), lambda: week_minute)
    nursery.start_soon(schedule.run)
    seen = []
    for week_minute in (8 * 60, 9 * 60, 18 * 60):  # noqa: B007 - the lambda reads it
        await trio.sleep(6)
        seen.append(schedule.limits.rates.up)
    assert seen == [10e6, 2e6, 10e6]


async def test_a_change_holds_at_once_and_leaves_the_rest():
    schedule = LimitSchedule(LimitOptions(up=table("10M"), down=table("1M")), lambda: 0)
    changed = schedule.limits.changed
    schedule.change(up=table("5M"))
    assert schedule.limits.rates == Rates(up=5e6, down=1e6)
    assert changed.is_set()
