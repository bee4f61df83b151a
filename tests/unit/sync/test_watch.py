"""A watcher tells where something has changed, whatever tells it; and of nothing else."""

import ctypes
import errno
import os
import struct
from contextlib import aclosing

import pytest
import trio
import trio.testing

from p2psync.sync.inotify import _checked, _notices, inotify_notices
from p2psync.sync.library_notices import library_notices
from p2psync.sync.notices import NO_CHANGE, QUIET_S, Notices
from p2psync.sync.watch import Watcher

LIMIT_S = 10


@pytest.fixture(params=[inotify_notices, library_notices])
def source(request):
    return request.param


async def test_a_name_that_begins_like_the_state_directorys_is_watched_and_the_state_is_not(tmp_path, source):
    (tmp_path / ".p2psync").mkdir()
    watcher = Watcher(tmp_path, list, pytest.fail, source)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watcher.run)
        await watcher.watch_anew()
        with trio.fail_after(LIMIT_S):
            await watcher.wait_change()  # it is live
        (tmp_path / ".p2psync" / "index").write_bytes(b"ours")
        (tmp_path / ".p2psync").touch()
        with trio.move_on_after(1) as nothing:
            await watcher.wait_change()
        assert nothing.cancelled_caught
        (tmp_path / ".p2psync-notes").write_bytes(b"the user's")
        with trio.fail_after(LIMIT_S):
            await watcher.wait_change()
        nursery.cancel_scope.cancel()


async def test_what_happened_before_a_new_watch_is_live_is_told(tmp_path, nursery):
    is_live = trio.Event()

    async def slow_to_tell(root, watched):
        if b"new" in watched:
            is_live.set()
            yield NO_CHANGE
        else:
            yield NO_CHANGE
            await is_live.wait()  # by now it has been told of what happened before
            await trio.sleep(QUIET_S)
            yield Notices({b"old"})
        await trio.sleep_forever()

    directories = [b"old"]
    watcher = Watcher(tmp_path, lambda: directories, pytest.fail, slow_to_tell)
    nursery.start_soon(watcher.run)
    await watcher.watch_anew()
    await watcher.wait_change()
    directories.append(b"new")
    await watcher.watch_anew()
    with trio.fail_after(LIMIT_S):
        while b"old" not in await watcher.wait_change():
            pass
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("directory", ["", "one", "one/two"])
async def test_the_directory_of_a_change_is_told_and_what_has_gone(tmp_path, source, directory):
    (tmp_path / "one" / "two").mkdir(parents=True)
    place = tmp_path / directory
    (place / "file").write_bytes(b"before")
    octets = directory.encode()
    gone = octets + b"/file" if octets else b"file"
    for change, expected in (
        (lambda: (place / "file").write_bytes(b"after"), frozenset()),
        ((place / "file").unlink, frozenset([gone])),
    ):
        async with aclosing(source(tmp_path, [b"", b"one", b"one/two"])) as notices:
            with trio.fail_after(LIMIT_S):
                await anext(notices)
                change()
                heard = await anext(notices)
                while not heard.dirty:
                    heard = await anext(notices)
        assert (heard.dirty, heard.gone) == ({octets}, expected)


async def test_a_directory_whose_name_is_no_text_is_watched(tmp_path):
    directory = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(directory)
    async with aclosing(inotify_notices(tmp_path, [b"\xff"])) as notices:
        with trio.fail_after(LIMIT_S):
            await anext(notices)
            os.mkdir(directory + b"/\xfe")
            assert (await anext(notices)).dirty == {b"\xff"}


async def test_reading_is_no_change(tmp_path):
    (tmp_path / "file").write_bytes(b"as it was")
    async with aclosing(inotify_notices(tmp_path, [b""])) as notices:
        await anext(notices)
        (tmp_path / "file").read_bytes()
        list(tmp_path.iterdir())
        with trio.move_on_after(0.5) as nothing:
            await anext(notices)
        assert nothing.cancelled_caught


@pytest.mark.parametrize("stands", ["nothing", "file", "link"])
async def test_a_directory_that_is_one_no_more_is_not_there(tmp_path, stands):
    (tmp_path / "elsewhere").mkdir()
    if stands == "file":
        (tmp_path / "directory").touch()
    if stands == "link":
        (tmp_path / "directory").symlink_to("elsewhere")
    with pytest.raises(FileNotFoundError):
        await anext(inotify_notices(tmp_path, [b"directory"]))


@pytest.mark.parametrize(
    ("number", "setting"),
    [
        (errno.ENOSPC, "max_user_watches"),
        (errno.EMFILE, "max_user_instances"),
        (errno.ENOMEM, "Cannot allocate memory"),
    ],
)
async def test_where_the_system_watches_no_more_it_is_said_what_allows_more(tmp_path, nursery, number, setting):
    async def refused(root, directories):
        ctypes.set_errno(number)
        yield _checked(-1, root)

    said = []
    watcher = Watcher(tmp_path, list, said.append, refused)
    nursery.start_soon(watcher.run)
    await watcher.watch_anew()
    await trio.testing.wait_all_tasks_blocked()
    assert setting in said[0]
    assert "Errno" not in said[0]
    nursery.cancel_scope.cancel()


def test_where_notices_were_lost_everything_may_have_changed():
    modified = struct.pack("iIII16s", 1, 0x2, 0, 16, b"file")
    lost = struct.pack("iIII", -1, 0x4000, 0, 0)
    assert _notices(modified, {1: b"directory"}).dirty == {b"directory"}
    assert _notices(modified + lost, {1: b"directory"}).dirty is None
