"""Asking a running process: peers, status, limit."""

import json
import subprocess
import sys

import pytest

from p2psync.errors import ConfigError
from p2psync.node.control import ask_control
from tests.e2e.program import AS_A_USER, WAIT_S, ask, eventually, get, share
from tests.e2e.tree import make_random_file


def asked(command, folder, *options):
    told = ask(command, folder, *options, "--json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_both_sides_tell_of_each_other_while_they_work_and_take_a_limit(tmp_path):
    make_random_file(tmp_path / "a/large", 30_000_000, seed=1)
    with share(tmp_path / "a", "--limit-up", "3M") as sharer:
        ready = sharer.wait_event("ready")
        with get(ready["link"], tmp_path / "b") as getter:
            getter.wait_event("progress", state="fetching")
            eventually(lambda: 0.1 < (asked("peers", tmp_path / "a")["peers"][0]["held"] or 0) < 1, "a part is held")
            (source,) = asked("peers", tmp_path / "b")["peers"]
            assert (source["address"], source["direction"], source["held"]) == (ready["listen"], "out", 1.0)
            assert 1e6 < source["down_bytes_per_s"] < 4e6
            (taker,) = asked("peers", tmp_path / "a")["peers"]
            assert (taker["direction"], taker["up_limit"]) == ("in", 3e6)
            assert asked("status", tmp_path / "b")["state"] == "fetching"
            changed = asked("limit", tmp_path / "a", "--up", "mon-sun 60M", "--peer-up", "50M")
            assert changed["limits"]["up"] == {"set": "mon-sun 60M", "now": 60e6}
            assert getter.complete()["seconds"] < 9
        progress = [event for event in sharer.events if event["event"] == "progress"]
        assert all(event["copies_sent"] == round(event["uploaded_bytes"] / 30e6, 3) for event in progress[1:])
        eventually(lambda: 0.98 < sharer.events[-1].get("copies_sent", 0) < 1.02, "one copy was sent, it says")
        make_random_file(tmp_path / "a/small", 10, seed=2)
        assert sharer.wait_event("published")["uploaded_bytes"] == pytest.approx(30_000_000, rel=0.02)
        assert asked("status", tmp_path / "a")["copies_sent"] == pytest.approx(1.0, abs=0.02)
        assert "sent so far: 1.0" in ask("peers", tmp_path / "a").stdout


def test_a_limit_that_is_none_changes_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    with share(tmp_path / "a", "--limit-up", "3M") as sharer:
        sharer.wait_event("ready")
        for none in ("fast", ""):
            assert ask("limit", tmp_path / "a", "--up", none).returncode == 2
        assert "send at most  3.0 MB/s" in ask("limit", tmp_path / "a").stdout


def test_a_question_that_is_none_is_answered_and_harms_nobody(tmp_path):
    make_random_file(tmp_path / "a/small", 10, seed=1)
    with share(tmp_path / "a") as sharer:
        sharer.wait_event("ready")
        for question in ({}, {"command": "dance"}, {"command": ["peers"]}, {"command": {}}):
            with pytest.raises(ConfigError, match="does not know the command"):
                ask_control(tmp_path / "a/.p2psync", question)
        assert sharer.is_running()


def test_nothing_is_said_to_be_sent_so_many_times_while_no_size_is_known(tmp_path):
    (tmp_path / "a").mkdir()  # as long as nothing has been found, a folder looks empty
    with share(tmp_path / "a") as sharer:
        sharer.wait_event("ready")
        assert asked("peers", tmp_path / "a") == {"event": "peers", "peers": [], "copies_sent": None}
        assert ask("peers", tmp_path / "a").stdout == "nobody is linked\n"
        assert "times the folder" not in ask("status", tmp_path / "a").stdout


def test_a_folder_that_is_none_is_not_said_to_have_nothing_running(tmp_path):
    told = ask("status", tmp_path / "missing")
    assert (told.returncode, told.stderr) == (2, f"error: there is no folder '{tmp_path}/missing'\n")
    told = ask("status", tmp_path, "--state-dir", tmp_path / "missing")
    assert (told.returncode, told.stderr) == (2, f"error: there is no folder '{tmp_path}/missing'\n")
    (tmp_path / "file").touch()
    told = ask("status", tmp_path / "file")
    assert (told.returncode, told.stderr) == (5, f"error: '{tmp_path}/file' is not a folder\n")


@pytest.mark.parametrize("closed", [".p2psync", ".p2psync/control"])
def test_what_another_user_runs_is_not_said_not_to_run(tmp_path, closed):
    (tmp_path / "a").mkdir()
    with share(tmp_path / "a") as sharer:
        sharer.wait_event("ready")
        (tmp_path / "a/.p2psync").chmod(0o755)
        (tmp_path / "a" / closed).chmod(0o000)
        told = subprocess.run(
            [*AS_A_USER, sys.executable, "-m", "p2psync", "status", tmp_path / "a"],
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        (tmp_path / "a/.p2psync").chmod(0o700)
    assert (told.returncode, told.stdout) == (5, "")
    assert told.stderr.startswith(f"error: no permission to ask in '{tmp_path}/a/.p2psync'"), told.stderr


@pytest.mark.parametrize("command", ["peers", "status", "limit"])
def test_where_nothing_runs_a_sentence_says_so(tmp_path, command):
    told = ask(command, tmp_path)
    assert told.returncode == 3
    assert f"nothing is running with its state in '{tmp_path}/.p2psync'" in told.stderr


def test_a_share_with_its_state_elsewhere_is_found_by_the_option_that_is_named_without_it(tmp_path):
    (tmp_path / "a").mkdir()
    elsewhere = ("--state-dir", tmp_path / "state")
    with share(tmp_path / "a", *elsewhere) as sharer:
        sharer.wait_event("listening")
        assert "give the --state-dir that it was started with" in ask("status", tmp_path / "a").stderr
        eventually(lambda: ask("status", tmp_path / "a", *elsewhere).returncode == 0, "it is found")


@pytest.mark.parametrize("command", ["peers", "status", "limit", "first"])
def test_commands_that_ask_keep_no_state(command):
    told = " ".join(ask(command, "--help").stdout.split())
    assert "Where a share has its state" in told
    assert "Keep p2psync's state" not in told
