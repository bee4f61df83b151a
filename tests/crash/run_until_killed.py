"""Runs a getter or a sharer many times, each in a process that kills itself a little later than the one before.

    python -m tests.crash.run_until_killed get|share TEMPLATE OUT STRIDE [SHARER]

For k = 0, STRIDE, 2·STRIDE … a copy of the folder TEMPLATE is made as OUT/k and worked on by a child process that ends
by SIGKILL just before its k-th call of the kind that changes the disk, until a child comes to its end. `get` brings it
to the head of the folder SHARER, `share` scans and publishes it.
"""

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import trio

from tests.unit.sync.folders import following, sharing

CALLS = {
    "execute", "executemany", "rename", "mkdir", "rmdir", "unlink", "symlink", "chmod", "fchmod", "utime", "ftruncate",
    "pwrite",
}  # fmt: skip


class KillSwitch:
    """Counts calls just before they happen, in every thread that is started later, and kills at one of them."""

    def __init__(self, at: int) -> None:
        self._left = at
        sys.setprofile(self._hear)
        threading.setprofile(self._hear)

    def _hear(self, frame: object, event: str, function: object) -> None:
        if event == "c_call" and getattr(function, "__name__", "") in CALLS:
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1


async def get(root: Path, at: int, sharer: Path) -> None:
    with sharing(sharer) as a, following(root, a.swarm) as b:
        a.offer()
        KillSwitch(at)
        await b.get()
        sys.setprofile(None)
        threading.setprofile(None)


async def share(root: Path, at: int) -> None:
    with sharing(root) as a:
        KillSwitch(at)
        a.publish()
        sys.setprofile(None)


def main(work: str, template: str, out: str, stride: str, *sharer: str) -> None:
    at = 0
    while True:
        root = Path(out) / str(at)
        shutil.copytree(template, root, symlinks=True)
        child = os.fork()
        if child == 0:
            trio.run({"get": get, "share": share}[work], root, at, *map(Path, sharer))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))
        at += int(stride)


if __name__ == "__main__":
    main(*sys.argv[1:])
