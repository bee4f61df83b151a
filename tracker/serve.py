"""The service: builds store and servers from the settings, runs them, stops them in order."""

import dataclasses
import gc
import logging
import random
import resource
import secrets
import signal
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from hashlib import blake2s
from pathlib import Path

import trio

from p2psync.errors import ConfigError, StoreError
from p2psync.ids import InfoHash
from tracker import systemd
from tracker.access import Access, Mode, parse_hashes, parse_keys
from tracker.config import Settings
from tracker.connection_id import KEY_BYTES, ConnectionIds
from tracker.http_app import HttpApp
from tracker.http_server import HttpLimits, serve_http
from tracker.https_server import serve_https
from tracker.logs import log
from tracker.memory_swarms import MemorySwarms
from tracker.service import TrackerService, lifetime_s
from tracker.snapshot import load_snapshot, save_snapshot
from tracker.sockets import Sockets, as_listeners, open_sockets
from tracker.swarms import StoreUnavailableError, SwarmStore
from tracker.telemetry import Telemetry
from tracker.udp_app import UdpApp
from tracker.udp_server import serve_udp

_TEND_EVERY_S = 0.1
_OTHER_FILES = 64  # of the open files that the process may have: listeners, UDP, Redis, lists read again, a snapshot
_GC_THRESHOLD = 50_000  # each announce makes a few tuples; looking through all swarms for cycles after 700 is waste

Listening = Callable[[dict[str, list[str]]], None]


async def serve(settings: Settings, environment: Mapping[str, str], listening: Listening) -> signal.Signals:
    """Serve until SIGINT or SIGTERM, and return which of them it was; SIGHUP reads lists and certificates again.

    Args:
        settings: What the operator wants.
        environment: Of the process, for what systemd hands over and wants to hear.
        listening: Told the addresses, as soon as clients are answered there.

    Raises:
        ConfigError: A file or an address cannot be used.
        StoreError: The snapshot could not be written.
    """
    access, tls = _load_files(settings)
    gc.set_threshold(_GC_THRESHOLD)
    _raise_limit_of_files()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        sockets = open_sockets(settings, environment)
        if sockets.https and tls is None:
            raise ConfigError("a socket for HTTPS needs tls_certificate and tls_key")
        async with _open_store(settings) as store, trio.open_nursery() as nursery:
            service = TrackerService(store, settings.policy, _rng(), access)
            nursery.start_soon(_tend, store)
            nursery.start_soon(systemd.stay_alive, environment)
            await _start_servers(nursery, settings, sockets, service, tls)
            listening(sockets.addresses())
            log(logging.INFO, "serving", **sockets.addresses())
            systemd.notify(environment, systemd.READY)
            async for received in signals:
                if received != signal.SIGHUP:
                    log(logging.INFO, "stopping", signal=signal.Signals(received).name)
                    systemd.notify(environment, systemd.STOPPING)
                    nursery.cancel_scope.cancel()
                    return signal.Signals(received)
                _reload(settings, service, tls)
    raise AssertionError("signals never end")


async def _start_servers(
    nursery: trio.Nursery,
    settings: Settings,
    sockets: Sockets,
    service: TrackerService,
    tls: ssl.SSLContext | None,
) -> None:
    telemetry = Telemetry(service.store)
    http_app = HttpApp(service, telemetry, trusted_proxies=settings.trusted_proxies, status_from=settings.status_from)
    limits = _affordable(settings.http_limits, servers=bool(sockets.http) + bool(sockets.https))
    if sockets.http:
        await nursery.start(serve_http, as_listeners(sockets.http), http_app, telemetry, limits)
    if sockets.https and tls is not None:
        await nursery.start(serve_https, as_listeners(sockets.https), tls, http_app, telemetry, limits)
    udp_app = UdpApp(service, telemetry, ConnectionIds(_connection_id_key(settings)))
    for bound in sockets.udp:
        await nursery.start(serve_udp, bound, udp_app, telemetry, _wall)


