"""Commands that ask a running process: peers, status, limit, first."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from p2psync.cli.tables import first_lines, limit_lines, peer_lines, sent_lines, status_lines
from p2psync.errors import ConfigError, StoreError, UnreachableError
from p2psync.node.control import ask_control
from p2psync.node.peer_table import read_row
from p2psync.store.folder_state import STATE_NAME


def ask(directory: Path, state_directory: Path | None, question: Mapping[str, Any], *, as_json: bool) -> None:
    """Ask the process that is at work on a folder, and print its answer.

    With `wait` in the question, the answer may take as long as the process lives.

    Raises:
        UnreachableError: There is none.
        ConfigError: It does not take the question, or there is no such folder.
        StoreError: What is waited for cannot be made there; or it is no folder, or not ours to ask.
    """
    try:
        answer = ask_control(state_directory or directory / STATE_NAME, question, waits=bool(question.get("wait")))
    except UnreachableError:
        _check_is_folder(state_directory or directory)
        raise
    if as_json:
        sys.stdout.write(json.dumps({"event": question["command"]} | answer) + "\n")
    elif answer.get("read_at") and answer.get("ready") and not sys.stdout.isatty():
        # What reads this opens the place: its name as it is, also where that is no text or would upset a terminal.
        sys.stdout.buffer.write(os.fsencode(answer["read_at"]) + b"\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _LINES[question["command"]](answer)))


def _check_is_folder(directory: Path) -> None:
    """Refuse what is no folder, as the commands that work on one do."""
    if not os.path.lexists(directory):
        raise ConfigError(f"there is no folder {str(directory)!r}")
    if not os.path.isdir(directory):
        raise StoreError(f"{str(directory)!r} is not a folder")


def _peers(answer: Mapping[str, Any]) -> Sequence[str]:
    rows = [read_row(row) for row in answer.get("peers", ())]
    return [*(peer_lines(rows) or ["nobody is linked"]), *sent_lines(answer)]


_LINES: Mapping[str, Callable[[Mapping[str, Any]], Sequence[str]]] = {
    "peers": _peers,
    "status": status_lines,
    "first": first_lines,
    "limit": lambda answer: limit_lines(answer.get("limits", {})),
}
