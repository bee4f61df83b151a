"""Peers that worked, kept in the folder's state and tried at the next start, whoever else is gone by then."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

import trio

from p2psync.errors import ConfigError, StoreError
from p2psync.ids import PeerAddress, parse_address
from p2psync.store.database import Database
from p2psync.swarm.peers import Origin
from p2psync.swarm.statistics import LinkStatistics
from p2psync.swarm.swarm import Swarm

MOST_SAVED = 50
"""More find nobody sooner."""
LOOK_INTERVAL_S = 5.0
"""What a crash may cost: who was linked for less is not saved."""
_NOTE = "peers"
_DIALLED, _ACCEPTED = "dialled", "accepted"

Saved = Mapping[PeerAddress, bool]
"""Addresses, the latest last, and whether we reached somebody there; else a peer that dialled us named its own."""


def load_saved(database: Database) -> dict[PeerAddress, bool]:
    """Return what was saved; what cannot be read is left out."""
    saved = {}
    for line in (database.note(_NOTE) or b"").decode("utf-8", "replace").splitlines():
        how, _, text = line.partition(" ")
        try:
            saved[parse_address(text)] = how == _DIALLED
        except ConfigError:
            continue
    return saved


def with_linked(saved: Saved, links: Iterable[LinkStatistics]) -> dict[PeerAddress, bool]:
    """Return what to save when these links are up; what peers named never displaces what we reached."""
    together = dict(saved)
    for link in links:
        if link.address is not None and "%" not in link.address.host:  # a zone is of this minute's interface
            reached = together.pop(link.address, False)
            together[link.address] = reached or link.dialled
    reached_ones = [address for address, reached in together.items() if reached][-MOST_SAVED:]
    named = [address for address, reached in together.items() if not reached]
    kept = {*reached_ones, *named[max(0, len(named) - (MOST_SAVED - len(reached_ones))) :]}
    return {address: reached for address, reached in together.items() if address in kept}


async def keep_saved(database: Database, swarm: Swarm) -> None:
    """Try what was saved, then save who is linked, until cancelled."""
    saved = load_saved(database)
    swarm.add_addresses(list(reversed(saved)), Origin.SAVED)
    while True:
        await trio.sleep(LOOK_INTERVAL_S)
        now = with_linked(saved, swarm.statistics().links)
        if now.items() ^ saved.items():
            lines = [f"{_DIALLED if reached else _ACCEPTED} {address}" for address, reached in now.items()]
            with suppress(StoreError):  # on a full disk it is done without
                await trio.to_thread.run_sync(database.set_note, _NOTE, "\n".join(lines).encode())
        saved = now
