"""What an attack must never leave behind, and what a refused command says."""

from pathlib import Path
from typing import Self

from tests.e2e.compare import Seen, snapshot
from tests.e2e.program import Program

FALSE = b"this was never in the folder. "
"""What liars send: no file may ever hold it."""


class Surroundings:
    """A target for `get`, with neighbours that nobody may touch."""

    def __init__(self, base: Path) -> None:
        self.target = base / "target"
        self.outside = base / "outside"
        self.outside.mkdir(parents=True)
        (self.outside / "precious").write_bytes(b"precious")
        (self.outside / "folder").mkdir()
        self._base = base
        self._before = self._neighbours()

    def check(self) -> Self:
        """Check that nothing but the target has changed, and that nothing of a lie is in it, staging included."""
        self.check_outside()
        files = [path for path in self.target.rglob("*") if path.is_file() and not path.is_symlink()]
        assert [path for path in files if FALSE in path.read_bytes()] == []
        return self

    def check_outside(self) -> Self:
        """Check that nothing but the target has changed."""
        assert self._neighbours() == self._before
        return self

    def _neighbours(self) -> dict[bytes, Seen]:
        name = self.target.name.encode()
        return {path: seen for path, seen in snapshot(self._base).items() if path.split(b"/")[0] != name}


def assert_gave_up(program: Program, code: int, *, within_s: float) -> str:
    """Check how a command ended, and that its last word is a sentence; return it."""
    assert program.wait(within_s) == code, program.told()
    assert not any(event["event"] == "matched" for event in program.events)
    message = program.events[-1]
    assert message["event"] == "error", message
    assert_is_a_sentence(message["message"])
    return str(message["message"])


def assert_is_a_sentence(text: str) -> None:
    assert 20 < len(text) < 500, text
    assert text.isprintable(), text
    assert "Error" not in text, text
    assert "Traceback" not in text, text


def peak_memory_mb(program: Program) -> float:
    """Return the most that a running process has ever held, in MB (VmHWM)."""
    lines = Path(f"/proc/{program.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1000
