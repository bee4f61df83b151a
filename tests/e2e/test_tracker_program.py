"""`p2psync-tracker` as its operator has it: a process, its options, its signals, its files."""

import http.client
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack

import pytest

from tests.e2e.program import BIN, WAIT_S, Program, ask, eventually, serve_tracker
from tests.interop.certificate import make_certificate
from tests.interop.redis_server import redis_server_or_skip

HASH = "a" * 20
LISTED = "61" * 20


def announce(listen, *, port=6881, info_hash=HASH, scheme="http", context=None, event="", key=""):
    query = f"info_hash={info_hash}&peer_id={port:020d}&port={port}&left=1&event={event}"
    with urllib.request.urlopen(f"{scheme}://{listen}{key}/announce?{query}", timeout=10, context=context) as response:
        return response.read()


def serve(*options, env=None, prefix=()):
    where = {"prefix": (*prefix, "env", *(f"{name}={value}" for name, value in (env or {}).items()))}
    return Program(BIN / "p2psync-tracker", "serve", "--json", *options, **where)


def test_it_says_where_it_listens_and_serves_there():
    with serve_tracker("--udp", "127.0.0.1:0", "--udp", "[::1]:0") as tracker:
        event = tracker.wait_event("listening")
        assert (len(event["http"]), len(event["udp"])) == (1, 2)
        assert event["listen"] == event["http"][0]
        assert b"8:intervali" in announce(event["listen"])
        assert tracker.events[0] is event


def test_it_takes_as_many_open_files_as_it_may():
    with serve(*("--listen", "127.0.0.1:0"), prefix=("prlimit", "--nofile=64:4000")) as tracker:
        tracker.wait_event("listening")
        assert resource.prlimit(tracker.pid, resource.RLIMIT_NOFILE) == (4000, 4000)


def test_a_limit_of_open_files_that_is_too_low_even_to_begin_is_told():
    options = ("--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0")
    with serve(*options, prefix=("prlimit", "--nofile=10:10")) as tracker:
        assert tracker.wait() == 5
        assert "ulimit -n" in tracker.wait_event("error")["message"]


def test_more_silent_connections_than_open_files_keep_nobody_away(tmp_path):
    certificate, key = make_certificate(tmp_path)
    options = ("--listen-tls", "127.0.0.1:0", "--set", f"tls_certificate={certificate}", "--set", f"tls_key={key}")
    context = ssl.create_default_context(cafile=certificate)
    with (
        serve(*options, "--set", "request_s=600", prefix=("prlimit", "--nofile=100:100")) as tracker,
        ExitStack() as idle,
    ):
        (listen,) = tracker.wait_event("listening")["https"]
        host, port = listen.split(":")
        for _ in range(150):
            idle.enter_context(socket.create_connection((host, int(port))))
        assert b"8:intervali" in announce(listen, scheme="https", context=context)
        assert "fewer connections" in tracker.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_stops_at_once_though_clients_are_connected(number, code):
    with serve_tracker("--udp", "127.0.0.1:0") as tracker:
        host, port = tracker.wait_event("listening")["listen"].split(":")
        with socket.create_connection((host, int(port))) as idle:
            idle.sendall(b"GET /announce?x HTTP/1.1\r\n\r\n")
            assert idle.recv(1000)
            began = time.monotonic()
            os.kill(tracker.pid, number)
            assert tracker.wait() == code
            assert time.monotonic() - began < 20  # it would wait for this client for a minute


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("serve", "--help")])
def test_help_and_version_come_at_once(arguments):
    answer = ask(*arguments, module="tracker")
    assert answer.returncode == 0
    assert answer.stdout
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tracker", *arguments], capture_output=True, text=True, check=True
    ).stderr
    assert "trio" not in loaded


def test_config_prints_what_config_reads(tmp_path):
    printed = ask("config", module="tracker").stdout
    (tmp_path / "tracker.toml").write_text(printed.replace("# interval_s = 1800", "interval_s = 90"))
    with serve_tracker(
        "--config", str(tmp_path / "tracker.toml"), "--set", "small_swarm_peers=0", "--set=jitter=0"
    ) as tracker:
        assert b"8:intervali90e" in announce(tracker.wait_event("listening")["listen"])


