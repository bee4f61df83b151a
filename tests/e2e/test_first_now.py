"""What somebody waits for comes first, while the rest goes on."""

import json
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.compare import differences
from tests.e2e.program import BIN, Program, ask, eventually, follow, get, share
from tests.e2e.tree import make_random_file


def first(folder, *options):
    told = ask("first", folder, *options, "--json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def waiting(folder, *options):
    return Program(BIN / "p2psync", "first", folder, *options, "--wait", "--json")


def is_asking(program):
    """Say whether it has opened the one socket that it needs, to ask at once."""
    return any(handle.is_socket() for handle in Path(f"/proc/{program.pid}/fd").iterdir())


def faster(folder):
    """What is to be seen has been seen."""
    assert ask("limit", folder, "--down", "off").returncode == 0


def test_a_path_that_is_asked_for_on_the_way_is_there_long_before_the_rest(tmp_path):
    make_random_file(tmp_path / "a/a/large", 24_000_000, seed=1)
    make_random_file(tmp_path / "a/z/photos/1", 1_000_000, seed=2)
    make_random_file(tmp_path / "a/z/photos/sub/2", 1_000_000, seed=3)
    (tmp_path / "a/z/photos/none").mkdir()
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        with get(link, tmp_path / "b", "--order", "sequential", "--limit-down", "3M") as getter:
            getter.wait_event("progress", state="fetching")
            told = first(tmp_path / "b", "z/photos/", "--wait")
            assert (told["kind"], told["ready"]) == ("directory", True)
            assert told["read_at"] == str(tmp_path / "b/z/photos")
            for name in ("1", "sub/2"):  # directories get their permissions and times at the end
                assert (tmp_path / "b/z/photos" / name).read_bytes() == (tmp_path / "a/z/photos" / name).read_bytes()
            assert (tmp_path / "b/z/photos/none").is_dir()
            assert not (tmp_path / "b/a/large").exists(), "which comes before it in order"
            faster(tmp_path / "b")
            getter.complete()
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_a_film_can_be_read_from_where_it_is_asked_for_and_the_open_file_stays_good(tmp_path):
    make_random_file(tmp_path / "a/a", 12_000_000, seed=1)
    make_random_file(tmp_path / "a/film", 24_000_000, seed=2)
    film = (tmp_path / "a/film").read_bytes()
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        with get(link, tmp_path / "b", "--limit-down", "3M") as getter:
            getter.wait_event("progress", state="fetching")
            told = first(tmp_path / "b", "film", "--from", "16000000", "--bytes", "2000000", "--wait")
            assert (told["size"], told["from"], told["ready"]) == (24_000_000, 16_000_000, True)
            with open(told["read_at"], "rb") as staged:
                assert os.pread(staged.fileno(), 2_000_000, 16_000_000) == film[16_000_000:18_000_000]
                assert os.pread(staged.fileno(), 4_000_000, 0) == bytes(4_000_000)
                told = first(tmp_path / "b", "film", "--bytes", "1000000", "--wait")
                assert os.pread(staged.fileno(), 1_000_000, 0) == film[:1_000_000]
                assert not (tmp_path / "b/film").exists()
                faster(tmp_path / "b")
                getter.complete()
                assert staged.read() == film
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_whoever_waits_for_the_last_thing_of_all_is_told_before_the_process_ends(tmp_path):
    for name in "abcd":
        make_random_file(tmp_path / "a" / name, 1_000_000, seed=ord(name))
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        with get(link, tmp_path / "b", "--limit-down", "200K") as getter, ExitStack() as stack:
            getter.wait_event("progress", state="fetching")
            waiters = [stack.enter_context(waiting(tmp_path / "b", name)) for name in "abcd"]
            for waiter in waiters:
                eventually(lambda waiter=waiter: is_asking(waiter), "it waits")
            faster(tmp_path / "b")
            getter.complete()
            for waiter in waiters:
                assert waiter.wait() == 0
                assert waiter.wait_event("first")["ready"]


def test_what_cannot_be_asked_for_is_refused_in_a_sentence(tmp_path):
    make_random_file(tmp_path / "a/large", 24_000_000, seed=1)
    make_random_file(tmp_path / "a/films/small", 10, seed=2)
    (tmp_path / "a/link").symlink_to("large")
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        for path in ("large", "missing"):
            assert "fetches nothing: what there is of it is here" in ask("first", tmp_path / "a", path).stderr
        with get(link, tmp_path / "b", "--limit-down", "3M") as getter:
            getter.wait_event("progress", state="fetching")
            for options, words in (
                (["larg"], "the folder has no 'larg'"),
                (["../a/large"], "no path inside the folder"),
                ([str(tmp_path / "b/large")], "no path inside the folder"),
                (["/"], "no path inside the folder"),
                (["large/x"], "the folder has no"),
                (["large", "--from", "24000001"], "has 24,000,000 bytes"),
                (["films", "--from", "1"], "'films' is a directory, no file: leave --from and --bytes away"),
                (["films", "--bytes", "1"], "'films' is a directory, no file"),
                (["films", "--bytes", "1", "--wait"], "'films' is a directory, no file"),
                (["link", "--bytes", "1"], "'link' is a symlink, no file"),
            ):
                told = ask("first", tmp_path / "b", *options)
                assert told.returncode == 2
                assert words in told.stderr
            with waiting(tmp_path / "b", "large") as waiter:
                eventually(lambda: is_asking(waiter), "it waits")
                eventually(lambda: first(tmp_path / "b", "large")["to"] > 0, "some is there")
                getter.kill()
                assert waiter.wait() == 3
                assert "ended before it answered" in waiter.wait_event("error", kind="unreachable")["message"]
    assert ask("first", tmp_path / "b", "large").returncode == 3


def test_a_follower_that_has_all_says_at_once_where_it_is(tmp_path):
    make_random_file(tmp_path / "a/file", 100_000, seed=1)
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        with follow(link, tmp_path / "b") as follower:
            follower.wait_event("matched")
            assert first(tmp_path / "b", "file", "--wait")["read_at"] == str(tmp_path / "b/file")
            told = ask("first", tmp_path / "b", "./file")
            assert told.stdout == f"{tmp_path / 'b/file'}\n"
            (tmp_path / "b/file").unlink()
            assert "was removed here" in ask("first", tmp_path / "b", "file").stderr


def test_a_script_is_told_the_name_as_it_is_where_it_is_no_text(tmp_path):
    name = b"caf\xe9 \x1b[1m"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / os.fsdecode(name)).write_bytes(b"content")
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        with follow(link, tmp_path / "b") as follower:
            follower.wait_event("matched")
            command = [BIN / "p2psync", "first", tmp_path / "b", name, "--wait"]
            told = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    assert told == os.fsencode(tmp_path / "b") + b"/" + name + b"\n"


def test_who_waits_may_stop_waiting(tmp_path):
    make_random_file(tmp_path / "a/large", 24_000_000, seed=1)
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        with get(link, tmp_path / "b", "--limit-down", "500K") as getter:
            getter.wait_event("progress", state="fetching")
            with waiting(tmp_path / "b", "large") as waiter:
                eventually(lambda: is_asking(waiter), "it waits")
                waiter.interrupt()
                assert waiter.wait() == 130
            assert not first(tmp_path / "b", "large")["ready"]
            assert getter.is_running()
