"""Folders that share and folders that follow, for tests: everything real but the network."""

import dataclasses
import os
import stat
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import trio

from p2psync.ids import BlockId, DeviceId
from p2psync.keys import Role, keys_from_seed
from p2psync.manifest.version import DEVICE_PREFIX_BYTES, bump, encode_version, parse_version
from p2psync.store.folder_state import STATE_NAME, FolderState
from p2psync.sync.events import Matched
from p2psync.sync.follower import Follower, PullOptions
from p2psync.sync.heads import NewestHead
from p2psync.sync.publish import HeadWriter, Published
from p2psync.sync.scan import scan_folder
from p2psync.sync.scan_policy import ScanPolicy, ScanReport
from p2psync.sync.watch import clock_ns
from tests.unit.sync.direct_swarm import DirectSwarm

KEYS = keys_from_seed(b"seed of the tests, 32 bytes long")
DEVICE = DeviceId(b"device of the tests, 32 bytes...")


class Sharer:
    """A folder that is published step by step, as `Publisher` does in its loop."""

    def __init__(self, root: Path, state: Path | None = None, device: DeviceId = DEVICE) -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.folder = FolderState.open(root, state, create=False)
        self.swarm = DirectSwarm(self.folder.store)
        self.newest = NewestHead(self.folder.database, KEYS)
        self.report = ScanReport()
        self.on_checkpoint: Callable[[], None] = lambda: None
        self.wait_descriptor: Callable[[], None] | None = None
        self._device = device
        self._writer = HeadWriter(self.folder, KEYS, device, self.newest)

    def scan(self, only: Collection[bytes] | None = None) -> ScanReport:
        prefix = self._device[:DEVICE_PREFIX_BYTES]
        count = bump(self.newest.head.version if self.newest.head else {}, self._device)[prefix]
        policy = ScanPolicy(
            gear_seed=KEYS.gear_seed,
            version_of=lambda before: encode_version(parse_version(before) | {prefix: count}),
            keeps_tombstones=True,
            forgets_unreadable=False,
            cut_hint=lambda key: None,
            now_ns=clock_ns,
            checkpoint=self.on_checkpoint,
            on_changes=self._writer.note_changes,
        )
        if self.wait_descriptor is not None:
            policy = dataclasses.replace(policy, wait_descriptor=self.wait_descriptor)
        self.report = scan_folder(self.folder, policy, lambda report: None, only)
        return self.report

    def publish(self, above_seq: int = 0, only: Collection[bytes] | None = None) -> Published | None:
        """Scan and publish; None where nothing had changed."""
        self.scan(only)
        published = self._writer.publish(clock_ns(), above_seq)
        if published is not None:
            self.swarm.publish(published.signed, published.head.root, complete=True)
        return published

    def offer(self) -> None:
        """Offer the head that was published when the folder was last open."""
        published = self._writer.current()
        assert published is not None
        self.swarm.publish(published.signed, published.head.root, complete=True)

    def close(self) -> None:
        self.folder.close()


class Getter:
    """A folder that follows, one head at a time, as `p2psync get` does."""

    def __init__(self, root: Path, sharer: DirectSwarm) -> None:
        self.root = root
        self.keys = KEYS.limited_to(Role.READ)
        self.folder = FolderState.open(root, create=True)
        self.swarm = DirectSwarm(self.folder.store)
        self.follower: Follower | None = None
        self._sharer = sharer
        self.before_write: Callable[[object], None] | None = None
        self.must_hold = True

    async def get(self, **options: Any) -> Matched:
        """Bring the folder to the newest head."""
        async with self.staying(**options) as matches:
            return await matches.next()

    @asynccontextmanager
    async def staying(self, **options: Any) -> AsyncIterator["Matches"]:
        """Follow head after head, for a minute at most."""
        self.swarm = DirectSwarm(self.folder.store)
        self.swarm.before_write = self.before_write
        self.swarm.must_hold = self.must_hold
        self._sharer.connect(self.swarm)
        matches = Matches()
        newest = NewestHead(self.folder.database, self.keys)
        follower = self.follower = Follower(
            self.folder, self.keys, newest, self.swarm, matches.tell, PullOptions(**options)
        )
        with only_error(), trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: follower.run(after_hearing=True))
                yield matches
                nursery.cancel_scope.cancel()

    def versions(self) -> set[tuple[bytes, bytes]]:
        """What has been moved aside: (path, content or target) of each."""
        directory = self.root / STATE_NAME / "versions"
        pulls = directory.iterdir() if directory.exists() else []
        return {item for pull in pulls for item in contents(pull).items()}

    def moved_aside(self) -> set[bytes]:
        """The contents of what has been moved aside."""
        return {data for _, data in self.versions()}

    def close(self) -> None:
        self.folder.close()


