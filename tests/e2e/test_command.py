"""The command beside its work: what it says of a wrong command line, and when nobody reads its output any more."""

import json
import signal
import subprocess
import sys

import pytest

from tests.e2e.program import LOOPBACK, WAIT_S, ask

COMMAND = (sys.executable, "-m", "p2psync")


@pytest.mark.parametrize("arguments", [("share",), ("get", "LINK"), ("fetch", "x"), ("share", "x", "--prot", "1")])
def test_a_wrong_command_line_is_an_event_where_events_are_asked_for(arguments):
    done = ask(*arguments, "--json")
    (event,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, event["event"], event["kind"]) == (2, "error", "usage")
    assert event["message"] in done.stderr


def test_a_wrong_command_line_is_explained_to_people_on_stderr():
    done = ask("share")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: p2psync share" in done.stderr


@pytest.mark.parametrize("events", [("--json",), ()])
def test_it_ends_without_a_traceback_when_nobody_reads_its_output_any_more(tmp_path, events):
    (tmp_path / "a").mkdir()
    command = [*COMMAND, "share", tmp_path / "a", *events, *LOOPBACK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout
        running.stdout.close()
        _, told = running.communicate(timeout=WAIT_S)
    assert (running.returncode, b"Traceback" in told) == (130, False), told


@pytest.mark.parametrize(("called", "shown"), [("", "p2psync get "), ("./scripts/p2psync", "./scripts/p2psync get ")])
def test_the_line_to_paste_names_the_command_as_it_was_called(tmp_path, monkeypatch, called, shown):
    if called:
        monkeypatch.setenv("P2PSYNC_COMMAND", called)
    (tmp_path / "a").mkdir()
    with subprocess.Popen([*COMMAND, "share", tmp_path / "a", *LOOPBACK], stdout=subprocess.PIPE) as running:
        assert running.stdout
        line = running.stdout.readline().decode()
        running.send_signal(signal.SIGINT)
    assert line.startswith(shown + "'p2psync:"), line
