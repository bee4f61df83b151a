"""What cannot be done is said in a sentence, with the exit code of its family."""

import json
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.e2e.program import AS_A_USER, LOOPBACK, Program, ask, code_of, get, share
from tests.e2e.tree import make_random_tree

ROOT = Path(__file__).parents[2]
BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """The `ready` of a share that is gone: its links are good, but nobody is there."""
    folder = tmp_path_factory.mktemp("gone") / "a"
    make_random_tree(folder, 3, seed=1)
    with share(folder) as sharer:
        return sharer.wait_event("ready")


def assert_refused(done, code):
    """A command with --json that ended so, with an error event that says why."""
    assert done.returncode == code, done
    assert_explained([json.loads(line) for line in done.stdout.splitlines()])


def assert_explained(events):
    """Exactly one error, with a kind and a sentence."""
    (error,) = (event for event in events if event["event"] == "error")
    assert error["kind"]
    assert_is_a_sentence(error["message"])


def assert_is_a_sentence(text):
    assert 0 < len(text) < 500, text
    assert text.count("\n") <= 4, text
    assert "Traceback" not in text


def test_version_is_that_of_the_project():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for module in ("p2psync", "tracker"):
        done = ask("--version", module=module)
        assert done.returncode == 0
        assert version in done.stdout


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ((), ("share", "get", "sync")),
        (("share",), ("--tracker", "--listen", "--no-lan", "--peer", "--state-dir", "--json")),
        (("get",), ("--timeout", "--seed", "--exact", "--peer", "--json")),
        (("sync",), ("--peer", "--json")),
    ],
)
def test_help_names_what_there_is(command, words):
    done = ask(*command, "--help")
    assert done.returncode == 0
    assert [word for word in words if word not in done.stdout] == []


def test_the_help_describes_every_command_in_a_whole_sentence():
    assert "..." not in ask("--help").stdout.partition("Commands:")[2]


def test_commands_are_the_same_as_modules_and_as_programs():
    for name, module in (("p2psync", "p2psync"), ("p2psync-tracker", "tracker")):
        with Program(Path(sys.executable).parent / name, "--version") as program:
            assert program.wait() == 0
            printed = b"".join(program.strays)
            program.strays.clear()
        assert printed.decode() == ask("--version", module=module).stdout


@pytest.mark.parametrize("command", [("nonsense",), ("share",), ("get", "p2psync:x"), ("share", "--nonsense", ".")])
def test_wrong_usage_exits_2(command):
    done = ask(*command)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("share", "DIR", "--sealed"),
        ("share", "DIR", "--two-way"),
        ("sync", "WRITE", "DIR"),
        ("store", "STORE", "DIR"),
        ("node",),
        ("pause",),
        ("log",),
        ("conflicts",),
    ],
    ids=" ".join,
)
def test_what_is_not_built_yet_says_so_in_one_sentence_and_exits_2(ready, tmp_path, command):
    (tmp_path / "folder").mkdir()
    places = {"DIR": tmp_path / "folder", "WRITE": ready["write_link"], "STORE": ready["store_link"]}
    done = ask(*(places.get(word, word) for word in command))
    assert done.returncode == 2, done
    assert_is_a_sentence(done.stderr)
    assert "not" in done.stderr
    assert "Usage" not in done.stderr
    assert not (tmp_path / "folder/.p2psync").exists()


# The command again and again in one process: a hundred starts would take a minute.
AGAIN_AND_AGAIN = """
import json, sys
from p2psync.cli.main import main
codes = []
for link in json.loads(sys.argv[1]):
    sys.argv = ["p2psync", "get", "--json", "--timeout", "1", "--no-lan", "--", link, sys.argv[-1]]
    try:
        main()
    except SystemExit as end:
        codes.append(end.code)
print(codes, file=sys.stderr)
"""


def wrong_links(code):
    """Return the link's code with each character replaced in turn, and some with more or fewer."""
    for place in range(len("p2psync:"), len(code)):
        other = BASE32[(BASE32.index(code[place]) + 1 + place % 31) % 32]
        yield code[:place] + other + code[place + 1 :]
    yield from (code[:-1], code + "a", code[:20] + code[21:], code[1:], "p2psync:", "")


