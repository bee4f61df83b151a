"""A running process answers questions over a socket in its state directory: one JSON object a line, both ways.

Only whoever may read the state directory can connect, and who may do that has the folder's keys anyway.
"""

import json
import os
import select
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import trio

from p2psync.errors import ConfigError, P2PSyncError, PathError, StoreError, UnreachableError

SOCKET_NAME = "control"
MAX_LINE_BYTES = 64 << 10
"""A question names a command and a few options."""
QUESTION_S = 10.0
"""Who connects asks at once, and reads the answer at once."""
MAX_CONNECTIONS = 100
"""More than the paths that may be waited for at a time: whoever waits keeps the connection."""
LAST_WORD_S = 1.0
"""An answer fits into the socket's buffer, unless whoever asked means harm."""
ANSWER_S = 10.0
"""A process that works answers within milliseconds."""
LOOK_S = 0.5
"""Whoever waits for longer looks up so often: an interrupt that comes just before a system call is heard after it."""
_LONGEST_PATH = 100
"""Bytes in a socket's address, on every system we know (Linux has 108, macOS 104)."""

Question = Mapping[str, Any]
Answer = dict[str, Any]


Answering = Callable[[Question], Awaitable[Answer]]


async def serve_control(directory: Path, answer: Answering, complain: Callable[[str], None]) -> None:
    """Answer questions until cancelled.

    Args:
        directory: The folder's state directory; we hold its lock.
        answer: Returns what to say; a P2PSyncError that it raises is told to whoever asked. It may take its time, and
            is cancelled when whoever asked hangs up.
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
            await _converse(stream, answer)

    try:
        await trio.serve_listeners(serve, [listener])
    finally:
        (directory / SOCKET_NAME).unlink(missing_ok=True)


def ask_control(directory: Path, question: Question, *, waits: bool = False) -> Answer:
    """Ask the process that is at work on a folder; blocking.

    Args:
        directory: Its state directory.
        question: What to ask.
        waits: The answer may take as long as the process lives.

    Raises:
        UnreachableError: There is none, or it ended before it answered.
        ConfigError: It does not take the question.
        StoreError: What was asked for cannot be made there, or it is another user's process.
    """
    # Of a folder whose share keeps its state elsewhere we cannot know it: that it does is noted only there.
    sentence = (
        f"nothing is running with its state in {str(directory)!r}: start it with share, get or sync, "
        "or give the --state-dir that it was started with"
    )
    with _socket() as client:
        client.settimeout(ANSWER_S)
        try:
            with _short_path(directory) as path:
                client.connect(path)
            sentence = "the process that is at work on this folder ended before it answered"
            client.sendall(json.dumps(question).encode() + b"\n")
            while waits and not select.select([client], [], [], LOOK_S)[0]:
                pass
            line = client.makefile("rb").readline()
        except TimeoutError:
            raise UnreachableError("the process that is at work on this folder does not answer") from None
        except PermissionError:
            raise StoreError(
                f"no permission to ask in {str(directory)!r}: only who started what runs there may"
            ) from None
        except OSError:
            raise UnreachableError(sentence) from None
    if not line.endswith(b"\n"):
        raise UnreachableError(sentence)
    answer: Answer = json.loads(line)
    if "error" in answer:
        raise (StoreError if answer.get("kind") == "path" else ConfigError)(answer["error"])
    return answer


async def _converse(stream: trio.SocketStream, answer: Answering) -> None:
    line = b""
    with trio.move_on_after(QUESTION_S), suppress(trio.BrokenResourceError):
        line = await _read_line(stream)
    if not line:
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_wait_hang_up, stream, nursery.cancel_scope)
        told = json.dumps(await _answered(line, answer)).encode() + b"\n"
        # What was waited for may be all that this process had still to do: the word goes out before it ends.
        with trio.move_on_after(LAST_WORD_S, shield=True), suppress(trio.BrokenResourceError):
            await stream.send_all(told)
        nursery.cancel_scope.cancel()


async def _wait_hang_up(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    """Cancel a scope when the other end is gone, or says more than its question."""
    with suppress(trio.BrokenResourceError):
        await stream.receive_some()
    scope.cancel()


async def _read_line(stream: trio.SocketStream) -> bytes:
    """Return the first line, or nothing if there is none."""
    received = b""
    while b"\n" not in received:
        some = await stream.receive_some()
        received += some
        if not some or len(received) > MAX_LINE_BYTES:
            return b""
    return received.partition(b"\n")[0]


async def _answered(line: bytes, answer: Answering) -> Answer:
    try:
        question = json.loads(line)
    except (ValueError, RecursionError):
        return {"error": "that is no JSON"}
    if not isinstance(question, dict):
        return {"error": "a question is a JSON object"}
    try:
        return await answer(question)
    except P2PSyncError as error:
        return {"error": str(error), "kind": "path" if isinstance(error, PathError) else "usage"}


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
