"""`--background`: the machine is left to others, or it is said that it is not."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.program import BIN, LOOPBACK, Program, get, share
from tests.e2e.tree import make_random_tree

ON_ANOTHER_MACHINE = """
import platform
platform.machine = lambda: "vax"
from p2psync.cli.main import main
main()
"""


@pytest.fixture
def folder(tmp_path):
    make_random_tree(tmp_path / "a", 20, seed=1)
    return tmp_path / "a"


def niceness(program):
    found = set()
    for task in Path(f"/proc/{program.pid}/task").iterdir():
        with suppress(ProcessLookupError):  # a thread that had nothing to do has ended
            found.add(os.getpriority(os.PRIO_PROCESS, int(task.name)))
    return found


def test_every_thread_of_who_works_in_the_background_steps_back(folder, tmp_path):
    with share(folder, "--background") as sharer:
        ready = sharer.wait_event("ready")
        with get(ready["link"], tmp_path / "b", "--background", "--seed") as getter:
            getter.wait_event("matched")
            assert niceness(getter) == {19}
        assert niceness(sharer) == {19}
        assert not [event for event in sharer.events if event["event"] == "note"]


def test_a_system_on_which_the_disk_cannot_be_left_to_others_is_told_of(folder):
    command = (sys.executable, "-c", ON_ANOTHER_MACHINE, "share", folder, "--json", "--background", *LOOPBACK)
    with Program(*command) as sharer:
        assert "disk" in sharer.wait_event("note")["message"]
        assert sharer.events[0]["event"] == "listening"
        sharer.wait_event("ready")
        assert niceness(sharer) == {19}


def test_without_the_option_nobody_steps_back(folder):
    with Program(BIN / "p2psync", "share", folder, "--json", *LOOPBACK) as sharer:
        sharer.wait_event("ready")
        assert niceness(sharer) == {os.getpriority(os.PRIO_PROCESS, 0)}
