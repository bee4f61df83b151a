"""Peers on the local network: announce ourselves by multicast, and listen for others (BEP 14)."""

import ipaddress
import random
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence

import trio

from p2psync.discovery.multicast import MulticastGroup, Network, choose_interfaces, look_at
from p2psync.errors import RemoteProtocolError
from p2psync.ids import InfoHash, PeerAddress
from p2psync.wire.lan import (
    LAN_GROUP_IPV4,
    LAN_GROUP_IPV6,
    LAN_PORT,
    LanAnnounce,
    encode_lan_announce,
    parse_lan_announce,
)

# A datagram may be lost, and a network may need a second after waking up: say it a few times, then rarely (BEP 14).
_AT_START_S = (0.0, 0.7, 2.0, 6.0)
_INTERVAL_S = 300.0
# How soon a network that comes up, or a cable that is plugged in, is noticed: a look takes a few system calls for each.
_LOOK_S = 1.0
# How soon we try again where no network took an announcement, though none has changed.
_RETRY_S = 15.0
# A newcomer is answered within 1.5 s, so that it finds whoever it cannot be dialled by; all the others of a large
# network answer too, hence not all at once. The gap is what anybody can make us send by playing newcomers.
_ANSWER_WITHIN_S = 0.5
_GAP_S = 1.0
# Whom we remember to have answered: 100 KiB at most, however many invent themselves.
_REMEMBERED = 1024


class AnnounceTimes:
    """When to announce: pure, told what happens and when.

    Attributes:
        due: When the next announcement is to be sent; `now` and this are the same clock, in seconds.
    """

    def __init__(self, now: float, rng: random.Random) -> None:
        """Begin to announce at `now`."""
        self._rng = rng
        self._begun_at = now
        self._planned = _from(now)
        self._sent_at = now - _GAP_S
        self._answered: OrderedDict[tuple[PeerAddress, str], None] = OrderedDict()
        self.due = now

    def sent(self, now: float) -> None:
        """Plan the announcement after the one just sent."""
        self._sent_at = now
        while self._planned and self._planned[-1] <= now:
            self._planned.pop()
        if not self._planned:
            self._planned = [now + _INTERVAL_S * self._rng.uniform(0.9, 1.1)]
        self.due = self._planned[-1]

    def changed(self, now: float) -> None:
        """A network came up, or is another: begin anew; one that never rests is announced to once a second at most."""
        if now >= self._begun_at + _AT_START_S[-1]:
            self._begun_at = now
            self._planned = _from(now)
        self.due = max(now, self._sent_at + _GAP_S)

    def failed(self, now: float) -> None:
        """Try again soon: no network took the announcement."""
        self.due = now + _RETRY_S

    def heard(self, peer: PeerAddress, cookie: str, now: float) -> None:
        """Announce soon if this one is new."""
        who = (peer, cookie)
        if who not in self._answered:
            answer_at = max(now + self._rng.uniform(0, _ANSWER_WITHIN_S), self._sent_at + _GAP_S)
            self.due = min(self.due, answer_at)
        self._answered[who] = None
        self._answered.move_to_end(who)
        if len(self._answered) > _REMEMBERED:
            self._answered.popitem(last=False)


def _from(now: float) -> list[float]:
    """Return when to announce at the beginning, the first time last."""
    return [now + after for after in reversed(_AT_START_S)]