class Matches:
    """What a follower tells of."""

    def __init__(self) -> None:
        self.told: list[Matched] = []
        self._changed = trio.Event()

    def tell(self, event: object) -> None:
        if isinstance(event, Matched):
            self.told.append(event)
            self._changed.set()
            self._changed = trio.Event()

    async def next(self) -> Matched:
        """Wait for the folder to match another head."""
        await self._changed.wait()
        return self.told[-1]

    async def of(self, root: BlockId) -> Matched:
        """Wait for the folder to match this head."""
        while not self.told or self.told[-1].root != root:
            await self._changed.wait()
        return self.told[-1]


@contextmanager
def only_error():
    """Raise the one error inside exception groups as it was."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None


@contextmanager
def sharing(root: Path, state: Path | None = None, device: DeviceId = DEVICE):
    sharer = Sharer(root, state, device)
    try:
        yield sharer
    finally:
        sharer.close()


@contextmanager
def following(root: Path, sharer: DirectSwarm):
    getter = Getter(root, sharer)
    try:
        yield getter
    finally:
        getter.close()


def tree(root: Path) -> dict[bytes, tuple[str, int, int, bytes]]:
    """Return (kind, mode, mtime_ns, content or target) by path, of whatever depth; the state directory left out."""
    found: dict[bytes, tuple[str, int, int, bytes]] = {}
    handle = os.open(root, os.O_RDONLY)
    try:
        _look(handle, b"", found)
    finally:
        os.close(handle)
    return found


def _look(handle: int, path: bytes, found: dict[bytes, tuple[str, int, int, bytes]]) -> None:
    for name in map(os.fsencode, os.listdir(handle)):
        if not path and name == STATE_NAME.encode():
            continue
        status = os.stat(name, dir_fd=handle, follow_symlinks=False)
        mode, at = stat.S_IMODE(status.st_mode), path + b"/" + name if path else name
        if stat.S_ISLNK(status.st_mode):
            found[at] = ("link", 0o777, status.st_mtime_ns, os.readlink(name, dir_fd=handle))
        elif stat.S_ISREG(status.st_mode):
            with open(os.open(name, os.O_RDONLY, dir_fd=handle), "rb") as file:
                found[at] = ("file", mode, status.st_mtime_ns, file.read())
        elif stat.S_ISDIR(status.st_mode):
            found[at] = ("directory", mode, status.st_mtime_ns, b"")
            below = os.open(name, os.O_RDONLY, dir_fd=handle)
            try:
                _look(below, at, found)
            finally:
                os.close(below)
        else:
            found[at] = ("special", mode, status.st_mtime_ns, b"")


def contents(root: Path) -> dict[bytes, bytes]:
    """Return the files' contents and the links' targets by path."""
    return {path: state[3] for path, state in tree(root).items() if state[0] in ("file", "link")}


def make_deep(root: Path, depth: int, data: bytes) -> None:
    """Make nested directories with one file at the bottom, whose path no system call would take as a whole."""
    handle = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 200, dir_fd=handle)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    with open(os.open("bottom", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=handle), "wb") as file:
        file.write(data)
    os.close(handle)