def test_a_link_with_any_one_wrong_character_is_refused(ready, tmp_path):
    wrong = list(wrong_links(code_of(ready["link"])))
    assert len(wrong) > 100
    command = [sys.executable, "-c", AGAIN_AND_AGAIN, json.dumps(wrong), tmp_path / "b"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr.splitlines()[-1] == f"{[2] * len(wrong)}"
    assert done.stdout.count('"error"') == len(wrong)
    assert not (tmp_path / "b").exists()


def test_a_link_with_a_wrong_character_is_refused_in_a_sentence(ready, tmp_path):
    wrong = next(wrong_links(code_of(ready["link"])))
    assert_refused(ask("get", wrong, tmp_path / "b", "--json", *LOOPBACK), 2)


@pytest.mark.parametrize("extra", ["peer=nonsense", "peer=127.0.0.1:99999", "tr=ftp://x/", "what=ever", "%"])
def test_a_link_with_a_wrong_hint_is_refused(ready, tmp_path, extra):
    assert_refused(ask("get", f"{code_of(ready['link'])}?{extra}", tmp_path / "b", "--json", *LOOPBACK), 2)


def test_a_link_in_capitals_or_with_spaces_around_is_the_same_link(ready, tmp_path):
    code = code_of(ready["link"])
    for spelling in (f" {code}\n", "p2psync:" + code.removeprefix("p2psync:").upper()):
        with get(spelling, tmp_path / "b", "--timeout", "1") as getter:
            assert getter.wait() == 3


@pytest.mark.parametrize(
    "option", [("--listen", "nonsense"), ("--listen", "127.0.0.1:99999"), ("--peer", "x"), ("--tracker", "ftp://x")]
)
def test_a_wrong_address_is_refused(tmp_path, option):
    (tmp_path / "a").mkdir()
    with share(tmp_path / "a", *option) as sharer:
        assert sharer.wait() == 2
        assert_explained(sharer.events)


def test_a_port_that_is_taken_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with share(tmp_path / "a", "--listen", f"127.0.0.1:{port}", "--no-lan") as sharer:
            assert sharer.wait() in (2, 5)
            assert port in sharer.told()
            assert_explained(sharer.events)


def test_a_file_or_nothing_where_the_shared_folder_should_be_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for name in ("file", "nothing", "file/below"):
        with share(tmp_path / name) as sharer:
            assert sharer.wait() in (2, 5)
            assert_explained(sharer.events)


def test_a_file_where_the_folder_should_go_is_refused_and_kept(ready, tmp_path):
    (tmp_path / "file").write_bytes(b"precious")
    for name in ("file", "file/below"):
        with get(ready["link"], tmp_path / name, "--timeout", "2") as getter:
            assert getter.wait() in (2, 5)
            assert_explained(getter.events)
    assert (tmp_path / "file").read_bytes() == b"precious"


@pytest.mark.parametrize(
    "command",
    [
        ("share", ""),
        ("get", "LINK", ""),
        ("share", ".", "--state-dir", ""),
        ("share", ".", "--state-dir", "state"),
        ("share", ".", "--state-dir", "."),
        ("share", ".p2psync"),
        ("share", ".p2psync/staging"),
        ("get", "LINK", ".p2psync/new/below"),
        ("sync", "LINK", ".p2psync/staging"),
    ],
    ids=" ".join,
)
def test_no_directory_that_would_give_the_keys_away_or_was_never_named_is_shared(ready, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".p2psync/staging").mkdir(parents=True)
    done = ask(*(ready["link"] if word == "LINK" else word for word in command), "--json", timeout_s=10)
    assert_refused(done, 2)
    assert [path.name for path in tmp_path.rglob("*")] == [".p2psync", "staging"]


@pytest.mark.parametrize("command", ["get", "sync"])
def test_no_copy_of_a_folder_is_made_inside_another(tmp_path, command):
    make_random_tree(tmp_path / "a", 3, seed=1)
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        with get(link, tmp_path / "b") as getter:
            assert getter.wait() == 0
        for place in ("a/backup", "b/deep/backup"):
            assert_refused(ask(command, link, tmp_path / place, "--json", *LOOPBACK), 2)
            assert not (tmp_path / place).exists()


@pytest.mark.parametrize("command", [("share", "."), ("get", "LINK", "x"), ("share", "DIR", "--state-dir", "x")])
def test_a_current_directory_that_has_been_removed_is_a_sentence(ready, tmp_path, monkeypatch, command):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    given = {"LINK": ready["link"], "DIR": tmp_path}
    done = ask(*(given.get(word, word) for word in command), "--json")
    assert_refused(done, 2)
    assert "the current directory has been removed" in done.stdout


def test_links_that_lead_round_in_a_circle_are_no_folder(ready, tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    with share(tmp_path / "circle") as sharer, get(ready["link"], tmp_path / "circle") as getter:
        for program in (sharer, getter):
            assert program.wait() == 5
            assert_explained(program.events)


def test_a_limit_of_open_files_that_is_too_low_even_to_begin_is_told(tmp_path):
    (tmp_path / "a").mkdir()
    with share(tmp_path / "a", prefix=("prlimit", "--nofile=16:16")) as sharer:
        assert sharer.wait() == 5
        assert_explained(sharer.events)
        assert "ulimit -n" in sharer.wait_event("error")["message"]


@pytest.mark.parametrize("mode", [0, 0o111, 0o333])
def test_a_folder_that_may_not_be_read_is_refused(tmp_path, mode):
    make_random_tree(tmp_path / "a", 3, seed=1)
    (tmp_path / "a").chmod(mode)
    with share(tmp_path / "a", prefix=AS_A_USER) as sharer:
        assert sharer.wait() == 5
        assert_explained(sharer.events)
    (tmp_path / "a").chmod(0o755)


def test_a_folder_that_may_not_be_written_is_refused(ready, tmp_path):
    (tmp_path / "b").mkdir(mode=0o555)
    for target in (tmp_path / "b", tmp_path / "b/new"):
        with get(ready["link"], target, "--timeout", "2", prefix=AS_A_USER) as getter:
            assert getter.wait() == 5
            assert_explained(getter.events)


@pytest.mark.parametrize(
    ("state", "named"),
    [
        (["--state-dir", "file"], "file"),
        (["--state-dir", "file/below"], "file/below"),
        (["--state-dir", "/proc/x"], "/proc/x"),
        (["--state-dir", "closed"], "closed/staging"),
        ([], "a/.p2psync"),
    ],
)
def test_a_state_directory_that_cannot_be_is_named_and_the_option_that_names_another(
    tmp_path, monkeypatch, state, named
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    for name in ("a", "closed"):
        (tmp_path / name).mkdir(mode=0o555)
    with share(Path("a"), *state, prefix=AS_A_USER) as sharer:
        assert sharer.wait() == 5
        assert_explained(sharer.events)
        assert f"'{named}'" in sharer.told()
        assert "elsewhere with --state-dir" in sharer.told()


@pytest.mark.parametrize("place", [".p2psync", ".p2psync/staging"])
def test_what_stands_where_the_state_belongs_is_named_and_kept(ready, tmp_path, place):
    (tmp_path / "b" / place).parent.mkdir(parents=True)
    (tmp_path / "b" / place).write_bytes(b"precious")
    with get(ready["link"], tmp_path / "b", "--timeout", "2") as getter:
        assert getter.wait() == 5
        assert f"'{tmp_path}/b/{place}' is not a directory" in getter.told()
        assert "--state-dir" not in getter.told(), "it has no such option"
    assert (tmp_path / "b" / place).read_bytes() == b"precious"


@pytest.mark.parametrize("command", ["get", "sync"])
@pytest.mark.parametrize("seconds", ["nan", "-1"])
def test_a_timeout_that_would_never_or_always_have_passed_is_refused(ready, tmp_path, command, seconds):
    done = ask(command, ready["link"], tmp_path / "b", "--timeout", seconds, "--json", *LOOPBACK, timeout_s=10)
    assert_refused(done, 2)
    assert "--timeout" in done.stdout


@pytest.mark.parametrize("where", ["as the link says", "nowhere"])
def test_nobody_reachable_exits_3_after_the_time_given(ready, tmp_path, where):
    link = ready["link"] if where == "as the link says" else code_of(ready["link"])
    with get(link, tmp_path / "b", "--timeout", "1") as getter:
        getter.wait_event("listening")
        assert getter.wait(timeout_s=4) == 3
        assert_explained(getter.events)


def test_a_peer_that_never_answers_exits_3_after_the_time_given(ready, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "127.0.0.1:" + str(silent.getsockname()[1])
        with get(code_of(ready["link"]), tmp_path / "b", "--timeout", "2", "--peer", address) as getter:
            assert getter.wait(timeout_s=6) == 3


def test_members_of_another_folder_are_no_peers(ready, tmp_path):
    make_random_tree(tmp_path / "other", 3, seed=2)
    with share(tmp_path / "other") as sharer:
        address = sharer.wait_event("ready")["listen"]
        with get(code_of(ready["link"]), tmp_path / "b", "--timeout", "2", "--peer", address) as getter:
            assert getter.wait(timeout_s=6) == 3
        assert sharer.is_running()


def test_without_json_the_sentence_is_on_stderr_and_stdout_is_empty(ready, tmp_path):
    for arguments, code in (
        (("get", ready["link"][:-9], tmp_path / "b", "--no-lan"), 2),
        (("get", ready["link"], tmp_path / "b", "--timeout", "0.5", *LOOPBACK), 3),
    ):
        done = ask(*arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert_is_a_sentence(done.stderr.strip().splitlines()[-1])


def test_two_programs_do_not_work_on_one_folder(tmp_path):
    make_random_tree(tmp_path / "a", 3, seed=1)
    with share(tmp_path / "a") as first:
        first.wait_event("ready")
        with share(tmp_path / "a") as second:
            assert second.wait() in (2, 5)
            assert_explained(second.events)
        assert first.is_running()
