"""`./scripts/fuzz [TARGET...] [--seconds N]`: let atheris look for bytes that a target does not bear."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    from fuzzing.targets import TARGETS  # noqa: PLC0415 - in a child these modules are instrumented first

    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*sorted(TARGETS), []], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--corpus", type=Path, help="folder that keeps what was found, from one run to the next")
    chosen = parser.parse_args()
    failed = [name for name in chosen.targets or TARGETS if not survives(name, chosen.seconds, chosen.corpus)]
    print(f"failed: {', '.join(failed)}" if failed else "nothing found", file=sys.stderr)
    return 1 if failed else 0


def survives(name: str, seconds: int, corpus: Path | None) -> bool:
    """Fuzz one target in a process of its own: libFuzzer ends the process when it finds something."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = (corpus or Path(scratch)) / name
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "fuzzing.one", name, f"-max_total_time={seconds}", "-max_len=4096"]
        command += ["-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1", f"-artifact_prefix={name}-"]
        return subprocess.run([*command, folder], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