@asynccontextmanager
async def _open_store(settings: Settings) -> AsyncIterator[SwarmStore]:
    if settings.state == "memory":
        async with _open_memory(settings) as memory:
            yield memory
        return
    try:
        from tracker.redis_swarms import RedisSwarms  # noqa: PLC0415 - an extra that not everybody installs
    except ImportError as error:
        raise ConfigError("state in Redis needs its client: install p2psync[redis]") from error
    shared = RedisSwarms(settings.state, lifetime_s=lifetime_s(settings.policy, settings.policy.interval_s))
    try:
        await shared.tend(trio.current_time())
    except StoreUnavailableError:
        log(logging.WARNING, "Redis does not answer yet, clients are told to come again")
    try:
        yield shared
    finally:
        shared.close()


@asynccontextmanager
async def _open_memory(settings: Settings) -> AsyncIterator[MemorySwarms]:
    store = MemorySwarms(_rng(), settings.store_limits)
    if not settings.snapshot:
        yield store
        return
    path = Path(settings.snapshot)
    try:
        await load_snapshot(path, store, now=trio.current_time(), wall=_wall())
    except StoreError as error:
        log(logging.WARNING, "the snapshot was not read to its end", reason=str(error))
    try:
        yield store
    finally:
        save_snapshot(path, store, now=trio.current_time(), wall=_wall())


async def _tend(store: SwarmStore) -> None:
    while True:
        with suppress(StoreUnavailableError):  # the store says so itself, once, and tries again when tended next
            await store.tend(trio.current_time())
        await trio.sleep(_TEND_EVERY_S)


def _reload(settings: Settings, service: TrackerService, tls: ssl.SSLContext | None) -> None:
    """Read lists and certificate again; unless all of them can be used, nothing changes."""
    try:
        access, renewed = _load_files(settings)
    except ConfigError as error:
        log(logging.ERROR, "what was read before stays in force", reason=str(error))
        return
    service.access = access
    if tls is not None and renewed is not None:
        # Loaded into `tls` itself, a certificate stays there though its key turns out to be another's.
        tls.sni_callback = partial(_continue_with, renewed)
    log(logging.INFO, "lists and certificates read again", hashes=len(access.hashes), keys=len(access.keys))


def _continue_with(renewed: ssl.SSLContext, handshake: ssl.SSLObject, _name: str | None, _old: ssl.SSLContext) -> None:
    handshake.context = renewed


def _load_files(settings: Settings) -> tuple[Access, ssl.SSLContext | None]:
    """Read all that the settings name, and tell every mistake at once."""
    faults: list[str] = []
    access, tls = Access(), None
    try:
        access = _load_access(settings)
    except ConfigError as error:
        faults.append(str(error))
    try:
        tls = _load_tls(settings)
    except ConfigError as error:
        faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    return access, tls


def _raise_limit_of_files() -> None:
    """Let this process have as many sockets as it may: the usual limit is for programs that use `select`."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _affordable(limits: HttpLimits, *, servers: int) -> HttpLimits:
    """Return the limits of each server, with no more connections than open files are left for it."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    left = max(1, (most - _OTHER_FILES) // max(1, servers))
    if left >= limits.connections:
        return limits
    log(logging.WARNING, "fewer connections than wanted: the limit of open files is low", connections=left)
    return dataclasses.replace(limits, connections=left)


def _load_access(settings: Settings) -> Access:
    mode = Mode(settings.access)
    hashes: frozenset[InfoHash] = frozenset()
    keys: frozenset[bytes] = frozenset()
    if mode is not Mode.OPEN:
        hashes = parse_hashes(_read_list("access_list", settings.access_list), source=settings.access_list)
    if settings.access_keys:
        keys = parse_keys(_read_list("access_keys", settings.access_keys), source=settings.access_keys)
    return Access(mode, hashes, keys)


def _read_list(option: str, path: str) -> str:
    try:
        return Path(path).read_text("ascii", "replace")
    except OSError as error:
        raise ConfigError(f"{option} {path} cannot be read: {error.strerror}") from error


def _load_tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"tls_certificate and tls_key cannot be used: {error.strerror or error}") from error
    return context


def _connection_id_key(settings: Settings) -> bytes:
    if not settings.udp_secret:
        return secrets.token_bytes(KEY_BYTES)
    return blake2s(settings.udp_secret.encode(), digest_size=KEY_BYTES, person=b"p2t-udp").digest()


def _rng() -> random.Random:
    return random.Random()  # noqa: S311 - chooses which peers to tell and when to come again: no secrets


_wall = time.time  # noqa: TID251 - the clock that a restart does not set back, and that trackers share
