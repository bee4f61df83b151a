"""Limits as the user sets them."""

import pytest

from tests.e2e.compare import differences
from tests.e2e.program import ask, get, share
from tests.e2e.tree import make_random_file


@pytest.mark.parametrize(
    ("sharer", "getter"),
    [
        (["--limit-up", "10M"], []),
        ([], ["--limit-down", "10M"]),
        ([], ["--limit-peer-down", "mon-sat 10M, sun 10M, 10K"]),
    ],
)
def test_a_limit_holds_from_one_program_to_another(tmp_path, sharer, getter):
    make_random_file(tmp_path / "a/large", 40_000_000, seed=1)
    with share(tmp_path / "a", *sharer) as sharing:
        link = sharing.wait_event("ready")["link"]
        with get(link, tmp_path / "b", *getter) as getting:
            matched = getting.complete()
    # What is above 4.0 s is start and end of the program, and whatever else this machine does.
    assert 3.9 < matched["seconds"] < 6.0
    assert differences(tmp_path / "a", tmp_path / "b") == []


@pytest.mark.parametrize("limit", ["10Mbit", "fast", "mon-fri 9-18", "5K", ""])
def test_what_is_no_limit_is_refused_in_a_sentence(tmp_path, limit):
    (tmp_path / "a").mkdir()
    told = ask("share", tmp_path / "a", "--limit-up", limit, timeout_s=10)
    assert told.returncode == 2
    assert "--limit-up" in told.stderr
    assert "Traceback" not in told.stderr
