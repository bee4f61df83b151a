"""Make or update `.venv` for one extra of pyproject.toml: `make_venv.py ROOT EXTRA`; called by venv.sh, needs no venv.

An environment counts as made for an extra only while `.venv/made-from/` holds `root` and the extra's stamp: `root` is
removed before anything is touched and written last. A lock, which pip holds too, keeps two from working at once; the
kernel releases it however they end. What a killed one left `.unfinished` is made anew.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

BASE = "base"
LOCK = ".lock"
UNFINISHED = ".unfinished"


def main(root: Path, extra: str) -> int:
    venv = root / ".venv"
    try:
        venv.mkdir(exist_ok=True)
        with _open_lock(venv / LOCK) as lock:
            _acquire(lock)
            if not _is_current(root, venv, extra):
                _make(root, venv, extra, lock)
                _say("setting up: done")
    except subprocess.CalledProcessError as error:
        _say(f"{error.stdout}{error.stderr}setting up failed: the lines above say why; mend that, then run this again")
        return 1
    except PermissionError as error:
        _say(f"setting up failed: {error}: have the owner of this clone start it once, or use a clone of your own")
        return 1
    except OSError as error:
        _say(f"setting up failed: {error}; mend that, then run this again")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _open_lock(path: Path) -> IO[str]:
    """Open the lock, only to wait for it where its owner alone can make what is missing."""
    try:
        return path.open("a")
    except OSError:
        if not path.exists():
            raise
        return path.open()


def _acquire(lock: IO[str]) -> None:
    kind = fcntl.LOCK_EX if lock.writable() else fcntl.LOCK_SH
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        _say("waiting for the p2psync that is setting up…")
        fcntl.flock(lock, kind)


def _is_current(root: Path, venv: Path, extra: str) -> bool:
    stamps = venv / "made-from"
    try:
        is_made_here = (stamps / "root").read_text() == f"{root}\n"
        is_from_this = (stamps / extra).read_bytes() == (root / "pyproject.toml").read_bytes()
    except FileNotFoundError:
        return False
    return is_made_here and is_from_this and os.access(venv / "bin/python", os.X_OK)


def _make(root: Path, venv: Path, extra: str, lock: IO[str]) -> None:
    if not lock.writable():
        raise PermissionError(f"{venv} is to be made or changed, which only its owner may")
    _say("setting up, once: installing what p2psync needs, this takes about a minute…")
    stamps = venv / "made-from"
    is_usable = _is_usable(root, venv)
    if not is_usable and venv.is_symlink():
        raise OSError(f"{venv} is a link, and what it leads to, which would be cleared, may be another's")
    (venv / UNFINISHED).touch()
    (stamps / "root").unlink(missing_ok=True)
    if not is_usable:
        _clear(venv)
        # The resolved name: a later python3 of another version must break this environment visibly, not silently.
        _run([os.path.realpath(sys.executable), "-m", "venv", os.fspath(venv)], root, lock)
    asked = (root / "pyproject.toml").read_bytes()
    what = "." if extra == BASE else f".[{extra}]"
    _run([os.fspath(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--editable", what], root, lock)
    stamps.mkdir(exist_ok=True)
    for stamp in (extra, BASE):  # what an extra installs includes the base
        (stamps / stamp).write_bytes(asked)
    (venv / UNFINISHED).unlink()
    (stamps / "root").write_text(f"{root}\n")


def _is_usable(root: Path, venv: Path) -> bool:
    """Say whether pip may install into what is there: made whole, by us for this place or by hand."""
    made_for = venv / "made-from/root"
    if (venv / UNFINISHED).exists() or (made_for.exists() and made_for.read_text() != f"{root}\n"):
        return False
    probe = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([venv / "bin/python", "-c", probe], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _clear(venv: Path) -> None:
    for entry in venv.iterdir():
        if entry.name in (LOCK, UNFINISHED):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _run(command: list[str], cwd: Path, lock: IO[str]) -> None:
    subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, pass_fds=[lock.fileno()])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
