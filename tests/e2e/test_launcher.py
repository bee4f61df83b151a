"""`./scripts/p2psync` of a fresh clone: here of a small project with the real launchers and the real pip."""

import fcntl
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.program import AS_A_USER, eventually

SCRIPTS = Path(__file__).parents[2] / "scripts"
# Built by the project itself, so that pip needs no network here.
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "p2psync"
version = "1"
"""
BACKEND = """
import os, zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "p2psync-1-py3-none-any.whl"
    files = {
        "p2psync.pth": os.getcwd() + "\\n",
        "p2psync-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: p2psync\\nVersion: 1\\n",
        "p2psync-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "p2psync-1.dist-info/entry_points.txt":
            "[console_scripts]\\np2psync = p2psync.main:main\\np2psync-tracker = p2psync.main:main\\n",
        "p2psync-1.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
build_wheel = build_editable
"""
MAIN = "import os, sys\ndef main(): print(sys.argv[1:], os.getcwd())\n"


def make_clone(root):
    (root / "p2psync").mkdir(parents=True)
    (root / "p2psync/__init__.py").touch()
    (root / "p2psync/main.py").write_text(MAIN)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    (root / "scripts").mkdir()
    for name in ("p2psync", "p2psync-tracker", "venv.sh", "make_venv.py"):
        shutil.copy(SCRIPTS / name, root / "scripts")
    return root / "scripts/p2psync"


def environment(**more):
    # The environment of these tests must not be the one the launcher finds.
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if "/.venv/" not in part + "/")
    return {**os.environ, "PATH": path, **more}


def run(launcher, *arguments, **where):
    where = {"env": environment(), **where}
    return subprocess.run([launcher, *arguments], capture_output=True, text=True, timeout=300, check=False, **where)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in a folder with spaces in its name, set up by two first starts at the same time."""
    launcher = make_clone(tmp_path_factory.mktemp("clone") / "my projects" / "p2p sync")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment()}
    starts = [subprocess.Popen([launcher, str(number)], **pipes) for number in range(2)]
    said = [start.communicate(timeout=300) for start in starts]
    assert [start.returncode for start in starts] == [0, 0], said
    assert [out.split(" ")[0] for out, _ in said] == ["['0']", "['1']"]
    assert sorted("setting up, once" in err for _, err in said) == [False, True], "one sets up, the other waits"
    return launcher


def test_arguments_and_the_working_folder_pass_through_and_nothing_else_is_printed(clone, tmp_path):
    done = run(clone, "get", "two words", "", "-x", "*", cwd=tmp_path)
    assert done.stdout == f"{['get', 'two words', '', '-x', '*']} {tmp_path}\n"
    assert done.stderr == ""


def test_it_starts_through_links_and_by_relative_names(clone, tmp_path):
    (tmp_path / "link").symlink_to(clone)
    (tmp_path / "link to link").symlink_to("link")
    for name, cwd in (("./link to link", tmp_path), ("./p2psync", clone.parent), ("scripts/p2psync", clone.parents[1])):
        assert run(name, "x", cwd=cwd).stdout == f"['x'] {cwd}\n"
    assert subprocess.run(["sh", "p2psync"], cwd=clone.parent, env=environment(), check=False).returncode == 0
    found = run("p2psync", "x", cwd=tmp_path, env=environment(PATH=f"{clone.parent}:{environment()['PATH']}"))
    assert found.stdout == f"['x'] {tmp_path}\n"


def test_a_project_of_the_same_name_in_the_working_folder_is_not_run(clone, tmp_path):
    (tmp_path / "p2psync").mkdir()
    (tmp_path / "p2psync/__init__.py").write_text("raise SystemExit('the wrong one')")
    assert run(clone, cwd=tmp_path).returncode == 0


def test_the_tracker_has_the_same_launcher(clone, tmp_path):
    assert run(clone.with_name("p2psync-tracker"), "serve", cwd=tmp_path).stdout == f"['serve'] {tmp_path}\n"


def test_a_pull_takes_effect_at_once(clone):
    main = clone.parents[1] / "p2psync/main.py"
    main.write_text("def main(): print('pulled')\n")
    done = run(clone)
    main.write_text(MAIN)
    assert (done.stdout, done.stderr) == ("pulled\n", "")


def test_a_changed_pyproject_is_installed_once(clone):
    pyproject = clone.parents[1] / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + "# changed\n")
    assert [("setting up" in run(clone).stderr) for _ in range(2)] == [True, False]


