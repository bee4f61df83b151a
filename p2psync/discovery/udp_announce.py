"""One announce over UDP (BEP 15): connect, announce, each sent again while no answer comes."""

import random
from collections.abc import Callable
from typing import TypeVar

import trio

from p2psync.discovery.tracker_url import parse_tracker_url
from p2psync.errors import UnreachableError
from p2psync.wire.announce import Announce, TrackerAnswer
from p2psync.wire.compact import ENTRY4_BYTES, ENTRY6_BYTES
from p2psync.wire.tracker_udp import (
    encode_announce,
    encode_connect,
    parse_announce_answer,
    parse_connect_answer,
)

_SEND_AGAIN_S = (1.0, 2.0)
"""Sooner than BEP 15's 15 s: packets get lost on a LAN too, and whoever calls has a limit of some seconds."""
_RECEIVE_BYTES = 65536

_T = TypeVar("_T")


async def announce_udp(url: str, announce: Announce, *, family: int, rng: random.Random) -> TrackerAnswer:
    """Announce from an address of one family, and return the answer; waits until the caller's deadline.

    Args:
        url: The tracker's, `udp://HOST:PORT/PATH`; the path goes along (BEP 41), for it may hold a key.
        announce: What to say.
        family: `AF_INET` or `AF_INET6`: the address the tracker will know us by.
        rng: For transaction ids.

    Raises:
        UnreachableError: It has no address of this family, or the network says that nobody is there.
        TrackerRefusalError: It refused.
        RemoteProtocolError: It is no tracker.
        ConfigError: The URL is none.
    """
    where = parse_tracker_url(url)
    entry_bytes = ENTRY4_BYTES if family == trio.socket.AF_INET else ENTRY6_BYTES
    with trio.socket.socket(family, trio.socket.SOCK_DGRAM) as socket:
        try:
            *_, address = (await trio.socket.getaddrinfo(where.host, where.port, family, socket.type))[0]
            await socket.connect(address)  # so that nobody else's packets are read, and errors are told
            transaction = rng.randbytes(4)
            connection_id = await _ask(
                socket, encode_connect(transaction), lambda packet: parse_connect_answer(packet, transaction)
            )
            transaction = rng.randbytes(4)
            return await _ask(
                socket,
                encode_announce(connection_id, transaction, announce, url_data=where.target.encode()),
                lambda packet: parse_announce_answer(packet, transaction, entry_bytes=entry_bytes),
            )
        except (OSError, ValueError) as error:  # a name may be too long for DNS
            raise UnreachableError(f"it does not answer ({error})") from error


async def _ask(socket: trio.socket.SocketType, packet: bytes, parse: Callable[[bytes], _T | None]) -> _T:
    """Send a packet until something comes that `parse` takes for its answer."""
    for patience_s in (*_SEND_AGAIN_S, float("inf")):
        await socket.send(packet)
        with trio.move_on_after(patience_s):
            while True:
                answer = parse(await socket.recv(_RECEIVE_BYTES))
                if answer is not None:
                    return answer
    raise AssertionError("an endless wait has ended")
