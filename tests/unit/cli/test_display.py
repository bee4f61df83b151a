import pytest

from p2psync.cli.display import TerminalDisplay, _Rates, progress_line
from p2psync.node.events import LocalAddition, Matched, Problem, Progress

MB = 1_000_000


def at(
    fetched: int = 0, *, sent: int = 0, state: str = "fetching", total: int = 100 * MB, waiting: str = ""
) -> Progress:
    return Progress(state, fetched, total, fetched, sent, 1, 0, waiting, round(sent / total, 3))


def shown(*events: Progress) -> str:
    """Return the line that stands there after the last of these events."""
    rates = _Rates()
    return [progress_line(event, rates) for event in events][-1]


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
    still = at(0, sent=80 * MB, state=state)
    shown_last = shown(at(0, state=state), at(0, sent=40 * MB, state=state), still, still)
    assert shown_last.replace("sent 0.80 times, ", "") == f"{state}: 1 peer"


def test_a_share_shows_how_often_it_has_sent_the_folder():
    assert "sent 1.25 times," in shown(at(0, state="serving"), at(0, sent=125 * MB, state="serving"))
    assert "times" not in shown(at(0, state="serving"))
    assert "times" not in shown(at(0), at(5 * MB, sent=5 * MB))


def test_a_transfer_that_stands_still_has_neither_rate_nor_end():
    assert shown(at(0), at(5 * MB), at(5 * MB)) == "fetching: 5 % of 100.0 MB, 1 peer"


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
