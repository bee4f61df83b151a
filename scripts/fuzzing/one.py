"""One target under atheris: `python -m fuzzing.one TARGET LIBFUZZER-OPTIONS... CORPUS`."""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["p2psync", "tracker", "bencodepy"]):
    from fuzzing.targets import SEEDS, TARGETS


def main() -> None:
    name, corpus = sys.argv[1], Path(sys.argv[-1])
    for number, seed in enumerate(SEEDS.get(name, ())):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[name])
    atheris.Fuzz()


main()
