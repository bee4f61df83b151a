"""Run `p2psync` as a user does, as a process of its own, and watch it by what it prints."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

BIN = Path(sys.executable).parent
WAIT_S = 30.0
LOOPBACK = ("--listen", "127.0.0.1:0", "--no-lan")
# Root may read and write everything; without these two capabilities permissions count for it as for anybody.
_WITHOUT_PRIVILEGE = (
    "setpriv",
    "--inh-caps=-dac_override,-dac_read_search",
    "--bounding-set=-dac_override,-dac_read_search",
)
AS_A_USER = _WITHOUT_PRIVILEGE if os.geteuid() == 0 else ()

Event = dict[str, Any]


class Program:
    """One running process that prints an event a line; a context manager that ends it, and checks what it printed.

    Attributes:
        events: Every event so far, oldest first.
        strays: Lines on stdout that are no events.
    """

    def __init__(self, *command: str | Path, prefix: Sequence[str] = (), cwd: Path | None = None) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(
            [*prefix, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._stderr, cwd=cwd
        )
        self.events: list[Event] = []
        self.strays: list[bytes] = []
        self._changed = threading.Condition()
        self._is_open = True
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if self._process.poll() is None:
            self.kill()
        self._process.wait()
        self._reader.join(WAIT_S)
        stderr = self.stderr
        if error:
            # What is missing at one may be the other's fault.
            error.add_note(f"{self._process.args!r}, exit code {self._process.returncode}, said: {self.told()}")
        self._stderr.close()
        if error is None:
            assert not self.strays, f"stdout must hold events only: {self.strays!r}"
            assert "Traceback" not in stderr, stderr

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stderr(self) -> str:
        """What it has written for humans so far."""
        return os.pread(self._stderr.fileno(), 1 << 24, 0).decode("utf-8", "backslashreplace")

    def wait_event(self, name: str, *, since: int = 0, timeout_s: float = WAIT_S, **fields: object) -> Event:
        """Return the first event of that name and those fields from place `since` of `events` on, waiting for it."""

        def found() -> Event | None:
            for event in self.events[since:]:
                if event["event"] == name and all(event.get(key) == value for key, value in fields.items()):
                    return event
            return None

        wanted = name + (f" with {fields}" if fields else "")
        with self._changed:
            self._changed.wait_for(lambda: found() or not self._is_open, timeout_s)
            event = found()
            ending = "but it ended" if not self._is_open else f"for {timeout_s:g} s"
        assert event, f"waited for {wanted}, {ending}; it said: {self.told()}"
        return event

    def wait(self, timeout_s: float = WAIT_S) -> int:
        """Return the exit code (negative: the signal that ended it), waiting for it."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout_s:g} s; it said: {self.told()}") from None
        self._reader.join(WAIT_S)
        return code

    def complete(self, timeout_s: float = WAIT_S) -> Event:
        """Wait for the end, check that it was a good one, and return the last `matched`."""
        code = self.wait(timeout_s)
        assert code == 0, f"exit code {code}; it said: {self.told()}"
        matched = [event for event in self.events if event["event"] == "matched"]
        assert matched, f"no match; it said: {self.told()}"
        return matched[-1]

    def is_running(self) -> bool:
        return self._process.poll() is None

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it at once (SIGKILL), wherever it is."""
        self._process.kill()
        self._process.wait()

    def io_bytes(self, counter: str) -> int:
        """Return a counter of /proc/PID/io: `rchar` and `wchar` count what it read from and wrote to files."""
        lines = Path(f"/proc/{self.pid}/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{counter}:"))

    def told(self) -> str:
        """Return all that it printed, the numerous progress events aside."""
        kept = [event for event in self.events if event["event"] != "progress"]
        return "\n".join([*map(json.dumps, kept), *map(repr, self.strays), self.stderr])

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._changed:
                self._keep(line)
                self._changed.notify_all()
        self._process.stdout.close()
        with self._changed:
            self._is_open = False
            self._changed.notify_all()

    def _keep(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            self.events.append(event)
        else:
            self.strays.append(line)


def share(folder: Path, *options: str | Path, **where: Any) -> Program:
    """Start `p2psync share`, on loopback only unless `options` say where."""
    return Program(BIN / "p2psync", "share", folder, "--json", *_network(options), **where)


def get(link: str, folder: Path, *options: str | Path, **where: Any) -> Program:
    """Start `p2psync get`, on loopback only unless `options` say where."""
    return Program(BIN / "p2psync", "get", link, folder, "--json", *_network(options), **where)


def follow(link: str, folder: Path, *options: str | Path, **where: Any) -> Program:
    """Start `p2psync sync`, on loopback only unless `options` say where."""
    return Program(BIN / "p2psync", "sync", link, folder, "--json", *_network(options), **where)


def serve_tracker(*options: str) -> Program:
    """Start `p2psync-tracker serve` on a free port of loopback."""
    return Program(BIN / "p2psync-tracker", "serve", "--json", "--listen", "127.0.0.1:0", *options)


def ask(*arguments: str | Path, module: str = "p2psync", timeout_s: float = WAIT_S) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself, and return its output."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def code_of(link: str) -> str:
    """Return the link without its hints on where to look: keys alone."""
    return link.partition("?")[0]


def eventually(is_so: Callable[[], object], what: str, *, timeout_s: float = WAIT_S, every_s: float = 0.02) -> None:
    """Wait until `is_so()` holds; fail with what it said last when it does not in time."""
    end = time.monotonic() + timeout_s
    while not (answer := is_so()):
        assert time.monotonic() < end, f"{what}: not within {timeout_s:g} s (last answer: {answer!r})"
        time.sleep(every_s)


def _network(options: Sequence[str | Path]) -> tuple[str | Path, ...]:
    return tuple(options) if "--listen" in options else (*options, *LOOPBACK)