def test_the_environment_is_read_too(tmp_path):
    (tmp_path / "tracker.toml").write_text("small_swarm_peers = 0\njitter = 0\ninterval_s = 80\nmax_interval_s = 81")
    env = {"P2PSYNC_TRACKER_CONFIG": tmp_path / "tracker.toml", "P2PSYNC_TRACKER_INTERVAL_S": "81"}
    with serve("--listen", "127.0.0.1:0", env=env) as tracker:
        assert b"8:intervali81e" in announce(tracker.wait_event("listening")["listen"])


def test_mistakes_are_all_told_and_the_exit_code_is_2():
    wrong = ("--listen", "nowhere", "--state", "sqlite", "--set", "speed=1", "--set", "jitter", "--config", "/missing")
    answer = ask("serve", *wrong, "--json", module="tracker")
    assert answer.returncode == 2
    for part in ("nowhere", "state", "speed", "'jitter'", "/missing"):
        assert part in answer.stderr
        assert part in answer.stdout
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--config", "/does/not/exist"),
        ("--set", "access=allow", "--set", "access_list=/does/not/exist"),
        ("--listen-tls", "127.0.0.1:0", "--set", "tls_certificate=/does/not/exist", "--set", "tls_key=/x"),
        ("--set", "nothing"),
        ("--set", "=5"),
        ("--set", "peers=١٢٣"),
        ("--state", ""),
        ("--listen", "203.0.113.1:0"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(options):
    answer = ask("serve", "--listen", "127.0.0.1:0", *options, module="tracker")
    assert answer.returncode == 2
    assert "Error: " in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "redirection", "code"),
    [
        ("--version", ">/dev/full", 5),
        ("config", ">&-", 5),
        ("config", "| (exec <&-)", 130),
        ("serve --json --listen 127.0.0.1:0", ">&-", 5),
        ("serve --json --listen 127.0.0.1:0", ">/dev/full", 5),
        ("serve --json --listen 127.0.0.1:0", "| (exec <&-)", 130),
        ("serve --json --state sqlite", ">/dev/full", 2),
        ("serve --json --state sqlite", "2>/dev/full", 2),
    ],
)
def test_output_that_cannot_be_written_is_no_traceback(arguments, redirection, code):
    script = f"{sys.executable} -m tracker {arguments} {redirection}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert ("cannot be written" in done.stderr) is (code == 5)


def test_a_tracker_whose_stdout_is_closed_serves_all_the_same():
    with Program("bash", "-c", f"exec {sys.executable} -m tracker serve --listen 127.0.0.1:0 >&-") as tracker:
        eventually(lambda: "serving" in tracker.stderr, "it serves")
        tracker.interrupt()
        assert tracker.wait() == 130


def test_files_that_cannot_be_used_are_all_told():
    wrong = ("access=allow", "access_list=/no/list", "tls_certificate=/no/certificate", "tls_key=/no/key")
    answer = ask("serve", "--listen", "127.0.0.1:0", *(f"--set={option}" for option in wrong), module="tracker")
    assert answer.returncode == 2
    assert "/no/list" in answer.stderr
    assert "tls_certificate" in answer.stderr


def test_an_address_in_use_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = ask("serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}", module="tracker")
    assert answer.returncode == 2
    assert "in use" in answer.stderr


def test_peers_survive_a_restart_with_a_snapshot(tmp_path):
    snapshot = ("--set", f"snapshot={tmp_path / 'peers'}")
    with serve_tracker(*snapshot) as tracker:
        announce(tracker.wait_event("listening")["listen"], port=1)
        tracker.interrupt()
        assert tracker.wait() == 130
    with serve_tracker(*snapshot) as tracker:
        assert b"5:peers6:\x7f\0\0\1\0\1" in announce(tracker.wait_event("listening")["listen"], port=2)


def test_a_snapshot_that_cannot_be_written_is_told_with_exit_code_5(tmp_path):
    (place := tmp_path / "place").mkdir()
    with serve_tracker("--set", f"snapshot={place / 'peers'}") as tracker:
        tracker.wait_event("listening")
        place.rmdir()
        tracker.interrupt()
        assert tracker.wait() == 5
        assert tracker.wait_event("error")["kind"] == "disk"


def test_a_file_that_is_no_snapshot_is_refused_and_stays_as_it_is(tmp_path):
    (diary := tmp_path / "diary").write_text("Dear diary")
    with serve_tracker("--set", f"snapshot={diary}") as tracker:
        assert tracker.wait() == 2
        assert tracker.wait_event("error")["kind"] == "usage"
    assert diary.read_text() == "Dear diary"


