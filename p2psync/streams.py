"""Standard streams that end the command when nobody can have its results, and let it work on without its sentences."""

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class OutputError(Exception):
    """A result cannot be written.

    Neither an OSError nor an error of ours: code that works on a folder must not take it for a failure of its disk.
    """


class ReaderGoneError(OutputError):
    """Whoever read the output has closed it, and so there is no use in going on."""


class _Results(io.FileIO):
    """Stdout: the first failure is told, and whatever is still buffered for it goes nowhere."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise _gone(self) from None
        except OSError as error:
            _discard(self)
            raise OutputError(f"the output cannot be written ({error.strerror}): send it somewhere else") from None


class _Sentences(io.FileIO):
    """Stderr: a disk that is full of our log is no reason to stop serving; a reader who is gone is one."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise _gone(self) from None
        except OSError:
            return memoryview(data).nbytes


def guard_streams() -> None:
    """Put guarded streams in the place of `sys.stdout` and `sys.stderr`.

    A standard stream that is closed (`>&-`) is opened first: else the next file that is opened, maybe one of the
    user's, would have its number, and get what is printed.
    """
    # Stdout for reading: that writing fails is how gnulib tells, too, that it was closed.
    for stream, number, flags in (
        (sys.stdin, 0, os.O_RDONLY),
        (sys.stdout, 1, os.O_RDONLY),
        (sys.stderr, 2, os.O_RDWR),
    ):
        if stream is None and not _is_open(number):
            os.open(os.devnull, flags)  # takes the lowest number that is free
    sys.stdout = _guarded(_Results(1, "w", closefd=False), sys.stdout)
    sys.stderr = _guarded(_Sentences(2, "w", closefd=False), sys.stderr)


def _guarded(raw: io.FileIO, model: TextIO | None) -> io.TextIOWrapper:
    """Return a text stream that encodes and buffers as `model` does."""
    buffer = io.BufferedWriter(raw)
    if not isinstance(model, io.TextIOWrapper):
        return io.TextIOWrapper(buffer, errors="backslashreplace")
    return io.TextIOWrapper(
        buffer,
        encoding=model.encoding,
        errors=model.errors,
        line_buffering=model.line_buffering,
        write_through=model.write_through,
    )


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _gone(stream: io.FileIO) -> ReaderGoneError:
    _discard(stream)
    return ReaderGoneError("nobody reads the output any more")


def _discard(stream: io.FileIO) -> None:
    """Let all that is still to come go nowhere, or Python complains of it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
