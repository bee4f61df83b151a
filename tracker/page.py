"""The page for humans: totals and the busiest swarms, as far as their info hashes tell."""

from collections.abc import Sequence

from p2psync.ids import InfoHash
from p2psync.wire.announce import SwarmCounts
from p2psync.words import counted
from tracker.swarms import Totals

CONTENT_TYPE = b"text/html; charset=utf-8"
_STYLE = "body{font:16px/1.5 sans-serif;margin:2em auto;max-width:52em}td,th{padding:.1em 1em;text-align:right}"
_STYLE += "td:first-child,th:first-child{text-align:left;font-family:monospace}"


def render_page(totals: Totals, busiest: Sequence[tuple[InfoHash, SwarmCounts]]) -> bytes:
    """Return the page as HTML; nothing in it comes from a stranger's text."""
    sums = f"{counted(totals.swarms, 'swarm')}, {counted(totals.peers, 'peer')}"
    sums += f" ({totals.peers4:,} by IPv4, {totals.peers6:,} by IPv6)"
    rows = "".join(
        f"<tr><td>{info_hash.hex()}<td>{counts.complete:,}<td>{counts.incomplete:,}<td>{counts.downloaded:,}"
        for info_hash, counts in busiest
    )
    head = "<tr><th>info hash<th>complete<th>incomplete<th>downloaded"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Tracker</title><style>{_STYLE}</style>"
        f"<h1>Tracker</h1><p>{sums}, {totals.seeds:,} with all.<table>{head}{rows}</table>"
    ).encode()
