"""A running process answers questions over a socket in its state directory: one JSON object a line, both ways.

Only whoever may read the state directory can connect, and who may do that has the folder's keys anyway.
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio

from p2psync.errors import ConfigError, P2PSyncError, UnreachableError

SOCKET_NAME = "control"
MAX_LINE_BYTES = 64 << 10
"""A question names a command and a few options."""
QUESTION_S = 10.0
"""Who connects asks at once, and reads the answer."""
MAX_CONNECTIONS = 16
ANSWER_S = 10.0
"""A process that works answers within milliseconds."""
_LONGEST_PATH = 100
"""Bytes in a socket's address, on every system we know (Linux has 108, macOS 104)."""

Question = Mapping[str, Any]
Answer = dict[str, Any]


async def serve_control(directory: Path, answer: Callable[[Question], Answer], complain: Callable[[str], None]) -> None:
    """Answer questions until cancelled.

    Args:
        directory: The folder's state directory; we hold its lock.
        answer: Returns what to say; a P2PSyncError that it raises is told to whoever asked.
        complain: Told in a sentence if nobody can ask here, because of this system or its disk; then this returns.
    """
    try:
        listener = _listen(directory)
    except ConfigError as error:
        complain(str(error))
        return
    limit = trio.CapacityLimiter(MAX_CONNECTIONS)

    async def serve(stream: trio.SocketStream) -> None:
        async with stream, limit:
            with trio.move_on_after(QUESTION_S):
                await _converse(stream, answer)

    try:
        await trio.serve_listeners(serve, [listener])
    finally:
        (directory / SOCKET_NAME).unlink(missing_ok=True)


def ask_control(directory: Path, question: Question) -> Answer:
    """Ask the process that is at work on a folder; blocking.

    Raises:
        UnreachableError: There is none.
        ConfigError: It does not take the question.
    """
    sentence = "nothing is running for this folder: start it with share, get or sync"
    with _socket() as client:
        client.settimeout(ANSWER_S)
        try:
            with _short_path(directory) as path:
                client.connect(path)
            client.sendall(json.dumps(question).encode() + b"\n")
            line = client.makefile("rb").readline()
        except TimeoutError:
            raise UnreachableError("the process that is at work on this folder does not answer") from None
        except OSError:
            raise UnreachableError(sentence) from None
    if not line.endswith(b"\n"):
        raise UnreachableError(sentence)
    answer: Answer = json.loads(line)
    if "error" in answer:
        raise ConfigError(answer["error"])
    return answer


async def _converse(stream: trio.SocketStream, answer: Callable[[Question], Answer]) -> None:
    try:
        line = await _read_line(stream)
        if line:
            await stream.send_all(json.dumps(_answered(line, answer)).encode() + b"\n")
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return  # it did not wait for the answer


async def _read_line(stream: trio.SocketStream) -> bytes:
    """Return the first line, or nothing if there is none."""
    received = b""
    while b"\n" not in received:
        some = await stream.receive_some()
        received += some
        if not some or len(received) > MAX_LINE_BYTES:
            return b""
    return received.partition(b"\n")[0]


def _answered(line: bytes, answer: Callable[[Question], Answer]) -> Answer:
    try:
        question = json.loads(line)
    except (ValueError, RecursionError):
        return {"error": "that is no JSON"}
    if not isinstance(question, dict):
        return {"error": "a question is a JSON object"}
    try:
        return answer(question)
    except P2PSyncError as error:
        return {"error": str(error)}


def _listen(directory: Path) -> trio.SocketListener:
    server = _socket()
    try:
        if sys.platform == "linux":
            os.fchmod(server.fileno(), 0o600)  # what the file is made with; elsewhere the directory alone protects it
        (directory / SOCKET_NAME).unlink(missing_ok=True)  # of a process that was killed: we hold the folder's lock
        with _short_path(directory) as path:
            server.bind(path)
        (directory / SOCKET_NAME).chmod(0o600)
        server.listen(MAX_CONNECTIONS)
    except OSError as error:
        server.close()
        raise ConfigError(f"no socket can be made in {str(directory)!r} ({error.strerror})") from None
    except BaseException:
        server.close()
        raise
    return trio.SocketListener(trio.socket.from_stdlib_socket(server))


def _socket() -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise ConfigError("this system has no local sockets: a running p2psync cannot be asked here")
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)


@contextmanager
def _short_path(directory: Path) -> Iterator[str]:
    """Give the socket's path, through a handle of its directory where it is too long for a socket's address."""
    path = os.path.abspath(directory / SOCKET_NAME)
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield path
    elif sys.platform == "linux":
        handle = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{handle}/{SOCKET_NAME}"
        finally:
            os.close(handle)
    else:
        raise ConfigError(f"the path {path!r} is too long for a socket: a running p2psync cannot be asked here")