def test_sighup_reads_the_list_again_and_a_wrong_list_changes_nothing(tmp_path):
    listed = tmp_path / "list"
    listed.write_text("")
    with serve_tracker("--set", "access=allow", "--set", f"access_list={listed}") as tracker:
        listen = tracker.wait_event("listening")["listen"]
        assert b"failure reason" in announce(listen)
        listed.write_text(LISTED)
        os.kill(tracker.pid, signal.SIGHUP)
        eventually(lambda: b"failure reason" not in announce(listen), "the hash is served")
        listed.write_text("nonsense")
        os.kill(tracker.pid, signal.SIGHUP)
        eventually(lambda: "stays in force" in tracker.stderr, "the mistake is told")
        assert b"failure reason" not in announce(listen)


def test_sighup_reads_the_other_lists_again_too(tmp_path):
    hashes, keys = tmp_path / "hashes", tmp_path / "keys"
    hashes.write_text("")
    keys.write_text("old")
    options = ("access=deny", f"access_list={hashes}", f"access_keys={keys}")
    with serve_tracker(*(f"--set={option}" for option in options)) as tracker:
        listen = tracker.wait_event("listening")["listen"]
        assert b"8:intervali" in announce(listen, key="/old")
        keys.write_text("new")
        os.kill(tracker.pid, signal.SIGHUP)
        eventually(lambda: b"8:intervali" in announce(listen, key="/new"), "the new key is known")
        assert b"key" in announce(listen, key="/old")
        hashes.write_text(LISTED)
        os.kill(tracker.pid, signal.SIGHUP)
        eventually(lambda: b"does not serve" in announce(listen, key="/new"), "the hash is denied")
        assert b"8:intervali" in announce(listen, key="/new", info_hash="b" * 20)


def test_https_serves_with_the_given_certificate_and_reads_it_again(tmp_path):
    certificate, key = make_certificate(tmp_path)
    options = ("--listen-tls", "127.0.0.1:0", "--set", f"tls_certificate={certificate}", "--set", f"tls_key={key}")
    with serve(*options) as tracker:
        listen = tracker.wait_event("listening")["https"][0]
        context = ssl.create_default_context(cafile=certificate)
        assert b"8:intervali" in announce(listen, scheme="https", context=context)
        connection = http.client.HTTPSConnection(*listen.split(":"), context=context, timeout=10)
        for _ in range(3):  # on one connection
            connection.request("GET", "/health")
            assert connection.getresponse().read() == b"ok\n"
        connection.close()
        with socket.create_connection(("127.0.0.1", int(listen.split(":")[1]))) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            plain.recv(1000)  # an alert, or nothing: in any case nobody is harmed
        make_certificate(tmp_path)
        os.kill(tracker.pid, signal.SIGHUP)
        renewed = ssl.create_default_context(cafile=certificate)

        def is_renewed():
            try:
                return announce(listen, scheme="https", context=renewed)
            except OSError:
                return b""

        eventually(is_renewed, "the new certificate is served")


def test_a_certificate_without_its_key_changes_nothing_not_even_the_lists(tmp_path):
    certificate, key = make_certificate(tmp_path)
    context = ssl.create_default_context(cafile=certificate)
    (listed := tmp_path / "list").write_text(LISTED)
    (tmp_path / "other").mkdir()
    other, _ = make_certificate(tmp_path / "other")
    options = ("access=allow", f"access_list={listed}", f"tls_certificate={certificate}", f"tls_key={key}")
    with serve("--listen-tls", "127.0.0.1:0", *(f"--set={option}" for option in options)) as tracker:
        (listen,) = tracker.wait_event("listening")["https"]
        other.replace(certificate)
        listed.write_text("")
        os.kill(tracker.pid, signal.SIGHUP)
        eventually(lambda: "stays in force" in tracker.stderr, "the mistake is told")
        assert b"8:intervali" in announce(listen, scheme="https", context=context)


