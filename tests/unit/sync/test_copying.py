"""What stands elsewhere in the folder is copied, as long as anybody waits for it."""

import random
import shutil

import pytest

from p2psync.budget import MemoryBudget
from p2psync.manifest.tree import Manifest
from p2psync.sync.apply import FolderWriter
from p2psync.sync.paths import PathGate
from p2psync.sync.plan import Planner
from tests.unit.sync.folders import following, sharing

SIZE_BYTES = 32 << 20


class GivenUpError(Exception):
    pass


async def test_who_gives_up_does_not_wait_until_all_is_copied(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "one").write_bytes(random.Random(7).randbytes(SIZE_BYTES))
        a.publish()
        await b.get()
        shutil.copy(a.root / "one", a.root / "two")
        root = a.publish().head.root
        manifest = Manifest.parse_untrusted(a.folder.pages.get([root])[root])
        b.folder.pages.put(a.folder.pages.get(manifest.pages).items())
        b.folder.memory = MemoryBudget(0)  # the least there is, so that little is copied at a time
        before = b.folder.staging.written_bytes

        def give_up():
            if b.folder.staging.written_bytes > before:
                raise GivenUpError

        planner = Planner(manifest, b.folder, FolderWriter(b.folder, "x"), PathGate(folds=False), give_up)
        with pytest.raises(GivenUpError):
            for groups in planner.passes():
                list(groups)
        assert b.folder.staging.written_bytes - before < SIZE_BYTES // 2
