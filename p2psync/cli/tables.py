"""Lines for people: sizes, and what peers, status and limits look like.

What is shown may come from a process of another version: a field that it does not tell is shown as if there were none.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from p2psync.node.peer_table import PeerRow
from p2psync.words import counted

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_NO_STATUS: Mapping[str, Any] = {
    "folder": "?",
    "state": "?",
    "done_bytes": 0,
    "total_bytes": 0,
    "fetched_bytes": 0,
    "uploaded_bytes": 0,
    "copies_sent": 0.0,
    "peers": 0,
    "addresses": 0,
    "waiting_for": "",
    "sources": {},
    "listen": "?",
    "seq": 0,
    "limits": {},
}
_NO_LIMIT: Mapping[str, Any] = {"set": "", "now": None}
_LIMIT_NAMES = {"up": "send", "down": "receive", "peer_up": "send to each peer", "peer_down": "receive from each peer"}


def show_bytes(count: float) -> str:
    """Return a size as people read it, in powers of ten."""
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} {_UNITS[-1]}"


def printable(text: str) -> str:
    """Keep a name that is not text, or holds control characters, from confusing the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def peer_lines(rows: Sequence[PeerRow]) -> list[str]:
    """Return a line a peer, in columns: where, what it has, what it gives and takes, what goes on."""
    return _aligned([_peer_cells(row) for row in rows])


def sent_lines(answer: Mapping[str, Any]) -> list[str]:
    """Return what an origin keeps an eye on, if it is told: not before the folder's size is known."""
    copies = answer.get("copies_sent")
    return [] if copies is None else [f"sent so far: {copies:.2f} times the folder"]


def status_lines(status: Mapping[str, Any]) -> list[str]:
    """Return what `p2psync status` prints."""
    status = {**_NO_STATUS, **status}
    done = f"{status['state']}: {show_bytes(status['done_bytes'])} of {show_bytes(status['total_bytes'])}"
    sent = show_bytes(status["uploaded_bytes"])
    if status["total_bytes"]:
        sent += f", {status['copies_sent']:.2f} times the folder"
    cells = [
        ["folder", printable(status["folder"])],
        ["version", str(status["seq"] or "none yet")],
        ["work", done],
        ["fetched", show_bytes(status["fetched_bytes"])],
        ["sent", sent],
        ["peers", f"{status['peers']} linked, {counted(status['addresses'], 'address')} known"],
        *([["waits", printable(status["waiting_for"])]] if status["waiting_for"] else []),
        *(["found by", printable(f"{where}: {outcome}")] for where, outcome in status["sources"].items()),
        ["listens on", status["listen"]],
    ]
    return _aligned(cells) + limit_lines(status["limits"])


def first_lines(told: Mapping[str, Any]) -> list[str]:
    """Return what `p2psync first` prints: the place where to read what is there, and if it is not all, how much is."""
    path, read_at, kind = printable(told["path"]), printable(told.get("read_at") or ""), told.get("kind")
    if told.get("ready"):
        return [read_at]
    if kind is None:
        return [f"{path} comes first if the folder has it: what it has is not known here yet"]
    if kind != "file" or not read_at:
        return [f"{path} comes first now"]
    return [f"{path} comes first now: from byte {told['from']:,} to {told['to']:,} of {told['size']:,} in {read_at}"]


def limit_lines(limits: Mapping[str, Any]) -> list[str]:
    """Return the limits that are set, and whom they hold for."""
    told = {key: {**_NO_LIMIT, **limits.get(key, {})} for key in _LIMIT_NAMES}
    rows = [
        [f"{name} at most", _rate(told[key]["now"]), f"(set: {told[key]['set']})"]
        for key, name in _LIMIT_NAMES.items()
        if told[key]["set"]
    ]
    if not rows:
        return ["no limits"]
    reach = "they hold on the local network too" if limits.get("lan", True) else "not for peers at private addresses"
    return [*_aligned(rows), f"limits: {reach}"]


def _peer_cells(row: PeerRow) -> list[str]:
    held = "?" if row.held is None else f"{int(100 * row.held)} %"
    down_limit, up_limit = _limit(row.down_limit, row.down_exempt), _limit(row.up_limit, row.up_exempt)
    return [
        f"{'to' if row.direction == 'out' else 'from'} {row.address or row.device}",
        f"has {held}",
        f"gives {_rate(row.down_bytes_per_s)} ({show_bytes(row.received_bytes)}){down_limit}",
        f"takes {_rate(row.up_bytes_per_s)} ({show_bytes(row.sent_bytes)}){up_limit}",
        row.state + _still_to_come(row),
        printable(row.agent),
    ]


def _still_to_come(row: PeerRow) -> str:
    owes = f", owes {show_bytes(row.owes_bytes)}" if row.owes_bytes else ""
    return owes + (f", {counted(row.wished_blocks, 'block')} left to it" if row.wished_blocks else "")


def _limit(rate: float | None, is_exempt: bool) -> str:
    if is_exempt:
        return " local, no limit"
    return "" if rate is None else f" limit {_rate(rate)}"


def _rate(rate: float | None) -> str:
    return "without limit" if rate is None else f"{show_bytes(rate)}/s"


def _aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
