"""Runs a getter or a sharer many times, each in a process that kills itself a little later than the one before.

    python -m tests.crash.run_until_killed get|share|get-without-power TEMPLATE OUT STRIDE [SHARER]

For k = 0, STRIDE, 2·STRIDE … a copy of the folder TEMPLATE is made as OUT/k and worked on by a child process that ends
by SIGKILL just before its k-th call of the kind that changes the disk, until a child comes to its end. `get` brings it
to the head of the folder SHARER, `share` scans and publishes it. `get-without-power` is `get`, but as the child dies it
also takes back what a power cut would: see `PowerSwitch`.
"""

import os
import shutil
import signal
import stat
import sys
import threading
from functools import partial
from pathlib import Path
from types import FrameType

import trio

from p2psync.store.files import make_durable
from tests.unit.sync.folders import following, sharing

CALLS = {
    "execute", "executemany", "rename", "mkdir", "rmdir", "unlink", "symlink", "chmod", "fchmod", "utime", "ftruncate",
    "pwrite",
}  # fmt: skip


INDEX = "index.sqlite"


class KillSwitch:
    """Counts calls just before they happen, in every thread that is started later, and kills at one of them."""

    def __init__(self, at: int) -> None:
        self._left = at
        sys.setprofile(self._hear)
        threading.setprofile(self._hear)

    def _hear(self, frame: FrameType, event: str, function: object) -> None:
        if event == "c_call" and getattr(function, "__name__", "") in CALLS:
            if self._left == 0:
                self._die()
            self._left -= 1

    def _die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class PowerSwitch(KillSwitch):
    """Kills, and leaves what a disk may hold after a power cut that does the most harm.

    All renames and other changes of names have come to the disk, but of the bytes of files only what was there when the
    store last made everything durable: what was written since is zeros. The index is as it was then.
    """

    def __init__(self, at: int, root: Path) -> None:
        self._root = root
        self._durable = self._contents()
        super().__init__(at)

    def _hear(self, frame: FrameType, event: str, function: object) -> None:
        if event == "return" and frame.f_code is make_durable.__code__:
            self._durable = self._contents()
        super()._hear(frame, event, function)

    def _die(self) -> None:
        for path in self._files():
            if path.name.startswith(INDEX):
                path.unlink()
        for key, data in self._durable.items():
            if isinstance(key, str):
                (self._root / key).write_bytes(data)
        for path in self._files():
            status = path.stat()
            if not path.name.startswith(INDEX) and self._durable.get(status.st_ino) != path.read_bytes():
                path.chmod(0o600)
                path.write_bytes(bytes(status.st_size))
                path.chmod(stat.S_IMODE(status.st_mode))
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        super()._die()

    def _files(self) -> list[Path]:
        return [path for path in self._root.rglob("*") if path.is_file() and not path.is_symlink()]

    def _contents(self) -> dict[int | str, bytes]:
        """Return the contents of the index's files by name, of all others by inode."""
        return {
            str(path.relative_to(self._root)) if path.name.startswith(INDEX) else path.stat().st_ino: path.read_bytes()
            for path in self._files()
            if not path.name.endswith("-shm")
        }


async def get(root: Path, at: int, sharer: Path, *, power: bool = False) -> None:
    with sharing(sharer) as a, following(root, a.swarm) as b:
        a.offer()
        PowerSwitch(at, root) if power else KillSwitch(at)
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
            works = {"get": get, "share": share, "get-without-power": partial(get, power=True)}
            trio.run(works[work], root, at, *map(Path, sharer))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))
        at += int(stride)


if __name__ == "__main__":
    main(*sys.argv[1:])
