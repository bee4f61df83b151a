"""The command beside its work: what it says of a wrong command line, and when nobody reads its output any more."""

import json
import os
import pty
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.e2e.compare import differences
from tests.e2e.program import LOOPBACK, WAIT_S, ask, code_of, share
from tests.e2e.tree import make_random_file

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


def redirected(redirection, *arguments):
    """Run a command to its end with its output going where a shell is told; return its exit code and what it said."""
    script = f'"$@" {redirection}'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script, "bash", *COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("share", "a"), ("share", "a", "--json")])
@pytest.mark.parametrize(("redirection", "reason"), [(">&-", "Bad file descriptor"), (">/dev/full", "No space left")])
def test_results_that_cannot_be_written_end_it_with_a_sentence(tmp_path, monkeypatch, arguments, redirection, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    code, told = redirected(redirection, *arguments, *(LOOPBACK if "share" in arguments else ()))
    assert code == 5, told
    assert told.splitlines()[-1].startswith(f"error: the output cannot be written ({reason}")
    assert "Traceback" not in told


@pytest.mark.parametrize("events", [("--json",), ()])
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", "2>&-", "2>/dev/full", ">&- 2>&- <&-", "2>&1 | :"])
def test_an_error_has_its_exit_code_though_it_cannot_be_written(tmp_path, events, redirection):
    code, told = redirected(redirection, "share", tmp_path / "missing", *events)
    assert code == 2
    assert told == ("" if "2>" in redirection else f"error: there is no folder '{tmp_path}/missing'\n")


@pytest.mark.parametrize(
    ("events", "redirection", "wanted"),
    [
        ((), ">&-", 0),
        ((), ">/dev/full", 0),
        ((), "| head -1", 0),
        ((), "2>&-", 0),
        ((), "2>/dev/full", 0),
        ((), ">&- 2>&- <&-", 0),
        (("--json",), "2>&-", 0),
        ((), "2>&1 | (exec <&-)", 130),
        (("--json",), "| head -1", 130),
        (("--json",), "2>&1 | head -1", 130),
        (("--json",), ">/dev/full", 5),
    ],
)
def test_a_get_does_not_need_those_who_read_its_sentences_but_ends_with_those_who_do(
    tmp_path, events, redirection, wanted
):
    make_random_file(tmp_path / "a/file", 2_000_000, seed=1)
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        slowly = ("--limit-down", "2M")  # so that there is something to say when the reader has gone
        code, told = redirected(redirection, "get", link, tmp_path / "b", *events, *slowly, *LOOPBACK)
    assert (code, "Traceback" in told) == (wanted, False), told
    if wanted == 0:
        assert differences(tmp_path / "a", tmp_path / "b") == []


def test_a_terminal_that_cannot_rewrite_a_line_is_told_what_is_waited_for_in_plain_lines(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
    monkeypatch.setenv("TERM", "dumb")
    ours, theirs = pty.openpty()
    command = [*COMMAND, "get", code_of(link), tmp_path / "b", "--timeout", "5", *LOOPBACK]
    with open(ours, closefd=True) as screen, subprocess.Popen(command, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        line = screen.readline()
        running.send_signal(signal.SIGINT)
    assert line.startswith("no peer reachable yet"), line


@pytest.mark.parametrize(
    ("module", "imported"),
    [("p2psync", "typer"), ("p2psync", "p2psync.cli"), ("p2psync", "trio"), ("tracker", "typer"), ("tracker", "trio")],
)
def test_ctrl_c_while_the_program_is_still_loading_ends_it_without_a_word(tmp_path, module, imported):
    (tmp_path / "a").mkdir()
    works = ("share", tmp_path / "a", *LOOPBACK) if module == "p2psync" else ("serve", "--listen", "127.0.0.1:0")
    command = [sys.executable, "-X", "importtime", "-m", module, *works]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr
        assert any(f" {imported}." in line for line in running.stderr), "told as each module is loaded"
        running.send_signal(signal.SIGINT)
        result, told = running.communicate(timeout=WAIT_S)
    assert (running.returncode, result) == (130, "")
    assert "Traceback" not in told, told


@pytest.mark.parametrize("module", ["p2psync", "tracker"])
def test_whoever_has_ctrl_c_ignored_is_not_interrupted_while_the_program_is_loading(module):
    script = "trap '' INT; exec \"$@\""
    command = ["bash", "-c", script, "bash", sys.executable, "-X", "importtime", "-m", module, "--version"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr
        assert any(" typer." in line for line in running.stderr), "told as each module is loaded"
        running.send_signal(signal.SIGINT)
        result, _ = running.communicate(timeout=WAIT_S)
    assert (running.returncode, result != "") == (0, True)


def test_a_completion_that_cannot_be_installed_is_a_sentence(monkeypatch):
    monkeypatch.setenv("HOME", "/proc")
    code, told = redirected("| cat", "--install-completion")  # with a pipe there is a shell above it, to be found out
    assert code == 5
    assert told.startswith("error: the completion cannot be installed (No such file or directory: '/proc/.bashrc')")
    assert redirected("| grep p2psync", "--show-completion") == (0, "")


@pytest.mark.parametrize("project", ["p2psync", "tracker"])
def test_the_installed_command_is_the_same_program(project):
    scripts = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["scripts"]
    assert f"{project}.__main__:main" in scripts.values()


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
