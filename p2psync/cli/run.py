"""Run a command to its end: signals, error families, exit codes."""

import gc
import logging
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from p2psync.cli.display import Display, JsonDisplay, TerminalDisplay
from p2psync.errors import (
    ConfigError,
    IntegrityError,
    P2PSyncError,
    PathError,
    RemoteProtocolError,
    StoreError,
    UnreachableError,
    explained_lack_of_descriptors,
    first_error,
)
from p2psync.node.events import Problem, Shown
from p2psync.streams import OutputError, ReaderGoneError

INTERRUPTED = 130
SWITCH_INTERVAL_S = 0.0003
"""How long a busy worker thread may hold the interpreter while the event loop waits for it. The loop gives it away at
every system call, so the default of 5 ms costs a third of the rate where blocks are small."""
OPEN_FILES = 16_384
"""Descriptors that are enough for links, strangers and files; the usual limit is for programs that use `select`."""
_ENDINGS: list[tuple[type[P2PSyncError], str, int]] = [
    (ConfigError, "usage", 2),
    (UnreachableError, "unreachable", 3),
    (IntegrityError, "integrity", 4),
    (RemoteProtocolError, "integrity", 4),
    (StoreError, "disk", 5),
    (PathError, "path", 5),
]
"""Error family, its name in JSON, its exit code; the first that occurred is the one that is told."""


def run_command(work: Callable[[Callable[[Shown], None]], Awaitable[None]], *, as_json: bool) -> int:
    """Run `work`, which is given where to tell its events; return the exit code."""
    display = JsonDisplay() if as_json else TerminalDisplay()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # until now it ended us at once; the display wants to end
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    _raise_limit_of_files()
    # It tries again by itself where descriptors are lacking; the tracebacks it logs are for no user of ours.
    logging.getLogger("trio").addHandler(logging.NullHandler())
    gc.freeze()  # nothing that is imported is ever garbage: it need not be looked through
    gc.enable()
    with display:
        return trio.run(_run, work, display)


def _raise_limit_of_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, OPEN_FILES)), hard))


def tell_error(error: P2PSyncError, *, as_json: bool) -> int:
    """Tell an error that came before any work, and return its exit code."""
    with JsonDisplay() if as_json else TerminalDisplay() as display:
        return _tell(error, display)


async def _run(work: Callable[[Callable[[Shown], None]], Awaitable[None]], display: Display) -> int:
    stopped = False
    failed: P2PSyncError | None = None
    try:
        # Around all that works: a signal that came before the first step, or a second one, would else be an error.
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:

                async def watch_signals() -> None:
                    nonlocal stopped
                    async for _ in signals:
                        stopped = True
                        nursery.cancel_scope.cancel()

                nursery.start_soon(watch_signals)
                with explained_lack_of_descriptors():
                    await work(display.show)
                nursery.cancel_scope.cancel()
    except* P2PSyncError as group:
        failed = first_error(group)
    except* ReaderGoneError:
        stopped = True
    except* OutputError as unwritten:
        failed = failed or StoreError(str(first_error(unwritten)))
    if failed is not None:
        return _tell(failed, display)
    return INTERRUPTED if stopped else 0


def _tell(error: P2PSyncError, display: Display) -> int:
    for family, kind, code in _ENDINGS:
        if isinstance(error, family):
            with suppress(OutputError):  # the exit code says it, whoever reads or does not
                display.show(Problem(kind, str(error)))
            return code
    raise error
