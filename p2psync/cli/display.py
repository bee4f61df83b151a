"""Show events: as JSON lines on stdout, or for people on stderr with the results on stdout."""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Protocol, Self

import trio
from rich.console import Console
from rich.live import Live
from rich.text import Text

from p2psync.cli.rate import Rate
from p2psync.cli.tables import peer_lines, printable, show_bytes
from p2psync.node.events import (
    Listening,
    LocalAddition,
    Matched,
    Note,
    Offering,
    PeersSeen,
    Problem,
    Progress,
    Published,
    Ready,
    Shown,
)
from p2psync.node.peer_table import PeerRow
from p2psync.words import counted

COMMAND = os.environ.get("P2PSYNC_COMMAND", "p2psync")
"""How this program was called, for lines to paste: scripts/p2psync says that it was from a clone."""
LIVE_PEERS = 6
"""Lines below the one of progress: who moves most."""
NAMED_ADDITIONS = 10
"""So many of the user's own paths are named at a time; the others are counted: there may be thousands."""


class Display(Protocol):
    """Shows events while it is entered."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    def show(self, event: Shown) -> None:
        """Show one event."""
        ...


class JsonDisplay:
    """One JSON object a line on stdout, and nothing else there."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: object, tb: object) -> None: ...

    def show(self, event: Shown) -> None:
        """Print one event; bytes of a name that are no text come as lone surrogates, as Python reads them."""
        if isinstance(event, PeersSeen):
            return
        try:
            sys.stdout.write(json.dumps({"event": event.event} | asdict(event)) + "\n")
            sys.stdout.flush()
        finally:
            if isinstance(event, Problem):  # for whoever reads only the log
                sys.stderr.write(f"error: {printable(event.message)}\n")


class TerminalDisplay:
    """Sentences on stderr, with a line of progress where a terminal can rewrite it; links and results on stdout."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._rates = Rates()
        self._progress: Progress | None = None
        self._shown = ""
        self._said_waiting = ""
        self._said_link = ""
        self._matched: Matched | None = None
        self._peers: Sequence[PeerRow] = ()
        self._additions = 0

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._console.is_dumb_terminal:  # one line cannot be rewritten there
            self._live = Live(console=self._console, transient=True, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, kind: object, value: object, tb: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, event: Shown) -> None:
        """Show one event."""
        match event:
            case Progress():
                self._show_progress(event)
            case Ready():
                self._show_ready(event)
            case Matched():
                self._count_additions()
                self._show_match(event)
            case Published():
                self._say(f"published version {event.seq}: {counted(event.files, 'file')}, {show_bytes(event.bytes)}")
            case LocalAddition():
                self._show_addition(event)
            case Problem():
                self._count_additions()
                self._say(f"error: {printable(event.message)}", style="red")
            case Note():
                self._say(printable(event.message))
            case PeersSeen():
                self._show_peers(event)
            case Listening():
                pass

    def _show_ready(self, event: Ready) -> None:
        so_far = "so far, and the scan goes on" if isinstance(event, Offering) else f"on {event.listen}"
        self._say(f"sharing {counted(event.files, 'file')}, {show_bytes(event.bytes)}, {so_far}")
        if event.link == self._said_link:
            return
        self._said_link = event.link
        self._say("on the other machine:")
        self._result(f"{COMMAND} get {shlex.quote(event.link)} DIR")
        self._say("anybody with that line can read the folder; Ctrl-C stops sharing")

    def _show_progress(self, event: Progress) -> None:
        self._progress = event
        if self._live is not None:
            self._refresh(self._live, event)
        elif event.waiting_for and event.waiting_for != self._said_waiting:
            self._say(event.waiting_for)
        self._said_waiting = event.waiting_for

    def _show_peers(self, event: PeersSeen) -> None:
        """Comes twice a second, also while nothing moves: a rate sinks then."""
        if self._live is not None:
            self._peers = event.peers()
            if self._progress is not None:
                self._refresh(self._live, self._progress)

    def _refresh(self, live: Live, event: Progress) -> None:
        lines = [progress_line(event, self._rates, trio.current_time()), *peer_lines(self._peers[:LIVE_PEERS])]
        if (text := "\n".join(lines)) != self._shown:
            self._shown = text
            live.update(Text(text, overflow="ellipsis", no_wrap=True), refresh=True)

    def _show_match(self, event: Matched) -> None:
        before, self._matched = self._matched, event
        fetched_bytes = event.fetched_bytes - (before.fetched_bytes if before else 0)
        took = "" if before else f" in {event.seconds:.1f} s"  # of a later match it says how long we have been here
        self._say(
            f"matches: {counted(event.files, 'file')}, {show_bytes(event.bytes)} "
            f"({show_bytes(fetched_bytes)} fetched, {show_bytes(event.reused_bytes)} found here){took}"
        )
        if event.displaced:
            self._say(f"{counted(event.displaced, 'path')} of yours moved to .p2psync/versions")

    def _show_addition(self, event: LocalAddition) -> None:
        self._additions += 1
        if self._additions <= NAMED_ADDITIONS:
            self._say(f"left alone, not part of the folder: {printable(event.path)}")

    def _count_additions(self) -> None:
        """All that were left alone have been told of: say how many were not named."""
        unnamed, self._additions = self._additions - NAMED_ADDITIONS, 0
        if unnamed > 0:
            self._say(f"left alone as well: {counted(unnamed, 'path')} more")

    def _say(self, sentence: str, *, style: str = "") -> None:
        self._console.print(Text(sentence, style=style))

    def _result(self, line: str) -> None:
        if self._live is not None:
            self._live.stop()
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        if self._live is not None:
            self._live.start()


class Rates:
    """How fast bytes come and go."""

    def __init__(self) -> None:
        self.down, self.up = Rate(), Rate()

    def update(self, event: Progress, now: float) -> None:
        """Take in how the work stands at this moment."""
        if event.waiting_for or event.state not in ("fetching", "applying"):
            self.down.stop()
        else:
            self.down.begin(event.fetched_bytes, now)
            self.down.update(event.fetched_bytes, now)
        self.up.update(event.uploaded_bytes, now)


def progress_line(event: Progress, rates: Rates, now: float) -> str:
    """Return the line that a terminal shows."""
    rates.update(event, now)
    if event.waiting_for:
        return event.waiting_for
    if event.state == "scanning":
        return f"scanning: {counted(event.scanned_files, 'file')} looked at"
    parts = [f"{event.state}:"]
    down, up = rates.down.bytes_per_s(now), rates.up.bytes_per_s(now)
    if event.total_bytes and event.state in ("fetching", "applying"):
        left = event.total_bytes - event.done_bytes
        parts.append(f"{100 * event.done_bytes // event.total_bytes} % of {show_bytes(event.total_bytes)},")
        if down >= 1:
            parts.append(f"{show_bytes(down)}/s,")
        if down >= 1 and left > 0:
            parts.append(f"{_duration(left / down)} left,")
    if up >= 1:
        parts.append(f"sending {show_bytes(up)}/s,")
    if event.state == "serving" and event.copies_sent:
        parts.append(f"sent {event.copies_sent:.2f} times,")
    return " ".join([*parts, counted(event.peers, "peer")])


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
