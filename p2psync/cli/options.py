"""Options that several commands share, and how they are read."""

from pathlib import Path
from typing import Annotated

import typer

from p2psync.ids import PeerAddress, parse_address
from p2psync.sharelink import TrackerTiers, parse_tier

# Whether a folder can be used is found out when it is: we say it better, and with the right exit code.
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The folder.", readable=False)]
Target = Annotated[
    Path, typer.Argument(metavar="DIR", help="Where to fetch it to; made if there is none.", readable=False)
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
Exact = Annotated[bool, typer.Option("--exact", help="Move files that the folder does not know to .p2psync/versions.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="S", min=0.1, help="Give up when nothing has come for S seconds."),
]

ANYWHERE = "0.0.0.0:0"


def read_tiers(urls: list[str]) -> TrackerTiers:
    """Read `--tracker` options.

    Raises:
        ConfigError: One is no tracker.
    """
    return tuple(parse_tier(url) for url in urls)


def read_peers(texts: list[str]) -> tuple[PeerAddress, ...]:
    """Read `--peer` options.

    Raises:
        ConfigError: One is no address.
    """
    return tuple(parse_address(text) for text in texts)
