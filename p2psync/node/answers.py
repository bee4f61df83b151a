"""What a running process answers to `peers`, `status`, `limit` and `first`."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Protocol

from p2psync.errors import ConfigError, P2PSyncError
from p2psync.ids import BlockId
from p2psync.manifest.tree import Manifest
from p2psync.node.control import Answer, Question
from p2psync.node.network import FolderNetwork
from p2psync.node.peer_table import PeerRow, explain_standstill, peer_rows
from p2psync.node.progress import snapshot
from p2psync.node.timetable import Timetable, parse_timetable
from p2psync.store.folder_state import FolderState
from p2psync.sync.asked import AskedPath, read_asked
from p2psync.sync.asks import Ask
from p2psync.sync.events import FolderProgress
from p2psync.sync.heads import NewestHead


class Asking(Protocol):
    """Has a path before all others, as `Follower.ask` does."""

    def __call__(self, what: AskedPath, *, waits: bool) -> Awaitable[Ask]: ...  # noqa: D102


TABLES = ("up", "down", "peer_up", "peer_down")


class FolderAnswers:
    """Answers for one folder.

    Args:
        folder: Its state.
        network: Its peers.
        newest: Its version.
        progress: How far it is.
        ask: Has a path before all others; None where all of the folder is here.
    """

    def __init__(
        self,
        folder: FolderState,
        network: FolderNetwork,
        newest: NewestHead,
        progress: FolderProgress,
        ask: Asking | None = None,
    ) -> None:
        self._folder = folder
        self._network = network
        self._newest = newest
        self._progress = progress
        self._ask = ask
        self._pages_of: tuple[BlockId | None, int] = (None, 0)

    async def answer(self, question: Question) -> Answer:
        """Answer a question.

        Raises:
            ConfigError: It is none that we know, or asks for what cannot be.
            PathError: It waits for a path that cannot be made here.
        """
        if question.get("command") == "first":
            return await self._first(question)
        commands: dict[str, Callable[[Question], Answer]] = {
            "peers": self._peers,
            "status": self._status,
            "limit": self._limit,
        }
        name = question.get("command")
        command = commands.get(name) if isinstance(name, str) else None
        if command is None:
            raise ConfigError(f"this p2psync does not know the command {name!r}")
        return command(question)

    def peers(self) -> list[PeerRow]:
        """Return a row a peer."""
        return peer_rows(self._network.swarm.statistics(), self._pages())

    async def _first(self, question: Question) -> Answer:
        if self._ask is None:
            raise ConfigError("this process shares the folder, and fetches nothing: what there is of it is here")
        path, offset, count = question.get("path"), question.get("from", 0), question.get("bytes")
        if not isinstance(path, str) or not isinstance(offset, int) or not isinstance(count, int | None):
            raise ConfigError("a path is asked for by its name, and by numbers of bytes")
        waits = question.get("wait") is True
        ask = await self._ask(read_asked(path, offset, count), waits=waits)
        if waits:
            await ask.wait()
        return {
            "path": os.fsdecode(ask.what.path),
            "kind": ask.kind.name.lower() if ask.kind is not None else None,
            "size": ask.size_bytes,
            "from": offset,
            "to": ask.end,
            "ready": ask.is_there,
            "read_at": str(ask.read_at.absolute()) if ask.read_at is not None else None,
        }

    def _peers(self, question: Question) -> Answer:
        now = snapshot(self._progress, self._network)
        copies = now.copies_sent if now.total_bytes else None
        return {"peers": [asdict(row) for row in self.peers()], "copies_sent": copies}

    def _status(self, question: Question) -> Answer:
        head = self._newest.head
        numbers = self._network.swarm.statistics()
        now = snapshot(self._progress, self._network)
        return {
            "folder": str(self._folder.root.resolve()),
            "listen": str(self._network.listen),
            **asdict(now),
            "waiting_for": now.waiting_for
            or explain_standstill(self._progress.activity, numbers, self._network.unfinished),
            "root": head.root.hex() if head else "",
            "seq": head.seq if head else 0,
            "wasted_bytes": numbers.wasted_bytes,
            "addresses": len(numbers.addresses),
            "sources": dict(self._network.tracker_outcomes),
            "limits": self._limits(),
        }

    def _limit(self, question: Question) -> Answer:
        changes: dict[str, Timetable | bool] = {}
        for name in TABLES:
            text = question.get(name)
            if isinstance(text, str):
                changes[name] = parse_timetable(text, option="--" + name.replace("_", "-"))
        if isinstance(lan := question.get("lan"), bool):
            changes["lan"] = lan
        if changes:
            self._network.schedule.change(**changes)
        return {"limits": self._limits()}

    def _limits(self) -> Answer:
        schedule = self._network.schedule
        told: Answer = {
            name: {"set": getattr(schedule.options, name).text, "now": getattr(schedule.limits.rates, name)}
            for name in TABLES
        }
        return told | {"lan": schedule.options.lan}

    def _pages(self) -> int:
        """Return how many pages the newest manifest has, 0 while it is not here."""
        head = self._newest.head
        if head is None:
            return 0
        if self._pages_of[0] != head.root:
            root = self._folder.pages.get([head.root]).get(head.root)
            if root is None:
                return 0
            try:
                self._pages_of = (head.root, len(Manifest.parse_untrusted(root).pages))
            except P2PSyncError:
                return 0  # the follower says what is wrong with it
        return self._pages_of[1]
