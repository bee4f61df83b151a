"""One honest share for all attacks, and what every attacked folder is checked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from p2psync.keys import FolderKeys
from p2psync.sharelink import parse_link
from tests.e2e.program import Program, share
from tests.e2e.tree import make_random_file, make_random_tree
from tests.hostile.forgery import Version, code_for, copy_of


@dataclass(frozen=True)
class Origin:
    """A folder that a real `p2psync share` serves; whoever misbehaves is a member of it."""

    folder: Path
    program: Program
    address: str
    keys: FolderKeys
    version: Version

    @property
    def code(self) -> str:
        """The link's keys, without any hint on where to look."""
        return code_for(self.keys)


@pytest.fixture(scope="session")
def origin(tmp_path_factory) -> Iterator[Origin]:
    folder = tmp_path_factory.mktemp("origin") / "a"
    make_random_tree(folder, 30, seed=1)
    make_random_file(folder / "large", 3 << 20, seed=2)
    with share(folder) as program:
        ready = program.wait_event("ready")
        keys = parse_link(ready["write_link"]).keys
        yield Origin(folder, program, ready["listen"], keys, copy_of(ready["listen"], keys))
        assert program.is_running(), "the share must have outlived every attack"
