"""A folder's network side: listeners, swarm, discovery, and the tracker inside a share."""

import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

import trio

import p2psync
from p2psync.discovery.lan import LanSource
from p2psync.discovery.source import PeerSource
from p2psync.discovery.tracker import Progress as TrackerProgress
from p2psync.discovery.tracker import TrackerSource
from p2psync.errors import ConfigError
from p2psync.ids import PeerAddress, PeerId
from p2psync.manifest.head import Head, Standing
from p2psync.node.identity import Identity
from p2psync.node.limits import NO_LIMITS, LimitOptions, LimitSchedule
from p2psync.node.saved_peers import keep_saved
from p2psync.sharelink import TrackerTiers
from p2psync.store.database import Database
from p2psync.store.folder_state import FolderState
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.context import SwarmContext
from p2psync.swarm.endpoint import Endpoint, Membership
from p2psync.swarm.heads import JudgedHead
from p2psync.swarm.peers import Origin
from p2psync.swarm.secure_stream import SecureStream
from p2psync.swarm.swarm import Swarm
from p2psync.swarm.tcp import bound_addresses, open_listeners, reachable_addresses
from p2psync.sync.heads import NewestHead

STORE_THREADS = 4
"""Worker threads for blocks: two keep the disk and both cores busy, two more hide the waits of a slow disk."""
_PORT_NOTE = "port"
_TRACKER_PORT_NOTE = "tracker port"


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """How a folder meets its peers.

    Attributes:
        listen: Where to listen; port 0 for the one used last time, or any.
        trackers: Trackers in tiers (BEP 12).
        peers: Addresses to try besides.
        lan: Whether to look for peers on the local network.
        limits: How fast bytes may move.
        reciprocal: Whether the members are strangers, of whom those who give are served first.
    """

    listen: PeerAddress
    trackers: TrackerTiers = ()
    peers: tuple[PeerAddress, ...] = ()
    lan: bool = True
    limits: LimitOptions = NO_LIMITS
    reciprocal: bool = False


@dataclass(frozen=True, slots=True)
class Ports:
    """Open ports of one folder.

    Attributes:
        listeners: For peers.
        tracker_listeners: For the tracker inside, if there is one.
    """

    listeners: list[trio.SocketListener]
    tracker_listeners: list[trio.SocketListener]

    @property
    def listen(self) -> PeerAddress:
        """The address that was asked for, with the port that it got."""
        return bound_addresses(self.listeners)[0]

    @property
    def reachable(self) -> list[PeerAddress]:
        """Where others reach us."""
        return reachable_addresses(self.listeners)

    @property
    def is_cut_off(self) -> bool:
        """We listen to all, and there is no network over which any other machine could reach us now."""
        listens_to_all = ip_address(self.listen.host).is_unspecified
        return listens_to_all and all(ip_address(address.host).is_loopback for address in self.reachable)

    @property
    def own_trackers(self) -> TrackerTiers:
        """The tiers that name the tracker inside."""
        if not self.tracker_listeners:
            return ()
        return (tuple(f"http://{address}/announce" for address in reachable_addresses(self.tracker_listeners)[:1]),)


