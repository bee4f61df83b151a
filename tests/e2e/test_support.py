"""The support modules themselves: a comparer that misses a difference would let every other test here pass."""

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tests.e2e import lab
from tests.e2e.compare import differences
from tests.e2e.program import Program, eventually
from tests.e2e.relay import Relay
from tests.e2e.tree import make_random_file, make_random_tree, make_specials, make_strange_tree, size_bytes

PRINTER = "import json, sys, time; print(json.dumps({'event': 'ready', 'n': 1}), flush=True); "


def copy(source, target):
    subprocess.run(["cp", "--archive", "--", source, target], check=True)


def test_a_faithful_copy_of_the_strange_tree_matches(tmp_path):
    make_strange_tree(tmp_path / "a")
    copy(tmp_path / "a", tmp_path / "b")
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_state_folder_is_not_compared_but_one_deeper_is(tmp_path):
    (tmp_path / "a/inner/.p2psync").mkdir(parents=True)
    copy(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b/.p2psync").mkdir()
    assert differences(tmp_path / "a", tmp_path / "b") == []
    (tmp_path / "b/inner/.p2psync").rmdir()
    assert differences(tmp_path / "a", tmp_path / "b") == ["'inner/.p2psync' is missing"]


def test_specials_are_left_out_of_what_is_expected_only(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    make_specials(tmp_path / "a")
    assert differences(tmp_path / "a", tmp_path / "b") == []
    assert len(differences(tmp_path / "b", tmp_path / "a")) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: (root / "file").write_bytes(b"ABD"), "digest"),
        (lambda root: (root / "file").write_bytes(b"ABCD"), "size_bytes"),
        (lambda root: (root / "file").chmod(0o600), "mode"),
        (lambda root: os.utime(root / "file", ns=(0, 1)), "mtime_ns"),
        (lambda root: (root / "folder").chmod(0o500), "mode"),
        (lambda root: (root / "folder").rmdir(), "missing"),
        (lambda root: (root / "more").mkdir(), "should not be there"),
        (lambda root: [(root / "link").unlink(), (root / "link").symlink_to("other")], "target"),
        (lambda root: os.utime(root / "link", ns=(0, 1), follow_symlinks=False), "mtime_ns"),
        (lambda root: [(root / "link").unlink(), (root / "link").write_bytes(b"ABC")], "kind"),
        (lambda root: [(root / "folder").rmdir(), (root / "folder").touch()], "kind"),
    ],
)
def test_every_sort_of_change_is_a_difference(tmp_path, change, said):
    (tmp_path / "a/folder").mkdir(parents=True)
    (tmp_path / "a/file").write_bytes(b"ABC")
    (tmp_path / "a/link").symlink_to("file")
    copy(tmp_path / "a", tmp_path / "b")
    change(tmp_path / "b")
    assert said in "; ".join(differences(tmp_path / "a", tmp_path / "b"))


