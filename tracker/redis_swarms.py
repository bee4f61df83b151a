"""Swarms in Redis, shared by any number of trackers.

All keys begin with `p2t:`; those of a swarm go on with its info hash in hex. Time is cut into windows of five eighths
of a peer's lifetime, and two of them count, so that whoever announces in time is never forgotten. A peer is in the
sets of the window of its last announce and in no older one. So counts are sums of cardinalities, and nothing is ever
searched or swept: the sets of a window expire as a whole.

    p2t:HASH:WINDOW:6d    set    compact IPv4 entries that download; `6u` upload, `18d` and `18u` the same for IPv6
    p2t:HASH:WINDOW:c     set    digests of clients, each counts once; `s` those that are seeds, `p` partial seeds
    p2t:HASH:done         number completed downloads
    p2t:peers4:WINDOW     HyperLogLog of all IPv4 peers; likewise `peers6`, `seeds`, `swarms`
    p2t:busiest           sorted set of the largest swarms
    p2t:probe             what is written, and expires, to see whether Redis takes writes

Every announce is one call of a script, all announces of a batch are one round trip, and no command reads a whole set.
Other than in memory, whoever can send from an address may sign it off, and one address may list as many ports as its
rate of announces allows. A full Redis (`maxmemory`) is as good as none.

The client library blocks, so it runs in worker threads; a batch costs one hop. When Redis is away, announces fail at
once, and only the housekeeping tries whether it is back.
"""

import heapq
import logging
from collections.abc import Callable, Sequence
from hashlib import blake2b, sha1
from operator import itemgetter
from typing import Any, TypeVar

import redis
import trio
from redis.backoff import NoBackoff
from redis.retry import Retry

from p2psync.errors import ConfigError
from p2psync.ids import InfoHash
from p2psync.wire.announce import SwarmCounts
from p2psync.wire.compact import ENTRY4_BYTES, without_entry
from tracker.logs import log
from tracker.redis_scripts import ANNOUNCE, SCRAPE
from tracker.swarms import COMPANY, Change, Kept, PeerUpdate, Role, StoreUnavailableError, SwarmView, Totals

_ANSWER_S = 0.5  # longer than any batch takes, shorter than a client waits
_THREADS = 4
_REFRESH_EVERY_S = 5.0
_CLOCK_EVERY_S = 3600.0  # clocks drift apart by a tenth of a second an hour
_PROBE_S = 60
_TRY_AGAIN_S = 0.5
_BUSIEST = 100
_CLIENT_DIGEST_BYTES = 8
_FEWEST_WINDOWS = 2
_BUSIEST_KEY = "p2t:busiest"
_ANNOUNCE_ID, _SCRAPE_ID = (sha1(script.encode(), usedforsecurity=False).hexdigest() for script in (ANNOUNCE, SCRAPE))

_T = TypeVar("_T")
_Calls = list[tuple[bytes | str | int, ...]]


