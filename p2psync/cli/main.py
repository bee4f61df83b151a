"""The command `p2psync`. Everything beyond reading options is imported only when a command runs."""

import gc
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2psync import __version__
from p2psync.cli.options import (
    ANYWHERE,
    DEFAULT_MEMORY,
    AskedStateDir,
    Background,
    Directory,
    Exact,
    First,
    Json,
    LimitDown,
    LimitPeerDown,
    LimitPeerUp,
    LimitUp,
    Link,
    Listen,
    MaxMemory,
    NoLan,
    NoLimitLan,
    Order,
    Peers,
    Reciprocal,
    StateDir,
    Target,
    Timeout,
    Trackers,
    read_limits,
    read_memory,
    read_network,
    read_pull,
)
from p2psync.errors import ConfigError, P2PSyncError, StoreError
from p2psync.sharelink import parse_link
from p2psync.streams import OutputError, ReaderGoneError, guard_streams

if TYPE_CHECKING:
    from p2psync.node.events import Shown

GET_TIMEOUT_S = 600.0
"""How long `get` waits for somebody to be there: long enough to start the other side second."""

app = typer.Typer(
    help="Share a folder with other machines, directly from peer to peer.",
    epilog="Start here: 'p2psync share DIR' on one machine, then on another the line that it prints.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""What typer raises for any wrong option or argument; it has no public name for it."""


def _show_version(value: bool) -> None:
    if value:
        sys.stdout.write(f"p2psync {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def share(
    *,
    directory: Directory,
    tracker: Trackers = [],
    peer: Peers = [],
    listen: Listen = ANYWHERE,
    no_lan: NoLan = False,
    limit_up: LimitUp = None,
    limit_down: LimitDown = None,
    limit_peer_up: LimitPeerUp = None,
    limit_peer_down: LimitPeerDown = None,
    no_limit_lan: NoLimitLan = False,
    reciprocal: Reciprocal = False,
    sealed: Annotated[bool, typer.Option("--sealed", help="Encrypt blocks at rest (not built yet).")] = False,
    two_way: Annotated[bool, typer.Option("--two-way", help="Let others change the folder (not built yet).")] = False,
    state_dir: StateDir = None,
    background: Background = False,
    max_memory: MaxMemory = DEFAULT_MEMORY,
    json: Json = False,
) -> None:
    """Share a folder, and print the line for the other machine.

    Serves until Ctrl-C. The next time, the folder has the same link, and only what has changed is read.
    """
    with _Told(as_json=json):
        if sealed:
            raise ConfigError("sealed folders are not built yet: leave --sealed away")
        if two_way:
            raise ConfigError("two-way sharing is not built yet: leave --two-way away, others will follow this folder")
        from p2psync.node.share import ShareOptions
        from p2psync.node.share import share as run_share

        limits = read_limits(limit_up, limit_down, limit_peer_up, limit_peer_down, lan=not no_limit_lan)
        options = ShareOptions(
            directory,
            read_network(listen, tracker, peer, limits, no_lan=no_lan, reciprocal=reciprocal),
            state_dir,
            read_memory(max_memory),
        )
        _run(lambda emit: run_share(options, emit), as_json=json, background=background)


@app.command()
def get(
    *,
    link: Link,
    directory: Target,
    tracker: Trackers = [],
    peer: Peers = [],
    listen: Listen = ANYWHERE,
    no_lan: NoLan = False,
    limit_up: LimitUp = None,
    limit_down: LimitDown = None,
    limit_peer_up: LimitPeerUp = None,
    limit_peer_down: LimitPeerDown = None,
    no_limit_lan: NoLimitLan = False,
    reciprocal: Reciprocal = False,
    timeout: Timeout = GET_TIMEOUT_S,
    seed: Annotated[bool, typer.Option("--seed", help="Stay when done, to serve others, until Ctrl-C.")] = False,
    only: Annotated[list[str], typer.Option("--only", metavar="GLOB", help="Only these paths (not built yet).")] = [],
    exact: Exact = False,
    background: Background = False,
    max_memory: MaxMemory = DEFAULT_MEMORY,
    order: Order = "rarest",
    first: First = [],
    json: Json = False,
) -> None:
    """Fetch what a link names into a folder, then end.

    What DIR holds already is used; what is interrupted goes on where it was. Nothing of yours is deleted.
    """
    with _Told(as_json=json):
        if only:
            raise ConfigError("choosing paths is not built yet: leave --only away")
        from p2psync.node.follow import FollowOptions, follow

        limits = read_limits(limit_up, limit_down, limit_peer_up, limit_peer_down, lan=not no_limit_lan)
        options = FollowOptions(
            parse_link(link),
            directory,
            read_network(listen, tracker, peer, limits, no_lan=no_lan, reciprocal=reciprocal),
            timeout_s=timeout,
            stay=seed,
            wait_for_peer=True,
            pull=read_pull(order, first, exact=exact),
            memory=read_memory(max_memory),
        )
        _run(lambda emit: follow(options, emit), as_json=json, background=background)


@app.command()
def sync(
    *,
    link: Link,
    directory: Target,
    tracker: Trackers = [],
    peer: Peers = [],
    listen: Listen = ANYWHERE,
    no_lan: NoLan = False,
    limit_up: LimitUp = None,
    limit_down: LimitDown = None,
    limit_peer_up: LimitPeerUp = None,
    limit_peer_down: LimitPeerDown = None,
    no_limit_lan: NoLimitLan = False,
    reciprocal: Reciprocal = False,
    timeout: Timeout = None,
    exact: Exact = False,
    background: Background = False,
    max_memory: MaxMemory = DEFAULT_MEMORY,
    order: Order = "rarest",
    first: First = [],
    json: Json = False,
) -> None:
    """Fetch what a link names, stay, and take every change.

    Serves what it has to others. Ends with Ctrl-C.
    """
    with _Told(as_json=json):
        parsed = parse_link(link)
        if parsed.keys.seed is not None:
            raise ConfigError("two-way sync is not built yet: follow with the read link instead")
        from p2psync.node.follow import FollowOptions, follow

        limits = read_limits(limit_up, limit_down, limit_peer_up, limit_peer_down, lan=not no_limit_lan)
        options = FollowOptions(
            parsed,
            directory,
            read_network(listen, tracker, peer, limits, no_lan=no_lan, reciprocal=reciprocal),
            timeout_s=timeout,
            stay=True,
            wait_for_peer=False,
            pull=read_pull(order, first, exact=exact),
            memory=read_memory(max_memory),
        )
        _run(lambda emit: follow(options, emit), as_json=json, background=background)


@app.command(short_help="Show whom a running command is linked with.")
def peers(*, directory: Directory, state_dir: AskedStateDir = None, json: Json = False) -> None:
    """Show whom a running share, get or sync of DIR is linked with, and what each has, gives and takes."""
    _ask(directory, state_dir, {"command": "peers"}, as_json=json)


@app.command(short_help="Show how far a running command is.")
def status(*, directory: Directory, state_dir: AskedStateDir = None, json: Json = False) -> None:
    """Show how far a running share, get or sync of DIR is, and what it waits for."""
    _ask(directory, state_dir, {"command": "status"}, as_json=json)


@app.command(short_help="Change or show a running command's limits.")
def limit(
    *,
    directory: Directory,
    up: Annotated[
        str | None, typer.Option("--up", metavar="RATE", help="Bytes a second in all: 10M, 500K, or off.")
    ] = None,
    down: Annotated[str | None, typer.Option("--down", metavar="RATE", help="The same for what is received.")] = None,
    peer_up: Annotated[str | None, typer.Option("--peer-up", metavar="RATE", help="What each peer is sent.")] = None,
    peer_down: Annotated[
        str | None, typer.Option("--peer-down", metavar="RATE", help="What each peer may send.")
    ] = None,
    lan: Annotated[
        bool | None, typer.Option("--lan/--no-lan", help="Whether limits hold for peers at private addresses.")
    ] = None,
    state_dir: AskedStateDir = None,
    json: Json = False,
) -> None:
    """Change the limits of a running share, get or sync of DIR, until it ends; without options, show them."""
    given = {"up": up, "down": down, "peer_up": peer_up, "peer_down": peer_down, "lan": lan}
    changes = {name: value for name, value in given.items() if value is not None}
    _ask(directory, state_dir, {"command": "limit", **changes}, as_json=json)


@app.command(short_help="Have a running get or sync fetch a path first.")
def first(
    *,
    directory: Directory,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A file or directory, as it is called inside DIR.")],
    offset: Annotated[int, typer.Option("--from", metavar="OFFSET", min=0, help="Of a file: begin at this byte.")] = 0,
    count: Annotated[
        int | None, typer.Option("--bytes", metavar="COUNT", min=1, help="Of a file: wait for so many bytes only.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is there; then print where to read it.")] = False,
    state_dir: AskedStateDir = None,
    json: Json = False,
) -> None:
    """Have a running get or sync of DIR fetch a path before all others, a file from an offset on."""
    asked = {"path": path, "from": offset, "bytes": count, "wait": wait}
    _ask(directory, state_dir, {"command": "first", **asked}, as_json=json)


def _ask(directory: Path, state_dir: Path | None, question: dict[str, object], *, as_json: bool) -> None:
    with _Told(as_json=as_json):
        from p2psync.cli.asking import ask

        ask(directory, state_dir, question, as_json=as_json)


_NOT_BUILT = {
    "store": "storage peers are",
    "node": "the headless node is",
    "log": "the folder's history is",
    "restore": "restoring versions is",
    "revert": "reverting local changes is",
    "verify": "checking a folder at rest is",
    "conflicts": "two-way sync is",
    "link": "showing links of a folder that is not being shared is",
    "pause": "the control of a running node is",
    "resume": "the control of a running node is",
    "ignore": "ignore rules are",
}


def _refuse(name: str, subject: str) -> None:
    @app.command(name, hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def refuse(context: typer.Context) -> None:
        with _Told(as_json="--json" in context.args):
            raise ConfigError(f"{subject} not built yet: see 'p2psync --help' for what is")


for _name, _subject in _NOT_BUILT.items():
    _refuse(_name, _subject)


def _run(
    work: Callable[[Callable[["Shown"], None]], Awaitable[None]], *, as_json: bool, background: bool = False
) -> None:
    from p2psync.cli.run import run_command

    if background:
        from p2psync.node.priority import step_back

        if not step_back():
            work = _noting(
                work, "--background: the processor is left to others, but this system does not let us leave the disk"
            )
    raise typer.Exit(run_command(work, as_json=as_json))


def _noting(
    work: Callable[[Callable[["Shown"], None]], Awaitable[None]], sentence: str
) -> Callable[[Callable[["Shown"], None]], Awaitable[None]]:
    """Return work that tells a note besides, after `listening`, which comes first from every command."""
    from p2psync.node.events import Listening, Note

    async def run(emit: Callable[["Shown"], None]) -> None:
        def emit_too(event: "Shown") -> None:
            emit(event)
            if isinstance(event, Listening):
                emit(Note(sentence))

        await work(emit_too)

    return run


class _Told:
    """Tells what is wrong with the user's input, and ends with its exit code."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, P2PSyncError):
            from p2psync.cli.run import tell_error

            raise typer.Exit(tell_error(error, as_json=self._as_json)) from None


def main() -> None:
    """Run the command line."""
    gc.disable()  # while modules are imported: a tenth of the time to start; `run_command` enables it
    guard_streams()
    code = _run_app(as_json="--json" in sys.argv[1:])
    gc.freeze()  # or Python looks through everything once more before it ends
    sys.exit(code)


def _run_app(*, as_json: bool) -> int:
    try:
        code: int = app(prog_name="p2psync", standalone_mode=False)
        sys.stdout.flush()
    except _USAGE_ERROR as error:
        code = _tell_usage(error, as_json=as_json)
    except ReaderGoneError:
        code = 130
    except OutputError as error:
        from p2psync.cli.run import tell_error

        code = tell_error(StoreError(str(error)), as_json=as_json)
    except OSError as error:
        if "--install-completion" not in sys.argv[1:]:  # which is typer's; of our own, all but a bug is told by now
            raise
        code = _tell_not_installed(error, as_json=as_json)
    return code


def _tell_not_installed(error: OSError, *, as_json: bool) -> int:
    from p2psync.cli.run import tell_error

    reason = f"{error.strerror}: {error.filename!r}"
    sentence = f"the completion cannot be installed ({reason}): --show-completion prints it for a place of your choice"
    return tell_error(StoreError(sentence), as_json=as_json)


def _tell_usage(error: Exception, *, as_json: bool) -> int:
    """Tell what is wrong with the command line, as an event where those are asked for; return the exit code."""
    from p2psync.cli.run import tell_error

    if as_json:
        return tell_error(ConfigError(error.format_message()), as_json=True)  # type: ignore[attr-defined]
    with suppress(OutputError):
        error.show()  # type: ignore[attr-defined]
    return 2
