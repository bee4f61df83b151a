"""`p2psync share`: publish a folder and serve it until told to stop."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from p2psync.budget import DEFAULT_MEMORY, MemoryBudget
from p2psync.keys import Role
from p2psync.node.answers import FolderAnswers
from p2psync.node.control import serve_control
from p2psync.node.events import Listening, Note, Offering, Problem, Published, Ready, Shown
from p2psync.node.identity import Identity, own_folder
from p2psync.node.network import FolderNetwork, NetworkOptions, Ports, open_ports
from p2psync.node.progress import report_progress
from p2psync.sharelink import ShareLink
from p2psync.store.folder_state import FolderState
from p2psync.sync.events import FolderEvent, LeftOut, PublishedHead, Remark
from p2psync.sync.heads import NewestHead
from p2psync.sync.publisher import Publisher


@dataclass(frozen=True, slots=True)
class ShareOptions:
    """What `share` is told.

    Attributes:
        directory: The folder.
        network: How it meets peers.
        state_directory: Where its state is kept, if not inside it.
        memory: What it may take.
    """

    directory: Path
    network: NetworkOptions
    state_directory: Path | None = None
    memory: MemoryBudget = DEFAULT_MEMORY


async def share(options: ShareOptions, emit: Callable[[Shown], None]) -> None:
    """Share a folder until cancelled.

    Raises:
        P2PSyncError: It cannot be shared, or no longer.
    """
    folder = FolderState.open(options.directory, options.state_directory, create=False)
    folder.memory = options.memory
    try:
        await _Share(folder, options, emit).run()
    finally:
        folder.close()


class _Share:
    def __init__(self, folder: FolderState, options: ShareOptions, emit: Callable[[Shown], None]) -> None:
        self._folder = folder
        self._options = options
        self._emit = emit
        self._is_ready = False
        self._is_offering = False
        self._told_problems: set[str] = set()

    async def run(self) -> None:
        identity = own_folder(self._folder.directory)
        network_options = self._options.network
        ports = await open_ports(
            self._folder.database, network_options.listen, with_tracker=not network_options.trackers
        )
        self._emit(Listening(str(ports.listen)))
        if ports.is_cut_off:
            self._emit(
                Note("this machine is on no network: no other can use the link before it is, and this runs again")
            )
        if self._folder.was_damaged:
            self._emit(Note("the folder's index was damaged and is made anew: every file is read again"))
        self._identity, self._ports = identity, ports
        newest = NewestHead(self._folder.database, identity.keys)
        network = self._network = FolderNetwork(self._folder, identity, network_options, ports, newest)
        publisher = Publisher(self._folder, identity.keys, identity.device, newest, network.swarm, self._tell)
        answers = FolderAnswers(self._folder, network, newest, publisher.progress)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(network.run)
            nursery.start_soon(report_progress, publisher.progress, network, self._emit, answers.peers)
            nursery.start_soon(serve_control, self._folder.directory, answers.answer, self._complain)
            await publisher.run()

    def _complain(self, sentence: str) -> None:
        self._emit(Note(sentence))

    def _tell(self, event: FolderEvent) -> None:
        if isinstance(event, Remark):
            self._emit(Note(event.sentence))
        if isinstance(event, LeftOut):
            self._tell_problems(event)
        if not isinstance(event, PublishedHead):
            return
        if event.provisional:
            self._offer(event)
        elif not self._is_ready:
            self._is_ready = True
            self._emit(_ready(Ready, event, self._identity, self._ports, self._options))
        elif event.is_new:
            sent = self._network.swarm.totals().uploaded_bytes
            self._emit(Published(event.root.hex(), event.seq, event.files, event.size_bytes, sent))

    def _tell_problems(self, event: LeftOut) -> None:
        for problem in event.problems:
            if str(problem) not in self._told_problems:
                self._told_problems.add(str(problem))
                self._emit(Problem("path", str(problem)))

    def _offer(self, event: PublishedHead) -> None:
        if not self._is_offering:
            self._is_offering = True
            self._emit(_ready(Offering, event, self._identity, self._ports, self._options))


def _ready(kind: type[Ready], event: PublishedHead, identity: Identity, ports: Ports, options: ShareOptions) -> Ready:
    links = {
        role: str(
            ShareLink(
                identity.keys.limited_to(role),
                options.directory.resolve().name,
                options.network.trackers or ports.own_trackers,
                tuple(ports.reachable),
            )
        )
        for role in Role
    }
    return kind(
        link=links[Role.READ],
        read_link=links[Role.READ],
        write_link=links[Role.WRITE],
        store_link=links[Role.STORE],
        root=event.root.hex(),
        seq=event.seq,
        listen=str(ports.listen),
        files=event.files,
        bytes=event.size_bytes,
    )