class RedisSwarms:
    """A `SwarmStore` in a Redis server, version 5 or later."""

    def __init__(self, url: str, *, lifetime_s: int) -> None:
        """Take where Redis is; nothing is connected until it is needed.

        Args:
            url: `redis://`, `rediss://` or `unix://`, with what redis-py understands.
            lifetime_s: Of peers in normal load; all trackers of one Redis must agree on it.

        Raises:
            ConfigError: The URL is none.
        """
        try:
            self._redis = redis.Redis.from_url(
                url, socket_timeout=_ANSWER_S, socket_connect_timeout=_ANSWER_S, retry=Retry(NoBackoff(), 1)
            )
        except (ValueError, TypeError) as error:
            raise ConfigError(f"state: {error}") from error
        self._window_s = max(1, lifetime_s * 5 // 8)
        self._limiter = trio.CapacityLimiter(_THREADS)
        self._clock_offset = 0.0  # from our clock to Redis's, by which all trackers cut windows
        self._clock_read_at = 0.0
        self._is_away = True
        self._next_try = 0.0
        self._totals = Totals()
        self._sizes: dict[InfoHash, int] = {}  # of swarms that announced since the last refresh

    async def announce(self, updates: Sequence[PeerUpdate], now: float) -> list[SwarmView]:
        """Apply a batch in one round trip."""
        if not updates:
            return []
        replies = await self._in_thread(self._announce, updates, now + self._clock_offset)
        return [self._view(update, reply) for update, reply in zip(updates, replies, strict=True)]

    async def scrape(self, hashes: Sequence[InfoHash], now: float) -> list[SwarmCounts]:
        """Return the counts of each swarm, in one round trip."""
        replies = await self._in_thread(self._scrape, hashes, now + self._clock_offset)
        return [_counts(*reply) for reply in replies]

    async def tend(self, now: float) -> None:
        """Look every few seconds for what all trackers together know; when Redis is away, whether it is back."""
        if now < self._next_try:
            return
        self._next_try = now + _TRY_AGAIN_S
        if self._is_away or now >= self._clock_read_at + _CLOCK_EVERY_S:
            seconds, micros = await self._attempt(self._redis.time)
            self._clock_offset, self._clock_read_at = seconds + micros / 1e6 - now, now
        self._totals = await self._attempt(self._refresh, now + self._clock_offset)
        self._next_try = now + _REFRESH_EVERY_S
        if self._is_away:
            self._is_away = False
            log(logging.INFO, "Redis answers")

    def totals(self) -> Totals:
        """Return what all trackers together know, give or take a hundredth, some seconds ago."""
        return self._totals

    async def busiest(self, limit: int, now: float) -> list[tuple[InfoHash, SwarmCounts]]:
        """Return the largest swarms that any of the trackers saw lately, at most a hundred."""
        members = await self._in_thread(self._redis.zrevrange, _BUSIEST_KEY, 0, limit - 1)
        hashes = [InfoHash(member) for member in members]
        return list(zip(hashes, await self.scrape(hashes, now), strict=True))

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    async def _in_thread(self, call: Callable[..., _T], *args: Any) -> _T:  # noqa: ANN401 - those of `call`
        if self._is_away:
            raise StoreUnavailableError("Redis is away")
        return await self._attempt(call, *args)

    async def _attempt(self, call: Callable[..., _T], *args: Any) -> _T:  # noqa: ANN401 - those of `call`
        try:
            return await trio.to_thread.run_sync(call, *args, limiter=self._limiter)
        except redis.RedisError as error:
            if not self._is_away:
                log(logging.WARNING, "Redis is away", reason=str(error))
            self._is_away = True
            self._next_try = 0.0
            raise StoreUnavailableError("Redis is away") from error

    def _announce(self, updates: Sequence[PeerUpdate], wall: float) -> list[list[Any]]:
        calls: _Calls = []
        window = int(wall) // self._window_s
        for update in updates:
            windows = self._windows(update.lifetime_s)
            digest = blake2b(update.client, digest_size=_CLIENT_DIGEST_BYTES).digest()
            want = update.want + 1 if update.want > 0 else 0  # the one who asks may be among them
            expiry = (windows + 1) * self._window_s
            place = (_ANNOUNCE_ID, 1, _prefix(update.info_hash), window, windows, expiry)
            calls.append((*place, update.peer, digest, int(update.role), int(update.change), want, COMPANY))
        return self._call(calls, (ANNOUNCE,), self._sketches(updates, window))

    def _scrape(self, hashes: Sequence[InfoHash], wall: float) -> list[list[int]]:
        window = int(wall) // self._window_s
        return self._call(
            [(_SCRAPE_ID, 1, _prefix(info_hash), window, _FEWEST_WINDOWS) for info_hash in hashes], (SCRAPE,), []
        )

    def _call(self, calls: _Calls, scripts: Sequence[str], extras: _Calls) -> list[list[Any]]:
        """Call scripts in one round trip, or in three if Redis does not know them yet."""
        replies = self._pipelined(calls, extras)
        if any(isinstance(reply, redis.exceptions.NoScriptError) for reply in replies):
            for script in scripts:
                self._redis.script_load(script)
            replies = self._pipelined(calls, extras)
        for reply in replies:
            if isinstance(reply, redis.RedisError):
                raise reply
        return replies

    def _pipelined(self, calls: _Calls, extras: _Calls) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command("EVALSHA", *call)
        for extra in extras:
            pipeline.execute_command(*extra)
        replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies[: len(calls)]

    def _sketches(self, updates: Sequence[PeerUpdate], window: int) -> _Calls:
        """Return what counts the peers of a batch into the totals."""
        members: dict[str, list[bytes]] = {}
        for update in updates:
            if update.change is not Change.LEAVE:
                family = "peers4" if len(update.peer) == ENTRY4_BYTES else "peers6"
                members.setdefault(family, []).append(update.info_hash + update.peer)
                members.setdefault("swarms", []).append(update.info_hash)
                if update.role is Role.SEED:
                    members.setdefault("seeds", []).append(update.info_hash + update.client)
        expiry = (_FEWEST_WINDOWS + 1) * self._window_s
        calls: _Calls = []
        for name, added in members.items():
            key = f"p2t:{name}:{window}"
            calls += [("PFADD", key, *added), ("EXPIRE", key, expiry)]
        return calls

    def _refresh(self, wall: float) -> Totals:
        """Return the totals; hand in which swarms were large."""
        pipeline = self._redis.pipeline(transaction=False)
        window = int(wall) // self._window_s
        for name in ("swarms", "peers4", "peers6", "seeds"):
            pipeline.pfcount(*(f"p2t:{name}:{window - age}" for age in range(_FEWEST_WINDOWS)))
        sizes, self._sizes = self._sizes, {}
        if sizes:
            pipeline.zadd(_BUSIEST_KEY, dict(heapq.nlargest(_BUSIEST, sizes.items(), key=itemgetter(1))))
            pipeline.zremrangebyrank(_BUSIEST_KEY, 0, -_BUSIEST - 1)
            pipeline.expire(_BUSIEST_KEY, _FEWEST_WINDOWS * self._window_s)
        pipeline.set("p2t:probe", 1, ex=_PROBE_S)  # so that a Redis that is full does not seem to be back
        return Totals(*pipeline.execute()[:4])

    def _windows(self, lifetime_s: int) -> int:
        """Return how many windows count for peers of a lifetime, which grows under load."""
        return max(_FEWEST_WINDOWS, round(lifetime_s * 5 / 8 / self._window_s) + 1)

    def _view(self, update: PeerUpdate, reply: list[Any]) -> SwarmView:
        *numbers, entries = reply
        counts = _counts(*numbers)
        if update.change is Change.LEAVE:
            return SwarmView(counts, b"", Kept.LEFT)
        self._sizes[update.info_hash] = counts.complete + counts.incomplete
        return SwarmView(counts, without_entry(entries, update.peer)[: update.want * len(update.peer)])


def _prefix(info_hash: InfoHash) -> str:
    return f"p2t:{info_hash.hex()}:"


def _counts(clients: int, seeds: int, completed: int, partial_seeds: int = 0) -> SwarmCounts:
    # Sets are read one after the other: a client on its way from one to the other may be missing in between.
    incomplete = max(0, clients - seeds)
    return SwarmCounts(seeds, completed, incomplete, max(0, incomplete - partial_seeds))
