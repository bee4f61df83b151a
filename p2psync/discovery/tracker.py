"""Peers from trackers: announce, wait as long as they ask, announce again; tell them when we leave."""

import math
import random
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from p2psync.discovery.http_announce import announce_http
from p2psync.discovery.tiers import Tiers
from p2psync.discovery.udp_announce import announce_udp
from p2psync.errors import P2PSyncError, UnreachableError
from p2psync.ids import InfoHash, PeerAddress, PeerId
from p2psync.wire.announce import Announce, Event, TrackerAnswer, TrackerRefusalError
from p2psync.words import counted

ANSWER_S = 10.0
FAREWELL_S = 1.0
"""How long leaving may take: a user who pressed Ctrl-C waits for it."""
_FIRST_RETRY_S = 2.0
_LONGEST_RETRY_S = 600.0
_LONGEST_INTERVAL_S = 3600.0
_SHORTEST_INTERVAL_S = 1.0
_ALONE_SHARE, _ALONE_S = 1 / 6, 60.0
"""The longest that a host without a link waits: so much of the interval, which says how busy the tracker is (it is five
minutes of the usual half hour), or so long if that is more."""
_DIALS_S = 15.0
"""So long it waits at least if it was told of somebody: they are dialled meanwhile."""
_LOOK_S = 10.0
"""So soon it is noticed that the last link has ended."""
_GROWTH = 1.6
_MOST_GROWTHS = 30  # which make years: a float would not bear those of a month without a tracker
_FAMILIES: tuple[int, ...] = (trio.socket.AF_INET, trio.socket.AF_INET6)

Found = Callable[[Sequence[PeerAddress]], None]
Report = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """What we tell trackers of ourselves, in bytes."""

    uploaded: int
    downloaded: int
    left: int


