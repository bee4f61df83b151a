"""One port for all folders: takes in members that dial us, and dials members of a folder.

What comes in is a stranger until its handshake is done. Strangers get little: a time limit, a place among a limited
number, no answer beyond a TLS alert, and nothing that they send is ever reported or raised.
"""

import errno
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from p2psync.errors import IntegrityError, LocalProtocolError, RemoteProtocolError, UnreachableError
from p2psync.ids import PeerAddress
from p2psync.keys import FolderKeys
from p2psync.swarm.places import Places
from p2psync.swarm.secure_stream import SecureStream
from p2psync.swarm.tcp import connect, remote_host, watch_for_dead_network
from p2psync.swarm.tls import client_context, listening_context, server_context

# A handshake is two round trips and 5 ms of work: whoever needs longer is not a peer worth having, or holds a place.
HANDSHAKE_S = 10.0
# Strangers at a time: a flood costs this many sockets and TLS states at most. A swarm of a hundred that starts at
# once, all of it behind one address, still fits.
HALF_OPEN_LIMIT = 128
# How long to wait for a descriptor to become free.
_PAUSE_S = 0.1
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}

# How a connection may end through the peer's or the network's doing.
_PEER_IS_GONE = (RemoteProtocolError, IntegrityError, UnreachableError, trio.BrokenResourceError)

StreamOpener = Callable[[PeerAddress], Awaitable[trio.abc.Stream]]


@dataclass(frozen=True, eq=False)
class Membership:
    """One folder at this endpoint; `cached_property` needs a `__dict__`, hence no slots.

    Attributes:
        keys: What makes us a member.
        device_key: Who we are.
        accept: Is given each connection of a member that dialled us; it is closed when this returns. It may raise
            what the peer caused (RemoteProtocolError, IntegrityError, UnreachableError, trio.BrokenResourceError),
            alone or in groups, to end the connection; anything else it raises ends `serve`.
    """

    keys: FolderKeys
    device_key: Ed25519PrivateKey
    accept: Callable[[SecureStream], Awaitable[None]]

    @cached_property
    def server_context(self) -> ssl.SSLContext:
        """The context in which we are dialled."""
        return server_context(self.keys, self.device_key)

    @cached_property
    def client_context(self) -> ssl.SSLContext:
        """The context in which we dial."""
        return client_context(self.keys, self.device_key)


class Endpoint:
    """Listens and dials for all folders of a node."""

    def __init__(self, open_stream: StreamOpener = connect, *, half_open_limit: int = HALF_OPEN_LIMIT) -> None:
        """Make an endpoint without folders.

        Args:
            open_stream: How to reach an address; raises UnreachableError where it cannot.
            half_open_limit: How many strangers may be in their handshake at a time.
        """
        self._open_stream = open_stream
        self._half_open = Places(half_open_limit)
        self._memberships: dict[str, Membership] = {}
        self._context = listening_context(self._find_context)

    def join(self, membership: Membership) -> None:
        """Take in members of this folder from now on."""
        if membership.keys.sni in self._memberships:
            raise LocalProtocolError("this folder is already served here")
        self._memberships[membership.keys.sni] = membership

    async def serve(
        self,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Take in whoever dials and proves to be a member, until cancelled; then close `listeners`."""
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(self._take_in, listener, nursery)
            task_status.started()

    async def dial(self, address: PeerAddress, membership: Membership) -> SecureStream:
        """Connect to a member of the folder.

        It counts as connected only when it has been heard: a peer that refuses us says so after our handshake.

        Raises:
            UnreachableError: Nobody answers there, or not in time.
            RemoteProtocolError: Whoever answers is no member.
        """
        transport = await self._open_stream(address)
        stream = SecureStream(transport, membership.client_context, membership.keys.sni)
        try:
            with trio.fail_after(HANDSHAKE_S):
                await stream.do_handshake()
        except trio.TooSlowError:
            await stream.aclose()
            raise UnreachableError(f"{address} accepts connections but does not answer") from None
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def _take_in(self, listener: trio.abc.Listener[trio.abc.Stream], nursery: trio.Nursery) -> None:
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in _EXHAUSTED:
                        raise
                    await trio.sleep(_PAUSE_S)
                else:
                    nursery.start_soon(self._welcome, stream)

    async def _welcome(self, transport: trio.abc.Stream) -> None:
        watch_for_dead_network(transport)
        stream = SecureStream(transport, self._context)
        try:
            async with stream:
                if await self._is_introduced(stream, remote_host(transport)):
                    membership = self._membership_of(stream)
                    if membership is not None:
                        await membership.accept(stream)
        except* _PEER_IS_GONE:
            pass  # its own doing, and its own connection only; who must know of it was told inside `accept`

    async def _is_introduced(self, stream: SecureStream, host: str) -> bool:
        """Do the handshake in one of the limited places; return False if it took too long or lost its place."""
        with self._half_open.take(host), trio.move_on_after(HANDSHAKE_S):
            await stream.do_handshake()
            return True
        return False

    def _membership_of(self, stream: SecureStream) -> Membership | None:
        for membership in self._memberships.values():
            if membership.server_context is stream.context:
                return membership
        return None  # left while its handshake went on

    def _find_context(self, name: str) -> ssl.SSLContext | None:
        membership = self._memberships.get(name)
        return None if membership is None else membership.server_context
