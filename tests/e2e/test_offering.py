"""A first scan that lasts: what it has found so far is served, and whoever follows is told why it is not all."""

import os
import signal
import threading
from contextlib import contextmanager

from tests.e2e.program import follow, share

FILES, SOURCES = 60_000, 3


def make_folder(root):
    """Make many small files, which take long to look at and no time to make: links to a few."""
    for number in range(SOURCES):
        (root / f"d{number}").mkdir(parents=True)
        (root / f"d{number}/source").write_bytes(b"%d" % number)
        for name in range(FILES // SOURCES):
            os.link(root / f"d{number}/source", root / f"d{number}/{name}")


@contextmanager
def slowed(program):
    """Let a program run a fifth of the time, as on a slow machine: how fast this one scans is not the question."""
    over = threading.Event()

    def stop_and_go():
        while not over.wait(0.02) and program.is_running():
            os.kill(program.pid, signal.SIGSTOP)
            over.wait(0.08)
            os.kill(program.pid, signal.SIGCONT)

    thread = threading.Thread(target=stop_and_go)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_first_scan_that_lasts_is_offered_and_followers_say_that_it_goes_on(tmp_path):
    make_folder(tmp_path / "a")
    with share(tmp_path / "a") as sharer:
        sharer.wait_event("listening")
        with slowed(sharer):
            offering = sharer.wait_event("offering")
            assert 0 < offering["files"] < FILES
            with follow(offering["link"], tmp_path / "b") as follower:
                follower.wait_event(
                    "progress", waiting_for="scanning on the other side: what it has found so far is fetched already"
                )
                assert [event for event in follower.events if event["event"] == "matched"] == []
                assert [event for event in sharer.events if event["event"] == "ready"] == []
        ready = sharer.wait_event("ready")
        assert (ready["files"], ready["link"]) == (FILES + SOURCES, offering["link"])
