"""The command `p2psync-tracker`: options, output and exit codes; the service itself is `tracker.serve`."""

import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from p2psync import __version__
from p2psync.errors import P2PSyncError, StoreError, explained_lack_of_descriptors, first_error
from p2psync.streams import OutputError, ReaderGoneError, guard_streams

_INTERRUPTED = 130
_USAGE = 2
_DISK = 5
_CONFIG_VARIABLE = "P2PSYNC_TRACKER_CONFIG"

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="A BitTorrent tracker."
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"p2psync-tracker {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """A BitTorrent tracker for a LAN, a company or a lab: HTTP, HTTPS and UDP, IPv4 and IPv6."""


@app.command()
def serve(  # noqa: PLR0913, PLR0917 - the flags
    listen: Annotated[list[str] | None, typer.Option(metavar="HOST:PORT", help="Serve HTTP here.")] = None,
    listen_tls: Annotated[list[str] | None, typer.Option(metavar="HOST:PORT", help="Serve HTTPS here.")] = None,
    udp: Annotated[list[str] | None, typer.Option(metavar="HOST:PORT", help="Serve UDP here.")] = None,
    state: Annotated[str | None, typer.Option(help="memory, redis://…, rediss://… or unix:///PATH.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any option of the configuration file."),
    ] = None,
    config: Annotated[Path | None, typer.Option(envvar=_CONFIG_VARIABLE, help="Read options from a TOML file.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print events as JSON, one a line.")] = False,
) -> None:
    """Serve until interrupted. Flags win over the environment (P2PSYNC_TRACKER_NAME), and that over the file."""
    named = {"listen": listen, "listen_tls": listen_tls, "udp": udp, "state": state}
    flags = {name: value for name, value in named.items() if value is not None and value != []}
    try:
        received = _serve(flags, option or [], config, json_output=json_output)
    except P2PSyncError as error:
        _fail(error, json_output=json_output)
    raise typer.Exit(_INTERRUPTED if received == signal.SIGINT else 0)


@app.command("config")
def print_config() -> None:
    """Print a configuration file with every option, explained and at its default."""
    from tracker.config import documented_defaults  # noqa: PLC0415 - so that --help need not load it

    typer.echo(documented_defaults(), nl=False)


def main() -> None:
    """Run the command."""
    guard_streams()
    code = 0
    try:
        app()
    except* ReaderGoneError:
        code = _INTERRUPTED
    except* OutputError as unwritten:
        code = _DISK
        typer.echo(f"Error: {first_error(unwritten)}", err=True)
    sys.exit(code)


def _serve(
    flags: Mapping[str, object], assignments: list[str], config: Path | None, *, json_output: bool
) -> signal.Signals:
    import trio  # noqa: PLC0415 - so that --help need not load it

    from tracker.config import load_settings  # noqa: PLC0415 - likewise
    from tracker.logs import start_logging  # noqa: PLC0415 - likewise
    from tracker.serve import serve as run  # noqa: PLC0415 - likewise

    faults: list[str] = []
    flags = {**_parse_assignments(assignments, faults), **flags}
    settings = load_settings(file=_read_config(config, faults), environment=os.environ, flags=flags, faults=faults)
    start_logging(settings.log_format, settings.log_level)

    def listening(addresses: dict[str, list[str]]) -> None:
        every = [address for group in addresses.values() for address in group]
        if json_output:
            typer.echo(json.dumps({"event": "listening", "listen": every[0], **addresses}))
        sys.stdout.flush()

    with explained_lack_of_descriptors():
        return trio.run(run, settings, os.environ, listening)


def _read_config(path: Path | None, faults: list[str]) -> str:
    try:
        return path.read_text("utf-8") if path else ""
    except OSError as error:
        faults.append(f"the configuration {path} cannot be read: {error.strerror}")
        return ""
    except UnicodeDecodeError as error:
        faults.append(f"the configuration {path} cannot be read: {error}")
        return ""


def _parse_assignments(assignments: list[str], faults: list[str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if equals and name.strip():
            values[name.strip()] = value.strip()
        else:
            faults.append(f"--set {assignment!r} must be NAME=VALUE")
    return values


def _fail(error: P2PSyncError, *, json_output: bool) -> NoReturn:
    kind, code = ("disk", _DISK) if isinstance(error, StoreError) else ("usage", _USAGE)
    with suppress(OutputError):  # the exit code says it, whoever reads or does not
        try:
            if json_output:
                typer.echo(json.dumps({"event": "error", "kind": kind, "message": str(error)}))
        finally:
            typer.echo(f"Error: {error}", err=True)
    raise typer.Exit(code)