def test_random_files_are_the_same_for_the_same_seed_alone(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_random_file(tmp_path / name / "file", (1 << 24) + 5, seed=seed)
    a, b, c = ((tmp_path / name / "file").read_bytes() for name in "abc")
    assert a == b != c
    assert len(a) == len(c) == (1 << 24) + 5


def test_random_tree_has_the_files_asked_for(tmp_path):
    make_random_tree(tmp_path / "a", 65, seed=3)
    assert sum(path.is_file() for path in (tmp_path / "a").rglob("*")) == 65
    assert size_bytes(tmp_path / "a") > 65


def test_program_hands_over_events_and_the_exit_code():
    with Program(sys.executable, "-c", PRINTER + "sys.exit(3)") as program:
        assert program.wait_event("ready", n=1) == {"event": "ready", "n": 1}
        assert program.wait() == 3


def test_program_fails_at_once_when_the_event_can_no_longer_come():
    with (
        Program(sys.executable, "-c", PRINTER + "print('why', file=sys.stderr)") as program,
        pytest.raises(AssertionError, match=r"ready with \{'n': 2\}, but it ended[^!]*why"),
    ):
        program.wait_event("ready", n=2, timeout_s=60)


def test_program_waits_no_longer_than_told_and_ends_what_still_runs():
    with (
        Program(sys.executable, "-c", PRINTER + "time.sleep(60)") as program,
        pytest.raises(AssertionError, match=r"for 0.1 s"),
    ):
        program.wait_event("matched", timeout_s=0.1)
    assert program.wait() == -signal.SIGKILL


@pytest.mark.parametrize("line", ["hello", "[1]", '{"kind": "no event"}'])
def test_program_refuses_what_is_no_event_on_stdout(line):
    with pytest.raises(AssertionError, match="events only"), Program("echo", line) as program:
        program.wait()


def test_program_refuses_a_traceback():
    with pytest.raises(AssertionError, match="ZeroDivisionError"), Program(sys.executable, "-c", "1/0") as program:
        program.wait()


def answering(payload):
    """Return a listener that sends `payload` to whoever comes, then hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                with listener.accept()[0] as one:
                    one.sendall(payload)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    return listener


def address_of(listener):
    return f"127.0.0.1:{listener.getsockname()[1]}"


def dial(relay):
    host, _, port = relay.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def read_all(end):
    received = b""
    while piece := end.recv(1 << 16):
        received += piece
    return received


def shut(listener):
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_relay_passes_everything_on_and_counts_it():
    listener = answering(bytes(1_000_000))
    with Relay(address_of(listener)) as relay, dial(relay) as end:
        assert len(read_all(end)) == 1_000_000
        assert relay.passed_bytes == 1_000_000
    shut(listener)


def test_relay_breaks_what_there_is_and_takes_new_ones():
    with socket.create_server(("127.0.0.1", 0)) as listener, Relay(address_of(listener)) as relay:
        with dial(relay) as end:
            far = listener.accept()[0]
            end.sendall(b"x")
            assert far.recv(1) == b"x"
            relay.cut()
            assert far.recv(1) == b""
            assert end.recv(1) == b""
            far.close()
        with dial(relay) as end:
            far = listener.accept()[0]
            far.sendall(b"y")
            assert end.recv(1) == b"y"
            far.close()


def test_frozen_relay_passes_nothing_until_it_thaws():
    listener = answering(b"late")
    with Relay(address_of(listener)) as relay:
        relay.freeze()
        with dial(relay) as end:
            end.settimeout(0.2)
            with pytest.raises(TimeoutError):
                end.recv(1)
            relay.thaw()
            end.settimeout(10)
            assert read_all(end) == b"late"
    shut(listener)


def test_slow_relay_is_slow():
    listener = answering(bytes(1_000_000))
    with Relay(address_of(listener), rate_bytes_per_s=2e6) as relay, dial(relay) as end:
        end.recv(1)
        assert relay.passed_bytes < 500_000
        assert len(read_all(end)) == 999_999
    shut(listener)


def test_relay_hangs_up_when_nobody_is_behind_it():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = address_of(listener)
    with Relay(target) as relay, dial(relay) as end:
        assert end.recv(1) == b""


@pytest.mark.skipif(bool(lab.why_not()), reason=lab.why_not())
def test_lab_hosts_hear_each_other_until_the_plug_is_pulled():
    with lab.two_hosts(rate="100mbit") as (one, other):
        listen = (
            f"import socket; s = socket.create_server(('{one.address}', 9)); print('{{\"event\": \"up\"}}', flush=True)"
        )
        dial_code = f"import socket; socket.create_connection(('{one.address}', 9), timeout=1)"
        dial_command = [*other.prefix, sys.executable, "-c", dial_code]
        with Program(
            sys.executable, "-c", listen + "; s.accept(); import time; time.sleep(60)", prefix=one.prefix
        ) as p:
            p.wait_event("up")
            assert subprocess.run(dial_command, check=False).returncode == 0
            one.set_link("down")
            assert subprocess.run(dial_command, check=False, capture_output=True).returncode != 0


def test_eventually_gives_up_with_the_last_answer():
    with pytest.raises(AssertionError, match="the tide"):
        eventually(lambda: 0, "the tide", timeout_s=0.05)


def test_when_a_test_fails_every_program_of_it_is_heard():
    culprit = Program(sys.executable, "-c", PRINTER + "sys.exit('the reason')")
    culprit.wait()
    with pytest.raises(AssertionError) as caught, culprit, Program(sys.executable, "-c", PRINTER) as victim:
        victim.wait_event("matched")
    assert any("the reason" in note for note in caught.value.__notes__)