class LanSource:
    """Finds the peers of one swarm on this network; a `PeerSource`."""

    def __init__(
        self,
        info_hash: InfoHash,
        listening: Sequence[PeerAddress],
        rng: random.Random,
        report: Callable[[str], None],
        *,
        port: int = LAN_PORT,
    ) -> None:
        """Prepare; nothing is sent before `run`.

        Args:
            info_hash: The swarm's.
            listening: Where we listen for peers, one address in each family at most. Listening on loopback addresses
                only, we announce and look on the loopback interface only; else on all others.
            rng: For the cookie, and for answers not to come all at once.
            report: Is told once, in a sentence, if this network lets us find nobody.
            port: The UDP port of the groups.
        """
        self._cookie = f"{rng.getrandbits(32):08x}"
        self._info_hash = info_hash
        self._listening = {(":" in address.host): address for address in listening}
        self._is_loopback = all(ipaddress.ip_address(address.host).is_loopback for address in listening)
        self._rng = rng
        self._report = report
        self._port = port
        self._networks: frozenset[Network] = frozenset()
        self._look_at = 0.0
        self._was_reported = False
        self._is_earlier = trio.Event()

    async def run(self, found: Callable[[Sequence[PeerAddress]], None]) -> None:
        """Announce and listen until cancelled; tell `found` of each peer every time it is heard."""
        groups = self._open_groups()
        times = AnnounceTimes(trio.current_time(), self._rng)
        try:
            async with trio.open_nursery() as nursery:
                for group in groups:
                    nursery.start_soon(self._listen, group, found, times)
                await self._announce(groups, times)
        finally:
            for group in groups:
                group.close()

    def _open_groups(self) -> list[MulticastGroup]:
        groups, reason = [], "nothing listens here"
        for name in (LAN_GROUP_IPV4, LAN_GROUP_IPV6):
            address = self._listening.get(":" in name)
            if address is not None:
                try:
                    groups.append(MulticastGroup(name, self._port, address.host))
                except OSError as error:
                    reason = f"UDP port {self._port}: {error.strerror}"
        if not groups:
            self._say(f"nobody can be found on the local network: {reason}")
        return groups

    async def _announce(self, groups: Sequence[MulticastGroup], times: AnnounceTimes) -> None:
        while True:
            await self._wait_until_due(groups, times)
            interfaces = sorted(network.interface for network in self._networks)
            taken = 0
            for group in groups:
                taken += await group.send(self._datagram(group.group), interfaces)
            if taken:
                times.sent(trio.current_time())
            else:
                self._say("nobody can be found on the local network: it takes no multicast")
                times.failed(trio.current_time())

    async def _wait_until_due(self, groups: Sequence[MulticastGroup], times: AnnounceTimes) -> None:
        while True:
            now = trio.current_time()
            if now >= self._look_at:
                self._look_at = now + _LOOK_S
                self._look(groups, times)
            if times.due <= now:
                return
            self._is_earlier = trio.Event()
            with trio.move_on_at(min(times.due, self._look_at)):
                await self._is_earlier.wait()

    def _look(self, groups: Sequence[MulticastGroup], times: AnnounceTimes) -> None:
        """See whether networks came or went: cables are plugged in, wireless ones change."""
        before = self._networks
        try:
            self._networks = look_at(choose_interfaces(socket.if_nameindex(), loopback=self._is_loopback))
        except OSError:
            return  # no descriptor is free: the next look is soon
        indexes = {network.interface for network in self._networks}
        gone = {network.interface for network in before} - indexes
        if not gone and self._networks == before:
            return
        for group in groups:
            group.leave(sorted(gone))
            group.join(sorted(indexes))
        if self._networks - before:
            times.changed(trio.current_time())

    async def _listen(
        self, group: MulticastGroup, found: Callable[[Sequence[PeerAddress]], None], times: AnnounceTimes
    ) -> None:
        while True:
            datagram, host = await group.receive()
            if _needs_zone(host) and not self._has_zones_only(host):
                continue
            try:
                announce = parse_lan_announce(datagram)
            except RemoteProtocolError:
                continue  # others share this port, and whoever is in this network may send what it likes
            if self._info_hash in announce.info_hashes and announce.cookie != self._cookie:
                peer = PeerAddress(host, announce.port)
                times.heard(peer, announce.cookie, trio.current_time())
                self._is_earlier.set()
                found([peer])

    def _has_zones_only(self, host: str) -> bool:
        """Say whether we have no better address where `host` is. If we have, whoever has none either dials us."""
        zone = host.partition("%")[2]
        return any(
            not network.ipv4 and _needs_zone(network.ipv6) and network.ipv6.partition("%")[2] == zone
            for network in self._networks
        )

    def _datagram(self, group: str) -> bytes:
        port = self._listening[":" in group].port
        return encode_lan_announce(LanAnnounce(port, (self._info_hash,), self._cookie), group)

    def _say(self, sentence: str) -> None:
        if not self._was_reported:
            self._was_reported = True
            self._report(sentence)


def _needs_zone(host: str) -> bool:
    """Say whether `host` means nothing without an interface: no other machine, nor a list of peers, could use it."""
    if not host:
        return False
    address = ipaddress.ip_address(host)
    return address.version == 6 and address.is_link_local