def test_the_launcher_costs_a_few_milliseconds(clone):
    command = clone.parents[1] / ".venv/bin"
    costs = []
    for _ in range(15):
        spent = []
        for argv in ([clone], [command / "python", command / "p2psync"]):
            start = time.perf_counter()
            subprocess.run(argv, stdout=subprocess.DEVNULL, env=environment(), check=True)
            spent.append(time.perf_counter() - start)
        costs.append(spent[0] - spent[1])
    assert sorted(costs)[len(costs) // 2] < 0.015


def test_a_killed_setup_is_made_anew(clone, tmp_path):
    launcher = make_clone(tmp_path / "killed")
    venv = tmp_path / "killed/.venv"
    with subprocess.Popen(
        [launcher], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as start:
        eventually((venv / "bin/python").exists, "it begins")
        os.killpg(start.pid, signal.SIGKILL)
    done = run(launcher, "x", cwd=tmp_path)
    assert done.stdout == f"['x'] {tmp_path}\n"
    assert "setting up, once" in done.stderr


def test_a_moved_clone_sets_itself_up_again(clone, tmp_path):
    shutil.copytree(clone.parents[1], tmp_path / "moved", symlinks=True)
    done = run(tmp_path / "moved/scripts/p2psync")
    assert done.returncode == 0
    assert "setting up, once" in done.stderr
    assert f"{tmp_path}/moved" in (tmp_path / "moved/.venv/bin/p2psync").read_text()


def test_the_environment_of_another_clone_is_not_cleared_through_a_link(clone, tmp_path):
    launcher = make_clone(tmp_path / "second")
    (tmp_path / "second/.venv").symlink_to(clone.parents[1] / ".venv")
    done = run(launcher)
    assert done.returncode == 1
    assert ".venv is a link" in done.stderr
    assert run(clone).stderr == ""


@pytest.fixture
def clone_of_another(clone, tmp_path):
    """The clone, which nobody may write: run it `AS_A_USER`."""
    root = clone.parents[1]
    written = [root, *(path for path in root.rglob("*") if not path.is_symlink())]
    modes = {path: path.stat().st_mode for path in written}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    yield root
    for path, mode in modes.items():
        path.chmod(mode)


def test_a_finished_clone_of_another_user_just_runs(clone_of_another):
    done = run(*AS_A_USER, clone_of_another / "scripts/p2psync", "x")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_clone_that_another_user_is_setting_up_is_waited_for(clone_of_another):
    venv = clone_of_another / ".venv"
    stamp = venv / "made-from/root"
    place = stamp.read_text()
    stamp.chmod(0o644)
    stamp.write_text("")
    with (venv / ".lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [*AS_A_USER, clone_of_another / "scripts/p2psync", "x"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment()}
        started = subprocess.Popen(command, **pipes)
        assert started.stderr.readline().startswith("waiting for the p2psync that is setting up")
        stamp.write_text(place)
    out, err = started.communicate(timeout=300)
    assert (started.returncode, out[:5], err) == (0, "['x']", "")


def test_a_clone_that_only_another_user_can_set_up_says_so(clone_of_another):
    pyproject = clone_of_another / "pyproject.toml"
    text = pyproject.read_text()
    pyproject.chmod(0o644)
    pyproject.write_text(text + "# changed\n")
    done = run(*AS_A_USER, clone_of_another / "scripts/p2psync", "x")
    pyproject.write_text(text)
    assert done.returncode == 1
    assert "only its owner may: have the owner of this clone start it once" in done.stderr


def test_what_pip_cannot_do_is_said_and_tried_again(tmp_path):
    launcher = make_clone(tmp_path / "clone")
    pyproject = tmp_path / "clone/pyproject.toml"
    pyproject.write_text(PYPROJECT.replace('"backend"', '"nothing"'))
    done = run(launcher)
    assert done.returncode == 1
    assert "setting up failed" in done.stderr
    assert 'Traceback (most recent call last):\n  File "' + str(SCRIPTS) not in done.stderr
    assert "setting up, once" in run(launcher).stderr


def test_without_a_python_that_fits_it_says_which_one_is_needed(tmp_path):
    launcher = make_clone(tmp_path / "clone")
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "cmp", "readlink"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    old = tmp_path / "bin/python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = run(launcher, env={"PATH": str(tmp_path / "bin")})
    assert done.returncode == 1
    assert "Python 3.11 or newer" in done.stderr
    assert not (tmp_path / "clone/.venv").exists()
