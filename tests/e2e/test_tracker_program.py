"""`p2psync-tracker` as its operator has it: a process, its options, its signals, its files."""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.e2e.program import BIN, Program, ask, eventually, serve_tracker

HASH = "a" * 20
LISTED = "61" * 20


def announce(listen, *, port=6881, info_hash=HASH, scheme="http", context=None, event=""):
    query = f"info_hash={info_hash}&peer_id={port:020d}&port={port}&left=1&event={event}"
    with urllib.request.urlopen(f"{scheme}://{listen}/announce?{query}", timeout=10, context=context) as response:
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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_stops_within_a_second_though_clients_are_connected(number, code):
    with serve_tracker("--udp", "127.0.0.1:0") as tracker:
        host, port = tracker.wait_event("listening")["listen"].split(":")
        with socket.create_connection((host, int(port))) as idle:
            idle.sendall(b"GET /announce?x HTTP/1.1\r\n\r\n")
            assert idle.recv(1000)
            began = time.monotonic()
            os.kill(tracker.pid, number)
            assert tracker.wait() == code
            assert time.monotonic() - began < 1


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
    answer = ask("serve", "--listen", "nowhere", "--state", "sqlite", "--set", "speed=1", "--json", module="tracker")
    assert answer.returncode == 2
    for part in ("nowhere", "state", "speed"):
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
        ("--listen", "203.0.113.1:0"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(options):
    answer = ask("serve", "--listen", "127.0.0.1:0", *options, module="tracker")
    assert answer.returncode == 2
    assert "Error: " in answer.stderr
    assert "Traceback" not in answer.stderr


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
    with serve_tracker("--set", f"snapshot={tmp_path / 'missing' / 'peers'}") as tracker:
        tracker.wait_event("listening")
        tracker.interrupt()
        assert tracker.wait() == 5
        assert tracker.wait_event("error")["kind"] == "StoreError"


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


def make_certificate(folder):
    key, certificate = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


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


def test_systemd_hands_over_its_sockets(tmp_path):
    script = (
        "import os, socket, sys\n"
        "tcp = socket.create_server(('127.0.0.1', 0)); udp = socket.socket(type=socket.SOCK_DGRAM)\n"
        "udp.bind(('127.0.0.1', 0)); [os.set_inheritable(s.fileno(), True) for s in (tcp, udp)]\n"
        "a, b = os.dup(tcp.fileno()), os.dup(udp.fileno())\n"
        "os.dup2(a, 3); os.dup2(b, 4); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    with Program(BIN / "p2psync-tracker", "serve", "--json", prefix=(sys.executable, "-c", script)) as tracker:
        event = tracker.wait_event("listening")
        assert (len(event["http"]), len(event["udp"])) == (1, 1)
        assert b"8:intervali" in announce(event["listen"])


def test_json_logs_are_json_and_hold_nothing_of_requests():
    with serve_tracker("--set", "log_format=json", "--set", "log_level=debug") as tracker:
        listen = tracker.wait_event("listening")["listen"]
        announce(listen, port=4242)
        os.kill(tracker.pid, signal.SIGHUP)
        eventually(lambda: '"message": "lists and certificates read again"' in tracker.stderr, "the event is logged")
        assert "4242" not in tracker.stderr


def test_redis_that_is_not_there_is_told_to_clients_and_health():
    with serve_tracker("--state", "unix:///does/not/exist") as tracker:
        listen = tracker.wait_event("listening")["listen"]
        assert b"short break" in announce(listen)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://{listen}/health", timeout=10)
        assert caught.value.code == 503
        caught.value.close()
