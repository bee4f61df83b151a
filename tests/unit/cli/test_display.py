import pytest

from p2psync.cli.display import Rates, TerminalDisplay, progress_line
from p2psync.node.events import LocalAddition, Matched, Problem, Progress

MB = 1_000_000


def at(
    fetched: int = 0, *, sent: int = 0, state: str = "fetching", total: int = 100 * MB, waiting: str = ""
) -> Progress:
    return Progress(state, fetched, total, fetched, sent, 1, 0, waiting, round(sent / total, 3))


def shown(*events: Progress, every_s: float = 0.5, then_s: float = 0.0) -> str:
    """Return the line that stands there after the last of these events, and `then_s` more in which nothing moves.

    It is looked at twice a second, as the program does, and the events come `every_s`.
    """
    rates = Rates()
    looks = int(2 * every_s)
    told = [event for event in events[:-1] for _ in range(looks)] + [events[-1]] * (1 + int(2 * then_s))
    return [progress_line(event, rates, now / 2) for now, event in enumerate(told)][-1]


def test_a_steady_transfer_is_shown_at_its_rate_from_the_start():
    assert shown(at(0), at(5 * MB)) == "fetching: 5 % of 100.0 MB, 10.0 MB/s, 0:09 left, 1 peer"


def test_time_spent_waiting_does_not_slow_the_rate_down():
    waits = [at(0, waiting=f"no peer yet {number}") for number in range(9)]
    assert "10.0 MB/s" in shown(*waits, at(0), at(5 * MB))


def test_the_rate_follows_a_transfer_that_slows_down():
    fast = [at(step * 5 * MB) for step in range(8)]
    slow = [at(35 * MB + step * 50_000) for step in range(1, 16)]
    assert 90 < float(shown(*fast, *slow).split(", ")[1].removesuffix(" kB/s")) < 200


@pytest.mark.parametrize("state", ["serving", "matched"])
def test_no_rate_is_left_standing_when_nothing_moves(state):
    sent = [at(0, state=state), at(0, sent=40 * MB, state=state), at(0, sent=80 * MB, state=state)]
    assert "sending 80.0 MB/s" in shown(*sent)
    shown_last = shown(*sent, then_s=2.5)
    assert shown_last.replace("sent 0.80 times, ", "") == f"{state}: 1 peer"


def test_a_share_shows_how_often_it_has_sent_the_folder():
    assert "sent 1.25 times," in shown(at(0, state="serving"), at(0, sent=125 * MB, state="serving"))
    assert "times" not in shown(at(0, state="serving"))
    assert "times" not in shown(at(0), at(5 * MB, sent=5 * MB))


def test_a_transfer_that_stands_still_has_neither_rate_nor_end():
    assert shown(at(0), at(5 * MB), then_s=2.5) == "fetching: 5 % of 100.0 MB, 1 peer"


@pytest.mark.parametrize("pause_s", [0.0, 2.0, 4.0, 7.5])
def test_a_block_every_eight_seconds_is_shown_at_the_rate_of_the_line_all_the_while(pause_s):
    blocks = [at(number * MB) for number in range(6)]
    assert shown(*blocks, every_s=8, then_s=pause_s) == "fetching: 5 % of 100.0 MB, 125.0 kB/s, 12:40 left, 1 peer"


def test_the_first_block_of_a_slow_line_took_since_fetching_began():
    assert "125.0 kB/s, 13:12 left" in shown(at(0), at(MB), every_s=8)


def test_a_rate_sinks_when_the_next_block_is_overdue():
    blocks = [at(number * MB) for number in range(6)]
    rates = [float(shown(*blocks, every_s=8, then_s=s).split(", ")[1].removesuffix(" kB/s")) for s in (8, 10, 14, 16)]
    assert rates[0] == 125.0
    assert sorted(set(rates), reverse=True) == rates


def test_an_hour_without_a_taker_does_not_slow_the_rate_of_sending_down():
    quiet = [at(0, state="serving")] * 7200
    sent = [at(0, sent=number * MB, state="serving") for number in range(1, 4)]
    assert "sending 2.0 MB/s" in shown(*quiet, *sent)
    earlier = at(0, sent=MB, state="serving")
    assert "sending" not in shown(at(0, state="serving"), *[earlier] * 7200)
    later = [at(0, sent=number * MB, state="serving") for number in range(2, 5)]
    assert "sending 2.0 MB/s" in shown(at(0, state="serving"), *[earlier] * 7200, *later)


def test_of_many_paths_that_are_left_alone_ten_are_named_each_time_and_the_others_counted(capsys):
    with TerminalDisplay() as display:
        for path in range(1234):
            display.show(LocalAddition(f"mine/{path}"))
        display.show(Problem("path", "no"))
        for path in range(10):
            display.show(LocalAddition(f"later/{path}"))
        display.show(Matched("aa", 3, 60 * MB, 50 * MB, 10 * MB, 0, 0, 4.2))
    told = capsys.readouterr().err.splitlines()
    named = [f"left alone, not part of the folder: mine/{path}" for path in range(10)]
    assert told[:12] == [*named, "left alone as well: 1,224 paths more", "error: no"]
    assert told[21] == "left alone, not part of the folder: later/9"
    assert told[22].startswith("matches: 3 files")


def test_a_later_match_tells_what_was_fetched_for_it_alone(capsys):
    with TerminalDisplay() as display:
        display.show(Matched("aa", 3, 60 * MB, 50 * MB, 10 * MB, 0, 0, 4.2))
        display.show(Matched("bb", 3, 61 * MB, 51 * MB, 60 * MB, 0, 1, 86400.0))
    assert capsys.readouterr().err.splitlines() == [
        "matches: 3 files, 60.0 MB (50.0 MB fetched, 10.0 MB found here) in 4.2 s",
        "matches: 3 files, 61.0 MB (1.0 MB fetched, 60.0 MB found here)",
        "1 path of yours moved to .p2psync/versions",
    ]
