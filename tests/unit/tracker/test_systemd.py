import socket

import pytest
import trio

from tracker.systemd import ALIVE, READY, notify, stay_alive


@pytest.fixture(params=["path", "abstract"])
def listening(request, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify") if request.param == "path" else "")  # the kernel names an abstract one
        name = bound.getsockname()
        bound.setblocking(False)
        yield bound, name if isinstance(name, str) else f"@{name[1:].decode()}"


def test_systemd_is_told_where_it_listens(listening):
    bound, name = listening
    notify({"NOTIFY_SOCKET": name}, READY)
    assert bound.recv(100) == b"READY=1"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/does/not/exist"}, {"NOTIFY_SOCKET": ""}])
def test_without_systemd_nobody_is_told(environment):
    notify(environment, READY)


async def test_a_watchdog_hears_twice_in_its_time(listening, autojump_clock):
    bound, name = listening
    with trio.move_on_after(9.9):
        await stay_alive({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "10000000"})
    assert [bound.recv(100), bound.recv(100)] == [ALIVE, ALIVE]
    with pytest.raises(BlockingIOError):
        bound.recv(100)


@pytest.mark.parametrize("micros", ["", "soon", "-1"])
async def test_without_a_watchdog_there_is_nothing_to_do(micros):
    await stay_alive({"WATCHDOG_USEC": micros})