async def open_ports(database: Database, listen: PeerAddress, *, with_tracker: bool) -> Ports:
    """Open the ports that this folder had last time, so that its links stay good; others if they are taken.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    listeners = await _reopen(database, _PORT_NOTE, listen)
    if not with_tracker:
        return Ports(listeners, [])
    return Ports(listeners, await _reopen(database, _TRACKER_PORT_NOTE, PeerAddress(listen.host, 0)))


async def _reopen(database: Database, note: str, address: PeerAddress) -> list[trio.SocketListener]:
    last = database.number(note)
    listeners = None
    if address.port == 0 and last:
        try:
            listeners = await open_listeners(address._replace(port=last))
        except ConfigError:
            listeners = None  # taken by somebody else meanwhile
    listeners = listeners or await open_listeners(address)
    database.set_note(note, b"%d" % listeners[0].socket.getsockname()[1])
    return listeners


class FolderNetwork:
    """Everything that talks to peers for one folder.

    Args:
        folder: Whose blocks are served.
        identity: Who we are.
        options: Where to meet peers.
        ports: Its open ports.
        newest: What peers' heads are measured against.

    Attributes:
        left_bytes: Gives how much is still to fetch, for trackers.
        unfinished: Gives the paths of files that were begun and lack blocks.
        tracker_outcomes: What came of the last announce, by where it went.
        schedule: Its limits.
    """

    def __init__(
        self,
        folder: FolderState,
        identity: Identity,
        options: NetworkOptions,
        ports: Ports,
        newest: NewestHead,
    ) -> None:
        self.tracker_outcomes: dict[str, str] = {}
        self.schedule = LimitSchedule(options.limits)
        self._options = options
        self._database = folder.database
        self._store = folder.store
        self._ports = ports
        self._identity = identity
        self.left_bytes: Callable[[], int] = lambda: 0
        self.unfinished = folder.staging.unfinished
        self._endpoint = Endpoint()
        self._membership = Membership(identity.keys, identity.device_key, self._accept)
        self._endpoint.join(self._membership)
        self._rng = random.Random()  # noqa: S311 - for order and jitter, never for secrets
        self.swarm = Swarm(
            ThreadedStore(folder.store, trio.CapacityLimiter(STORE_THREADS), recent_bytes=folder.memory.recent_bytes),
            SwarmContext(
                device=identity.device,
                judge=lambda signed: _judged(*newest.judge(signed)),
                dial=self._dial,
                listen_port=ports.listen.port,
                memory=folder.memory,
                agent=f"p2psync/{p2psync.__version__}",
                limits=self.schedule.limits,
                reciprocal=options.reciprocal,
            ),
            self._rng,
        )
        self._tracker = self._tracker_source() if options.trackers or ports.own_trackers else None

    @property
    def listen(self) -> PeerAddress:
        """Where we listen for peers."""
        return self._ports.listen

    @property
    def fetched_bytes(self) -> int:
        """Bytes of file blocks that came since the program began, those for versions that were left early too."""
        return self._store.received_bytes

    async def run(self) -> None:
        """Serve, dial and look for peers until cancelled."""
        async with trio.open_nursery() as nursery:
            if self._ports.tracker_listeners:
                # A tenth of all that is imported, and followers need none of it.
                from tracker.embed import run_tracker  # noqa: PLC0415

                await nursery.start(run_tracker, self._ports.tracker_listeners)
            nursery.start_soon(self.schedule.run)
            await nursery.start(self.swarm.run)
            await nursery.start(self._endpoint.serve, self._ports.listeners)
            self.swarm.add_addresses(self._options.peers, Origin.USER)
            nursery.start_soon(keep_saved, self._database, self.swarm)
            for source in self._sources():
                nursery.start_soon(source.run, self.swarm.add_addresses)

    def completed(self) -> None:
        """Tell trackers that we hold everything."""
        if self._tracker is not None:
            self._tracker.completed()

    def older_heads(self) -> bool:
        """Say whether peers are there, and all offer a version that is older than one already seen here."""
        links = self.swarm.statistics().links
        return bool(links) and all(link.standing is Standing.OLDER for link in links)

    def _sources(self) -> list[PeerSource]:
        sources: list[PeerSource] = [self._tracker] if self._tracker else []
        if self._options.lan:
            sources.append(
                LanSource(
                    self._identity.keys.info_hash,
                    bound_addresses(self._ports.listeners),
                    self._rng,
                    lambda sentence: self._note_outcome("the local network", sentence),
                )
            )
        return sources

    def _tracker_source(self) -> TrackerSource:
        return TrackerSource(
            self._options.trackers or self._ports.own_trackers,
            info_hash=self._identity.keys.info_hash,
            peer_id=PeerId(b"-PS0100-" + self._identity.device[:12]),
            port=self._ports.listen.port,
            progress=self._tracker_progress,
            rng=self._rng,
            report=self._note_outcome,
            is_linked=lambda: self.swarm.has_peers,
            families=_families(self._ports.listeners),
        )

    def _tracker_progress(self) -> TrackerProgress:
        return TrackerProgress(self.swarm.totals().uploaded_bytes, self.fetched_bytes, self.left_bytes())

    def _note_outcome(self, url: str, outcome: str) -> None:
        self.tracker_outcomes[url] = outcome

    async def _accept(self, stream: SecureStream) -> None:
        await self.swarm.accept(stream, host=stream.remote_host)

    async def _dial(self, address: PeerAddress) -> SecureStream:
        return await self._endpoint.dial(address, self._membership)


def _families(listeners: list[trio.SocketListener]) -> list[int]:
    return sorted({int(listener.socket.family) for listener in listeners} & {socket.AF_INET, socket.AF_INET6})


def _judged(standing: Standing, head: Head) -> JudgedHead:
    return JudgedHead(standing, head.seq, head.root, head.provisional)
