import _thread
import json
import os
import platform
import socket
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trio

from p2psync.errors import ConfigError, PathError, StoreError, UnreachableError
from p2psync.node.control import MAX_LINE_BYTES, SOCKET_NAME, ask_control, serve_control

FUTEX = {"x86_64": 202, "aarch64": 98}[platform.machine()]
"""The number of the system call in which threads wait for each other."""


async def echo(question):
    if "fault" in question:
        raise ConfigError(question["fault"])
    if "path" in question:
        raise PathError(question["path"].encode(), "cannot be made")
    return {"heard": dict(question)}


def complain(sentence):
    raise AssertionError(sentence)


@pytest.fixture
async def directory(tmp_path, nursery):
    await serving(tmp_path, nursery)
    return tmp_path


async def serving(directory, nursery):
    nursery.start_soon(serve_control, directory, echo, complain)
    await trio.testing.wait_all_tasks_blocked()


async def ask(directory, question):
    return await trio.to_thread.run_sync(ask_control, directory, question)


async def raw(directory, data):
    """Say something to the socket, and return all that it answers."""
    async with await trio.open_unix_socket(str(directory / SOCKET_NAME)) as stream:
        try:
            await stream.send_all(data)
            await stream.send_eof()
            return b"".join([part async for part in stream])
        except trio.BrokenResourceError:
            return b""


async def test_a_question_is_answered(directory):
    assert await ask(directory, {"command": "peers"}) == {"heard": {"command": "peers"}}


async def test_an_error_is_told_in_a_sentence(directory):
    with pytest.raises(ConfigError, match="too low"):
        await ask(directory, {"fault": "too low"})


async def test_what_cannot_be_made_is_no_fault_of_the_question(directory):
    with pytest.raises(StoreError, match="cannot be made"):
        await ask(directory, {"path": "a"})


async def test_an_answer_may_take_longer_than_a_question_and_goes_out_though_all_ends_with_it(tmp_path, autojump_clock):
    async def answer(question):
        await happened.wait()
        return {"so": "it is"}

    happened = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_control, tmp_path, answer, complain)
        await trio.testing.wait_all_tasks_blocked()
        async with await trio.open_unix_socket(str(tmp_path / SOCKET_NAME)) as stream:
            await stream.send_all(b"{}\n")
            await trio.sleep(3600)
            happened.set()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                assert json.loads(await stream.receive_some()) == {"so": "it is"}


async def test_who_hangs_up_is_waited_for_no_more(tmp_path, nursery):
    async def answer(question):
        asked.set()
        try:
            await trio.sleep_forever()
        finally:
            given_up.set()

    asked, given_up = trio.Event(), trio.Event()
    nursery.start_soon(serve_control, tmp_path, answer, complain)
    await trio.testing.wait_all_tasks_blocked()
    async with await trio.open_unix_socket(str(tmp_path / SOCKET_NAME)) as stream:
        await stream.send_all(b"{}\n")
        await asked.wait()
    with trio.fail_after(10):
        await given_up.wait()


@pytest.mark.parametrize("noise", [b"hello\n", b"[]\n", b"3\n", b"\xff\xfe\n", b"[" * 20_000 + b"\n", b"\n"])
async def test_noise_is_answered_by_an_error_or_silence_and_harms_nobody(directory, noise):
    answer = await raw(directory, noise)
    assert not answer or "error" in json.loads(answer)
    assert await ask(directory, {"a": 1}) == {"heard": {"a": 1}}


@pytest.mark.parametrize("noise", [b"", b"{", b'{"a": 1}', b"x" * (MAX_LINE_BYTES + 1)])
async def test_what_is_no_line_is_not_answered(directory, noise):
    assert await raw(directory, noise) == b""


async def test_who_asks_nothing_is_hung_up_on(directory, autojump_clock):
    async with await trio.open_unix_socket(str(directory / SOCKET_NAME)) as stream:
        with trio.fail_after(60):
            assert await stream.receive_some() == b""


async def test_nobody_else_may_connect(directory):
    assert stat.S_IMODE((directory / SOCKET_NAME).stat().st_mode) == 0o600


async def test_without_a_process_the_answer_is_a_sentence(tmp_path):
    with pytest.raises(UnreachableError, match="nothing is running"):
        ask_control(tmp_path, {})


def test_who_waits_hears_an_interrupt_that_did_not_wake_the_system_call(tmp_path):
    """As one that comes between Python's last look for signals and the call: it is noted, and the call goes on."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / SOCKET_NAME))
    listener.listen()

    calls = Path(f"/proc/self/task/{threading.main_thread().native_id}/syscall")

    def interrupt_once_it_waits():
        """Interrupt whoever asks, and return what comes of it: nothing, once it has hung up."""
        connection = listener.accept()[0]
        with connection, connection.makefile("rb") as lines:
            lines.readline()
            while calls.read_text().split()[0] in {"running", str(FUTEX)}:  # or waits for Python's lock
                time.sleep(0.01)
            _thread.interrupt_main()
            connection.settimeout(10)
            return connection.recv(1)

    with listener, ThreadPoolExecutor(1) as pool:
        heard = pool.submit(interrupt_once_it_waits)
        with pytest.raises(KeyboardInterrupt):
            ask_control(tmp_path, {}, waits=True)
        assert heard.result() == b""


async def test_a_socket_that_a_killed_process_left_is_no_process_and_gives_way(tmp_path, nursery):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / SOCKET_NAME))
    left.close()
    with pytest.raises(UnreachableError):
        ask_control(tmp_path, {})
    await serving(tmp_path, nursery)
    assert await ask(tmp_path, {}) == {"heard": {}}


async def test_the_socket_is_gone_when_serving_ends(tmp_path):
    async with trio.open_nursery() as nursery:
        await serving(tmp_path, nursery)
        nursery.cancel_scope.cancel()
    assert not (tmp_path / SOCKET_NAME).exists()


async def test_a_folder_deep_down_is_asked_too(tmp_path, nursery):
    deep = tmp_path.joinpath(*["d" * 60] * 4)
    deep.mkdir(parents=True)
    await serving(deep, nursery)
    assert await ask(deep, {}) == {"heard": {}}


async def test_where_no_socket_can_be_made_that_is_said(tmp_path):
    said = []
    await serve_control(tmp_path / "missing", echo, said.append)
    assert len(said) == 1
    assert os.strerror(2) in said[0]