AS_SYSTEMD = """
import os, socket, sys
bound = [socket.create_server(("127.0.0.1", 0)), socket.socket(type=socket.SOCK_DGRAM),
         socket.create_server(("127.0.0.1", 0))]
bound[1].bind(("127.0.0.1", 0))
copies = [os.dup(one.fileno()) for one in bound]
for number, copy in enumerate(copies[: int(sys.argv[1])]):
    os.dup2(copy, 3 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv[1], LISTEN_FDNAMES="x:y:https")
os.execv(sys.argv[2], sys.argv[2:])
"""


def serve_as_systemd(sockets, *options):
    return Program(
        BIN / "p2psync-tracker", "serve", "--json", *options, prefix=(sys.executable, "-c", AS_SYSTEMD, str(sockets))
    )


def test_systemd_hands_over_its_sockets_and_no_others_are_opened():
    with serve_as_systemd(2) as tracker:
        event = tracker.wait_event("listening")
        assert (len(event["http"]), len(event["https"]), len(event["udp"])) == (1, 0, 1)
        assert b"8:intervali" in announce(event["listen"])


def test_a_socket_that_systemd_names_https_speaks_tls(tmp_path):
    certificate, key = make_certificate(tmp_path)
    options = ("--set", f"tls_certificate={certificate}", "--set", f"tls_key={key}")
    with serve_as_systemd(3, *options, "--udp", "127.0.0.1:0") as tracker:
        event = tracker.wait_event("listening")
        assert (len(event["http"]), len(event["https"]), len(event["udp"])) == (1, 1, 2)  # one of them we named
        context = ssl.create_default_context(cafile=certificate)
        assert b"8:intervali" in announce(event["https"][0], scheme="https", context=context)
    with serve_as_systemd(3) as tracker:
        assert tracker.wait() == 2
        assert "needs tls_certificate" in tracker.stderr


def test_systemd_hears_that_it_serves_lives_and_stops(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        env = {"NOTIFY_SOCKET": tmp_path / "notify", "WATCHDOG_USEC": 100_000}
        with serve("--listen", "127.0.0.1:0", env=env) as tracker:
            heard = {systemd.recv(100) for _ in range(5)}
            assert heard == {b"READY=1", b"WATCHDOG=1"}
            os.kill(tracker.pid, signal.SIGTERM)
            while systemd.recv(100) != b"STOPPING=1":
                pass


def test_json_logs_are_json_and_hold_nothing_of_requests():
    with serve_tracker("--set", "log_format=json", "--set", "log_level=debug") as tracker:
        listen = tracker.wait_event("listening")["listen"]
        announce(listen, port=4242)
        os.kill(tracker.pid, signal.SIGHUP)
        eventually(lambda: '"message": "lists and certificates read again"' in tracker.stderr, "the event is logged")
        os.kill(tracker.pid, signal.SIGTERM)
        assert tracker.wait() == 0
        events = [json.loads(line) for line in tracker.stderr.splitlines()]
        assert not any("4242" in str(value) for event in events for name, value in event.items() if name != "time")
        assert [event["message"] for event in events] == ["serving", "lists and certificates read again", "stopping"]
        assert events[0]["http"] == [listen]
        assert events[2]["signal"] == "SIGTERM"


def test_redis_that_is_not_there_is_told_to_clients_and_health():
    with serve_tracker("--state", "unix:///does/not/exist") as tracker:
        listen = tracker.wait_event("listening")["listen"]
        assert b"short break" in announce(listen)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://{listen}/health", timeout=10)
        assert caught.value.code == 503
        caught.value.close()


def test_redis_goes_and_returns_and_the_swarms_rebuild(tmp_path):
    redis = redis_server_or_skip(tmp_path)
    try:
        with serve_tracker("--udp", "127.0.0.1:0", "--state", redis.url) as tracker:
            listen = tracker.wait_event("listening")["listen"]
            assert b"8:intervali" in announce(listen, port=1)
            assert b"6:\x7f\0\0\1\0\1" in announce(listen, port=2)
            redis.stop()
            assert b"8:retry ini1e" in announce(listen, port=1)
            assert b"short break" in scrape(listen)
            redis.start()
            eventually(lambda: b"8:intervali" in announce(listen, port=1), "Redis is found again")
            assert b"6:\x7f\0\0\1\0\1" in announce(listen, port=2)
            assert b"10:incompletei2e" in scrape(listen)
    finally:
        redis.stop()


def scrape(listen):
    with urllib.request.urlopen(f"http://{listen}/scrape?info_hash={HASH}", timeout=10) as response:
        return response.read()
