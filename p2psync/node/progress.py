"""Tell how the work stands, and notice when it stands still."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import trio

from p2psync.errors import IntegrityError, P2PSyncError, UnreachableError
from p2psync.node.events import PeersSeen, Progress, Shown
from p2psync.node.network import FolderNetwork
from p2psync.node.peer_table import PeerRow, explain_standstill
from p2psync.swarm.statistics import AddressStatistics
from p2psync.sync.events import Activity, FolderProgress

REPORT_INTERVAL_S = 0.5
STANDSTILL_S = 3.0
"""How long nothing comes before we say why."""
NO_HONEST_SOURCE_S = 5.0
"""How long nobody but banned peers may be known before we say so: an address may still come from a tracker."""

SCANNING_THERE = "scanning on the other side: what it has found so far is fetched already"


def snapshot(progress: FolderProgress, network: FolderNetwork) -> Progress:
    """Return the progress event of this moment."""
    numbers = network.swarm.totals()
    waits = progress.activity in (Activity.WAITING, Activity.MANIFEST, Activity.FETCHING) and not numbers.linked
    return Progress(
        state=progress.activity.value,
        done_bytes=progress.done_bytes,
        total_bytes=progress.total_bytes,
        fetched_bytes=network.fetched_bytes,
        uploaded_bytes=numbers.uploaded_bytes,
        peers=numbers.linked,
        scanned_files=progress.scanned_files,
        waiting_for=explain_wait(network) if waits else SCANNING_THERE if progress.provisional else "",
        copies_sent=round(numbers.uploaded_bytes / progress.total_bytes, 3) if progress.total_bytes else 0.0,
    )


def explain_wait(network: FolderNetwork) -> str:
    """Say why nobody is there yet, in one sentence."""
    tried = _outcomes(network)
    return f"no peer reachable yet: trying on: {tried}" if tried else "no peer reachable yet: trying"


async def report_progress(
    progress: FolderProgress,
    network: FolderNetwork,
    emit: Callable[[Shown], None],
    peers: Callable[[], Sequence[PeerRow]],
) -> None:
    """Emit progress while something moves, and once when it stops, until cancelled; and who is linked each time."""
    last: Progress | None = None
    moving = False
    fetched, fetched_at = 0, trio.current_time()
    while True:
        now = snapshot(progress, network)
        if now.fetched_bytes != fetched:
            fetched, fetched_at = now.fetched_bytes, trio.current_time()
        if not now.waiting_for and trio.current_time() - fetched_at >= STANDSTILL_S:
            numbers = network.swarm.statistics()
            now = replace(now, waiting_for=explain_standstill(progress.activity, numbers, network.unfinished))
        emit(PeersSeen(peers))
        if now != last:
            emit(now)
            moving = last is not None
        elif moving:
            emit(now)
            moving = False
        last = now
        await trio.sleep(REPORT_INTERVAL_S)


async def give_up_when_stuck(progress: FolderProgress, network: FolderNetwork, timeout_s: float | None) -> None:
    """Watch that verified data keeps coming.

    Args:
        progress: The folder's.
        network: Its network.
        timeout_s: Longest time without any; None to wait for ever.

    Raises:
        UnreachableError: Nothing came for that long.
        IntegrityError: Nobody is left but peers whose data was refused.
    """
    last, since = _advance(progress, network), trio.current_time()
    abandoned_since: float | None = None
    while True:
        await trio.sleep(REPORT_INTERVAL_S)
        now = trio.current_time()
        if (advance := _advance(progress, network)) != last or _works_alone(progress):
            last, since = advance, now
        if timeout_s is not None and now - since >= timeout_s:
            raise _stuck(progress, network, timeout_s)
        numbers = network.swarm.totals()
        abandoned = bool(numbers.bans) and not numbers.linked and not numbers.known
        abandoned_since = (abandoned_since or now) if abandoned else None
        if abandoned_since is not None and now - abandoned_since >= NO_HONEST_SOURCE_S:
            raise _refused(network)


def _advance(progress: FolderProgress, network: FolderNetwork) -> tuple[object, ...]:
    return progress.activity, progress.done_bytes, network.fetched_bytes


def _works_alone(progress: FolderProgress) -> bool:
    return progress.activity in (Activity.SCANNING, Activity.APPLYING, Activity.MATCHED)


def _outcomes(network: FolderNetwork) -> str:
    """Return how it went with what was tried; empty if that was nothing."""
    addresses = network.swarm.statistics().addresses
    tried = [_outcome_at(record) for record in addresses]
    tried += [f"{url}: {outcome}" for url, outcome in network.tracker_outcomes.items()]
    return "; ".join(tried[:6])


def _outcome_at(record: AddressStatistics) -> str:
    address, failure = str(record.address), record.last_failure
    if not failure:
        return f"connecting to {address}"
    return failure if failure.startswith(address) else f"{address}: {failure}"


def _stuck(progress: FolderProgress, network: FolderNetwork, timeout_s: float) -> P2PSyncError:
    numbers = network.swarm.totals()
    if numbers.bans or network.older_heads():
        return _refused(network)
    if numbers.linked:
        peers = "the peer" if numbers.linked == 1 else f"{numbers.linked} peers"
        why = explain_standstill(progress.activity, network.swarm.statistics(), network.unfinished)
        return UnreachableError(f"nothing came from {peers} for {timeout_s:g} s: {why or 'is the sharer alive?'}")
    tried = _outcomes(network) or "no address of a peer is known"
    return UnreachableError(f"no peer reachable in {timeout_s:g} s: is the share running? ({tried})")


def _refused(network: FolderNetwork) -> IntegrityError:
    reasons = sorted(set(network.swarm.totals().bans.values()))
    if not reasons:
        reasons = ["every peer offers an older version of the folder than this one has already seen"]
    return IntegrityError(f"no honest source is left: {'; '.join(reasons)}")
