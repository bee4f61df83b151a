"""What the options about memory and priority come to."""

import subprocess
import sys

import pytest

from p2psync.cli.options import read_memory
from p2psync.errors import ConfigError

STEP_BACK = """
import os, threading
from p2psync.node.priority import step_back
assert step_back() in (True, False)
told = []
thread = threading.Thread(target=lambda: told.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
thread.start()
thread.join()
print(os.nice(0), *told)
"""
STEP_BACK_AND_ASK = """
import ctypes, platform, threading
from p2psync.node import priority
assert priority.step_back()
ioprio_get = priority._IOPRIO_SET[platform.machine()] + 1
ask = lambda: print(ctypes.CDLL(None).syscall(ioprio_get, 1, 0))
ask()
thread = threading.Thread(target=ask)
thread.start()
thread.join()
"""


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("118M", 118 * 10**6),
        ("256Mi", 256 << 20),
        ("1G", 10**9),
        ("1GiB", 1 << 30),
        ("2T", 2 * 10**12),
        ("256m", 256 * 10**6),
        ("1g", 10**9),
        ("1gib", 1 << 30),
        ("118000K", 118 * 10**6),
    ],
)
def test_sizes(text, size):
    assert read_memory(text).total_bytes == size


@pytest.mark.parametrize("text", ["", "much", "256", "-1G", "1.5G", "1gg", "1Gi/s", "١G", "100M", "0k"])
def test_what_is_no_size_or_too_little_is_refused(text):
    with pytest.raises(ConfigError, match="--max-memory"):
        read_memory(text)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no nice")
def test_who_steps_back_is_last_with_all_threads_that_begin_later():
    told = subprocess.run([sys.executable, "-c", STEP_BACK], check=True, capture_output=True, text=True).stdout
    assert told.split() == ["19", "19"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has a priority for the disk")
def test_the_disk_is_ours_only_while_nobody_else_wants_it_in_threads_that_begin_later_too():
    told = subprocess.run([sys.executable, "-c", STEP_BACK_AND_ASK], check=True, capture_output=True, text=True).stdout
    assert [int(line) >> 13 for line in told.split()] == [3, 3]
