"""`p2psync get` and `p2psync sync`: bring a folder to what a link names, once or from now on."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from p2psync.budget import DEFAULT_MEMORY, MemoryBudget
from p2psync.errors import IntegrityError, RemoteProtocolError, StoreError, first_error
from p2psync.node.answers import FolderAnswers
from p2psync.node.control import serve_control
from p2psync.node.events import Listening, LocalAddition, Matched, Note, Problem, Shown
from p2psync.node.identity import followed_folder, refuse_place_inside_itself
from p2psync.node.network import FolderNetwork, NetworkOptions, open_ports
from p2psync.node.progress import give_up_when_stuck, report_progress
from p2psync.sharelink import ShareLink
from p2psync.store.folder_state import FolderState
from p2psync.sync import events
from p2psync.sync.follower import PLAINLY, Follower, PullOptions
from p2psync.sync.heads import NewestHead
from p2psync.words import counted


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """What `get` and `sync` are told.

    Attributes:
        link: What to follow.
        directory: Where to.
        network: How to meet peers; the link's own trackers and peers come on top.
        timeout_s: Longest time in which nothing comes; None to wait for ever.
        stay: Whether to stay and serve after the folder matches.
        wait_for_peer: Whether a folder that matches what it last heard of is only done when a peer says the same.
        pull: What is fetched first, and what becomes of what the folder does not know.
        memory: What it may take.
    """

    link: ShareLink
    directory: Path
    network: NetworkOptions
    timeout_s: float | None
    stay: bool
    wait_for_peer: bool
    pull: PullOptions = PLAINLY
    memory: MemoryBudget = DEFAULT_MEMORY


async def follow(options: FollowOptions, emit: Callable[[Shown], None]) -> None:
    """Follow a link until the folder matches, or, if told to stay, until cancelled.

    Raises:
        P2PSyncError: It does not match, and will not by itself.
    """
    began = trio.current_time()
    refuse_place_inside_itself(options.directory, options.link)
    folder = FolderState.open(options.directory, create=True)
    folder.memory = options.memory
    try:
        await _Follow(folder, options, emit, began).run()
    finally:
        folder.close()


class _Follow:
    def __init__(
        self, folder: FolderState, options: FollowOptions, emit: Callable[[Shown], None], began: float
    ) -> None:
        self._folder = folder
        self._options = options
        self._emit = emit
        self._began = began
        self._done = trio.Event()
        self._problems: tuple[Exception, ...] = ()
        self._told_additions: set[bytes] = set()

    async def run(self) -> None:
        options = self._options
        identity = followed_folder(self._folder.directory, options.link)
        ports = await open_ports(self._folder.database, options.network.listen, with_tracker=False)
        self._emit(Listening(str(ports.listen)))
        if self._folder.was_damaged:
            self._emit(Note("the folder's index was damaged and is made anew: every file is read again"))
        network_options = replace(
            options.network,
            trackers=options.network.trackers + options.link.trackers,
            peers=options.network.peers + options.link.peers,
        )
        newest = NewestHead(self._folder.database, identity.keys)
        self._network = FolderNetwork(
            self._folder,
            identity,
            network_options,
            ports,
            newest,
        )
        follower = Follower(self._folder, identity.keys, newest, self._network.swarm, self._tell, options.pull)
        self._network.left_bytes = lambda: _left_bytes(follower.progress)
        answers = FolderAnswers(self._folder, self._network, newest, follower.progress, follower.ask)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._network.run)
            nursery.start_soon(report_progress, follower.progress, self._network, self._emit, answers.peers)
            nursery.start_soon(serve_control, self._folder.directory, answers.answer, self._complain)
            nursery.start_soon(give_up_when_stuck, follower.progress, self._network, options.timeout_s)
            nursery.start_soon(self._run_follower, follower)
            await self._done.wait()
            nursery.cancel_scope.cancel()
        if self._problems:
            raise StoreError(f"{counted(len(self._problems), 'path')} could not be made here; all others are right")

    async def _run_follower(self, follower: Follower) -> None:
        try:
            await follower.run(after_hearing=self._options.wait_for_peer)
        except* RemoteProtocolError as group:
            raise IntegrityError(
                f"what was published for this folder is signed but makes no sense ({first_error(group)}): "
                "update p2psync, or ask whoever shares the folder to share it again"
            ) from group

    def _complain(self, sentence: str) -> None:
        self._emit(Note(sentence))

    def _tell(self, event: events.FolderEvent) -> None:
        if isinstance(event, events.Remark):
            self._complain(event.sentence)
        if not isinstance(event, events.Matched):
            return
        for path in event.additions:
            if path not in self._told_additions:
                self._told_additions.add(path)
                self._emit(LocalAddition(os.fsdecode(path)))
        for problem in event.problems:
            self._emit(Problem("path", str(problem)))
        self._problems = event.problems
        if not event.problems:
            self._emit(self._matched(event))
            self._network.completed()
        if not self._options.stay:
            self._done.set()

    def _matched(self, event: events.Matched) -> Matched:
        return Matched(
            root=event.root.hex(),
            files=event.files,
            bytes=event.size_bytes,
            fetched_bytes=self._network.fetched_bytes,
            reused_bytes=event.reused_bytes,
            uploaded_bytes=self._network.swarm.totals().uploaded_bytes,
            displaced=event.displaced,
            seconds=round(trio.current_time() - self._began, 3),
        )


def _left_bytes(progress: events.FolderProgress) -> int:
    if progress.activity is events.Activity.MATCHED:
        return 0
    return max(progress.total_bytes - progress.done_bytes, 1)  # how much, is not known at first; but something is
