"""A process whose memory and processor time are read from outside, out of /proc, its children included."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

SAMPLE_EVERY_S = 0.02
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
LIMIT_S = 900.0


class Watched:
    """One program under measurement; a context manager that ends it.

    Attributes:
        started_at: `time.perf_counter()` just before it was started.
    """

    def __init__(
        self,
        *command: str | Path,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
        sample_every_s: float = SAMPLE_EVERY_S,
    ) -> None:
        self._sample_every_s = sample_every_s
        self._log = (log or Path(os.devnull)).open("wb")
        self.started_at = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, env=env
        )
        self._events: list[tuple[float, dict[str, Any]]] = []
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._is_open = True
        self._peak_bytes: dict[int, int] = {}
        self._cpu_s: dict[int, float] = {}
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._read, self._sample)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for thread in self._threads:
            thread.join()
        self._log.close()

    def count(self, name: str, fits: Callable[[dict[str, Any]], bool] = lambda event: True) -> int:
        """Return how many events that fit there have been."""
        with self._changed:
            return sum(event.get("event") == name and fits(event) for _, event in self._events)

    def wait_event(
        self, name: str, fits: Callable[[dict[str, Any]], bool] = lambda event: True, *, number: int = 0
    ) -> tuple[float, dict[str, Any]]:
        """Return an event that fits, by default the first, and how many seconds after the start it was printed."""

        def found() -> tuple[float, dict[str, Any]] | None:
            named = [(at, event) for at, event in self._events if event.get("event") == name and fits(event)]
            return named[number] if number < len(named) else None

        with self._changed:
            self._changed.wait_for(lambda: found() or not self._is_open, LIMIT_S)
            event = found()
        if event is None:
            raise RuntimeError(f"{self.process.args!r} printed no {name!r}: {self.lines[-5:]}")
        return event[0] - self.started_at, event[1]

    def last_event(self, name: str) -> dict[str, Any]:
        """Return the latest event of that name, an empty one if there was none."""
        with self._changed:
            return next((event for _, event in reversed(self._events) if event.get("event") == name), {})

    def most(self, name: str, figure: str) -> float:
        """Return the greatest value of a figure in all events of that name."""
        with self._changed:
            return max((float(event[figure]) for _, event in self._events if event.get("event") == name), default=0.0)

    def wait(self) -> float:
        """Wait for a good end, and return how many seconds after the start it came."""
        # Left unreaped for a moment, a process still shows its whole processor time.
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        seconds = time.perf_counter() - self.started_at
        self._look(self.process.pid)
        if self.process.wait() != 0:
            raise RuntimeError(f"{self.process.args!r} ended with {self.process.returncode}: {self.lines[-5:]}")
        return seconds

    def figures(self, side: str) -> dict[str, float]:
        """Return processor time and peak memory so far, named for its side of the transfer."""
        if self.process.returncode is None:
            for pid in _family(self.process.pid):
                self._look(pid)
        return {f"{side}_cpu_s": sum(self._cpu_s.values()), f"{side}_peak_bytes": sum(self._peak_bytes.values())}

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            at = time.perf_counter()
            with self._changed:
                self.lines.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))
                with suppress(ValueError):
                    self._events.append((at, json.loads(line)))
                self._changed.notify_all()
        self.process.stdout.close()
        with self._changed:
            self._is_open = False
            self._changed.notify_all()

    def _sample(self) -> None:
        while self.process.returncode is None and self._is_open:
            for pid in _family(self.process.pid):
                self._look(pid)
            time.sleep(self._sample_every_s)

    def _look(self, pid: int) -> None:
        with suppress(OSError, StopIteration):  # it may have ended meanwhile
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            self._cpu_s[pid] = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
            status = Path(f"/proc/{pid}/status").read_text().splitlines()
            peak = next(line for line in status if line.startswith("VmHWM:"))
            self._peak_bytes[pid] = int(peak.split()[1]) * 1024


def _family(pid: int) -> Sequence[int]:
    """Return the process and all that it started, as far as they live."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found
