"""Content that changes while `stat` says nothing of it is found when somebody asks for it, and spreads nowhere."""

import os

from p2psync.ids import BlockId
from p2psync.sync.fingerprint import CLOCK_TICK_NS, fingerprint
from p2psync.sync.watch import clock_ns
from tests.unit.sync.folders import following, sharing


def rot(folder, path) -> None:
    """Change a file in a way that its fingerprint does not show."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"R")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    while clock_ns() - path.stat().st_ctime_ns <= CLOCK_TICK_NS:
        pass
    key = b"\0" + os.fsencode(path.name)
    number = folder.index.file_at(key).number
    folder.index.set_fingerprints([(fingerprint(path.stat()), number)])


def block_of(folder, name: bytes) -> BlockId:
    return BlockId(folder.index.file_at(b"\0" + name).entry.ids)


async def test_a_sharer_reads_the_file_again_and_followers_keep_the_content_that_they_had(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "file").write_bytes(b"good content")
        a.publish()
        while a.scan().hashed_files:
            pass
        await b.get()
        block = block_of(a.folder, b"file")
        rot(a.folder, a.root / "file")
        assert a.publish() is None
        stale = []
        a.folder.store.on_stale = stale.append
        assert a.folder.store.read([block]) == [None]
        assert stale == [b"\0file"]
        assert a.publish() is not None
        matched = await b.get()
        assert (b.root / "file").read_bytes() == b"Rood content"
        assert matched.displaced == 1
        assert b.moved_aside() == {b"good content"}


async def test_a_follower_fetches_the_file_anew(tmp_path):
    with sharing(tmp_path / "a") as a, following(tmp_path / "b", a.swarm) as b:
        (a.root / "file").write_bytes(b"good content")
        a.publish()
        await b.get()
        rot(b.folder, b.root / "file")
        assert b.folder.store.read([block_of(b.folder, b"file")]) == [None]
        assert (await b.get()).problems == ()
        assert (b.root / "file").read_bytes() == b"good content"
        assert b.moved_aside() <= {b"Rood content"}


def test_a_file_that_was_doubted_for_nothing_is_read_once(tmp_path):
    with sharing(tmp_path / "a") as a:
        (a.root / "file").write_bytes(b"good content")
        a.publish()
        while a.scan().hashed_files:
            pass
        number = a.folder.index.file_at(b"\0file").number
        for _ in range(2):
            a.folder.index.doubt(number)
        assert a.publish() is None
        assert a.report.hashed_files == 1
        assert a.scan().hashed_files == 0
