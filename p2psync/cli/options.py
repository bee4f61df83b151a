"""Options that several commands share, and how they are read."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2psync.budget import DEFAULT_BYTES, LEAST_BYTES, MemoryBudget
from p2psync.errors import ConfigError
from p2psync.ids import parse_address
from p2psync.sharelink import parse_tier

if TYPE_CHECKING:
    from p2psync.node.limits import LimitOptions
    from p2psync.node.network import NetworkOptions
    from p2psync.node.timetable import Timetable
    from p2psync.sync.follower import PullOptions


def _read_path(text: str) -> Path:
    if not text:  # which Path takes for the current directory: a variable that is not set would share that
        raise typer.BadParameter("it is empty; the current directory is '.'")
    return Path(text)


def _refuse_nan(seconds: float | None) -> float | None:
    if seconds is not None and math.isnan(seconds):  # which is not below the least time: nothing would ever exceed it
        raise typer.BadParameter("nan is no number of seconds")
    return seconds


# Whether a folder can be used is found out when it is: we say it better, and with the right exit code.
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The folder.", parser=_read_path)]
Target = Annotated[
    Path, typer.Argument(metavar="DIR", help="Where to fetch it to; made if there is none.", parser=_read_path)
]
Link = Annotated[str, typer.Argument(metavar="LINK", help="The link that 'share' printed, in quotes.")]
Trackers = Annotated[
    list[str],
    typer.Option(
        "--tracker",
        metavar="URL",
        help="A tracker; repeat for fall-backs, each a tier. Several of one tier are separated by commas.",
    ),
]
Peers = Annotated[list[str], typer.Option("--peer", metavar="HOST:PORT", help="A peer to try; may be repeated.")]
Listen = Annotated[
    str, typer.Option("--listen", metavar="HOST:PORT", help="Where peers reach this one; port 0 picks a free one.")
]
NoLan = Annotated[bool, typer.Option("--no-lan", help="Do not look for peers on the local network.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line instead of text.")]
Reciprocal = Annotated[
    bool, typer.Option("--reciprocal", help="Among strangers: serve first who gives most; else all are served alike.")
]
Order = Annotated[
    str,
    typer.Option(
        "--order",
        metavar="ORDER",
        help="'rarest' is best for all; 'sequential' fetches path by path, and each file from its start.",
    ),
]
First = Annotated[
    list[str],
    typer.Option(
        "--first", metavar="GLOB", help="Fetch these paths before all others: 'photos/2024', '*.mkv'; repeat."
    ),
]
Exact = Annotated[bool, typer.Option("--exact", help="Move files that the folder does not know to .p2psync/versions.")]
LimitUp = Annotated[
    str | None,
    typer.Option(
        "--limit-up",
        metavar="RATE",
        help="Send at most so many bytes a second in all: 10M, 500K; or by time: 'mon-fri 9-18 2M, 10M'.",
    ),
]
LimitDown = Annotated[
    str | None, typer.Option("--limit-down", metavar="RATE", help="Receive at most so many bytes a second in all.")
]
LimitPeerUp = Annotated[
    str | None, typer.Option("--limit-peer-up", metavar="RATE", help="Send each peer at most so many bytes a second.")
]
LimitPeerDown = Annotated[
    str | None,
    typer.Option("--limit-peer-down", metavar="RATE", help="Receive at most so many bytes a second from each peer."),
]
NoLimitLan = Annotated[
    bool, typer.Option("--no-limit-lan", help="Limits leave out peers at private addresses; else they hold for all.")
]
StateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="DIR", help="Keep p2psync's state here, not in the folder.", parser=_read_path),
]
AskedStateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="DIR", help="Where a share has its state, if not in DIR.", parser=_read_path),
]
Background = Annotated[bool, typer.Option("--background", help="Leave processor and disk to whatever else wants them.")]
MaxMemory = Annotated[
    str, typer.Option("--max-memory", metavar="SIZE", help="Memory for data on its way: 256M, 1G; at least 118M.")
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="S", min=0.1, callback=_refuse_nan, help="Give up when nothing has come for S seconds."
    ),
]

ANYWHERE = "0.0.0.0:0"
DEFAULT_MEMORY = f"{DEFAULT_BYTES >> 20}Mi"


def read_network(
    listen: str, tracker: list[str], peer: list[str], limits: "LimitOptions", *, no_lan: bool, reciprocal: bool
) -> "NetworkOptions":
    """Read the options about how peers are met.

    Raises:
        ConfigError: One is no address, or no tracker.
    """
    from p2psync.node.network import NetworkOptions

    return NetworkOptions(
        parse_address(listen, lowest_port=0),
        tuple(parse_tier(url) for url in tracker),
        tuple(parse_address(text) for text in peer),
        lan=not no_lan,
        limits=limits,
        reciprocal=reciprocal,
    )


def read_limits(
    up: str | None, down: str | None, peer_up: str | None, peer_down: str | None, *, lan: bool
) -> "LimitOptions":
    """Read the options about limits; None is one that was not given.

    Raises:
        ConfigError: One is no rate or time table.
    """
    from p2psync.node.limits import LimitOptions
    from p2psync.node.timetable import UNLIMITED, parse_timetable

    def table(option: str, text: str | None) -> "Timetable":
        return UNLIMITED if text is None else parse_timetable(text, option=option)

    return LimitOptions(
        up=table("--limit-up", up),
        down=table("--limit-down", down),
        peer_up=table("--limit-peer-up", peer_up),
        peer_down=table("--limit-peer-down", peer_down),
        lan=lan,
    )


def read_memory(text: str) -> MemoryBudget:
    """Read `--max-memory`.

    Raises:
        ConfigError: It is no size, or too small to work with.
    """
    # Small letters too, as in rates: a size of memory is never told in bits, nor in thousandths.
    size = re.fullmatch(r"([0-9]{1,9})([kmgt])(i?)b?", text.lower())
    if size is None:
        raise ConfigError(f"--max-memory {text!r} is no size: write it as in 256M or 1G")
    bytes_ = int(size[1]) * (1024 if size[3] else 1000) ** ("kmgt".index(size[2]) + 1)
    if bytes_ < LEAST_BYTES:
        raise ConfigError(f"--max-memory {text} is too little: at least {-(-LEAST_BYTES // 10**6)}M are needed")
    return MemoryBudget(bytes_)


def read_pull(order: str, first: list[str], *, exact: bool) -> "PullOptions":
    """Read the options about what is fetched when.

    Raises:
        ConfigError: There is no such order, or a pattern can match nothing.
    """
    from p2psync.sync.choice import PathChoice
    from p2psync.sync.follower import PullOptions

    if order not in ("rarest", "sequential"):
        raise ConfigError(f"--order {order!r} is no order: it must be rarest or sequential")
    return PullOptions(exact=exact, first=PathChoice(first), in_order=order == "sequential")