class TrackerSource:
    """Announces one swarm to its trackers (BEP 3, 7, 12, 15, 31) and passes on the peers they name."""

    def __init__(  # noqa: PLR0913 - who we are, in five parts, and whom to tell
        self,
        tiers: Sequence[Sequence[str]],
        *,
        info_hash: InfoHash,
        peer_id: PeerId,
        port: int,
        progress: Callable[[], Progress],
        rng: random.Random,
        report: Report = lambda url, outcome: None,
        is_linked: Callable[[], bool] = lambda: True,
        families: Sequence[int] = _FAMILIES,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take where to announce and what.

        Args:
            tiers: URLs, `http://`, `https://` or `udp://`; a later tier is asked if an earlier one failed.
            info_hash: Of the swarm.
            peer_id: How we call ourselves.
            port: Where we listen.
            progress: Gives the current numbers; asked at each announce.
            rng: For the order of trackers, and for jitter.
            report: Told after each announce which tracker it was and, in a sentence, what came of it.
            is_linked: Says whether there is a link to anybody: whoever has none asks again sooner.
            families: Address families we listen on: each is announced from an address of its own.
            tls: How to verify `https://` trackers; None for the system's authorities.
        """
        self._tiers = Tiers(tiers, rng)
        self._announce = Announce(info_hash, peer_id, port, key=rng.getrandbits(32))
        self._progress = progress
        self._rng = rng
        self._report = report
        self._is_linked = is_linked
        self._families = families
        self._tls = tls
        self._tracker_ids: dict[str, bytes] = {}
        self._asked: set[str] = set()  # these may know of us
        self._joined: set[str] = set()  # these have said so
        self._not_before: dict[str, float] = {}  # those that told us to come later, or never
        self._completions = self._told_completions = 0
        self._wake = trio.Event()

    def completed(self) -> None:
        """Tell trackers, now, that our download is complete; peers that are no seeds can then find us as one."""
        self._completions += 1
        self._wake.set()

    async def run(self, found: Found) -> None:
        """Announce until cancelled, then say goodbye for at most a second."""
        try:
            await self._announce_for_ever(found)
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(FAREWELL_S):
                await self._leave()

    async def _announce_for_ever(self, found: Found) -> None:
        failures, lonely = 0, 0
        while True:
            self._wake = trio.Event()
            answer = await self._ask_tiers(found)
            if answer is None:
                failures += 1
                await self._nap(_grown(failures, _LONGEST_RETRY_S) * (1 + self._rng.random() / 2))
            else:
                failures = 0
                await self._await_next(answer, lonely)
                lonely = 0 if self._has_company(answer) else lonely + 1

    async def _await_next(self, answer: TrackerAnswer, lonely: int) -> None:
        """Wait as the tracker says; how long also depends on links, which come up and end meanwhile."""
        asked_at = trio.current_time()
        while not self._wake.is_set():
            rest_s = asked_at + self._delay_s(answer, lonely) - trio.current_time()
            if rest_s <= 0:
                return
            await self._nap(min(rest_s, _LOOK_S))

    async def _nap(self, longest_s: float) -> None:
        with trio.move_on_after(longest_s):
            await self._wake.wait()

    async def _ask_tiers(self, found: Found) -> TrackerAnswer | None:
        """Ask one tracker after another until one answers; None if none did."""
        for url in self._tiers:
            if trio.current_time() < self._not_before.get(url, 0.0):
                continue
            completions = self._completions  # another may come before the answer
            is_news = completions > self._told_completions
            event = Event.STARTED if url not in self._joined else Event.COMPLETED if is_news else Event.NONE
            try:
                answer = await self._ask(url, event, found)
            except P2PSyncError as error:
                self._note_failure(url, error)
                continue
            self._told_completions = completions
            self._tiers.promote(url)
            self._joined.add(url)
            self._report(url, _outcome(answer))
            return answer
        return None

    def _note_failure(self, url: str, error: P2PSyncError) -> None:
        if not isinstance(error, TrackerRefusalError):
            return self._report(url, str(error))
        wait_s = math.inf if error.retry_after_s is None else error.retry_after_s
        self._not_before[url] = trio.current_time() + wait_s
        return self._report(url, f"refuses: {error}")

    async def _ask(self, url: str, event: Event, found: Found) -> TrackerAnswer:
        """Announce once from an address of each family; tell `found` of each answer at once, and return them joined.

        Raises:
            P2PSyncError: None was answered; of the errors, that which says most.
        """
        answers: list[TrackerAnswer] = []
        errors: list[P2PSyncError] = []

        async def ask(family: int) -> None:
            try:
                answer = await self._ask_from(url, event, family)
            except P2PSyncError as error:
                errors.append(error)
            else:
                answers.append(answer)
                if answer.peers:
                    found(answer.peers)

        self._asked.add(url)
        async with trio.open_nursery() as nursery:
            for family in self._families:
                nursery.start_soon(ask, family)
        if answers:
            return _joined(answers)
        raise min(errors, key=_says_little)

    async def _ask_from(self, url: str, event: Event, family: int) -> TrackerAnswer:
        progress = self._progress()
        announce = self._announce._replace(
            event=event,
            uploaded=progress.uploaded,
            downloaded=progress.downloaded,
            left=progress.left,
            numwant=0 if event is Event.STOPPED else self._announce.numwant,
        )
        try:
            with trio.fail_after(ANSWER_S):
                return await self._send(url, announce, family)
        except trio.TooSlowError as error:
            raise UnreachableError(f"it did not answer within {ANSWER_S:.0f} seconds") from error

    async def _send(self, url: str, announce: Announce, family: int) -> TrackerAnswer:
        if url.startswith("udp:"):
            return await announce_udp(url, announce, family=family, rng=self._rng)
        tracker_id = self._tracker_ids.get(url, b"")
        answer = await announce_http(url, announce, family=family, tracker_id=tracker_id, tls=self._tls)
        self._tracker_ids[url] = answer.tracker_id or tracker_id
        return answer

    def _delay_s(self, answer: TrackerAnswer, lonely: int) -> float:
        """Return the tracker's interval, or less without company, `lonely` times in a row before, if it allows that."""
        interval_s = min(max(float(answer.interval_s), _SHORTEST_INTERVAL_S), _LONGEST_INTERVAL_S)
        min_interval_s = min(float(answer.min_interval_s), _LONGEST_INTERVAL_S)
        if self._has_company(answer):
            return max(interval_s, min_interval_s)
        grown_s = _grown(lonely, interval_s if self._is_linked() else max(_ALONE_S, interval_s * _ALONE_SHARE))
        dials_s = _DIALS_S if self._names_others(answer) else 0.0
        return max(min(max(grown_s, dials_s), interval_s), min_interval_s)

    def _has_company(self, answer: TrackerAnswer) -> bool:
        """Say whether there is a link, and the tracker knows of others too: it may have missed who came with us."""
        return self._is_linked() and self._names_others(answer)

    def _names_others(self, answer: TrackerAnswer) -> bool:
        """Say whether there is somebody besides us: a peer on another port than ours, or two on ours."""
        return any(peer.port != self._announce.port for peer in answer.peers) or len(answer.peers) > 1

    async def _leave(self) -> None:
        async with trio.open_nursery() as nursery:
            for url in self._asked:
                nursery.start_soon(self._say_goodbye, url)

    async def _say_goodbye(self, url: str) -> None:
        try:
            await self._ask(url, Event.STOPPED, lambda peers: None)
        except P2PSyncError as error:
            self._report(url, f"could not be told that we leave: {error}")


def _says_little(error: P2PSyncError) -> tuple[bool, bool]:
    """Sort answers before silence, and silence before the lack of an address to ask."""
    return isinstance(error, UnreachableError), isinstance(error.__cause__, trio.socket.gaierror)


def _grown(times: int, longest_s: float) -> float:
    """Return the first waiting time, grown so many times, up to `longest_s`."""
    return min(_FIRST_RETRY_S * _GROWTH ** min(times, _MOST_GROWTHS), longest_s)


def _joined(answers: Sequence[TrackerAnswer]) -> TrackerAnswer:
    """Return one answer with the peers of all; the shortest interval counts, for it is the same tracker."""
    first = min(answers, key=lambda answer: answer.interval_s)
    others = [peer for answer in answers if answer is not first for peer in answer.peers]
    return TrackerAnswer(
        first.interval_s,
        max(answer.min_interval_s for answer in answers),
        (*first.peers, *others),
        first.complete,
        first.incomplete,
        next((answer.warning for answer in answers if answer.warning), ""),
        first.tracker_id,
        first.external_ip,
    )


def _outcome(answer: TrackerAnswer) -> str:
    warning = f" ({answer.warning})" if answer.warning else ""
    return f"names {counted(len(answer.peers), 'peer')}{warning}"
