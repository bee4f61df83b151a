"""Two links to one device: which is too much."""

from collections.abc import Iterable

from p2psync.ids import DeviceId
from p2psync.swarm.link import Link
from p2psync.wire.messages import Farewell


def settle_duplicates(new: Link, links: Iterable[Link], own: DeviceId) -> None:
    """Close what is too much of several links to one device, by a rule that both ends compute alike."""
    for old in links:
        if old.device != new.device:
            continue
        surplus = surplus_link(old, new, own)
        if surplus is new:
            old.probe()
        if surplus is not None:
            surplus.close("another link to the same device stays", Farewell.DUPLICATE)
        if surplus is new:
            return


def surplus_link(old: Link, new: Link, own: DeviceId) -> Link | None:
    """Return the one to close, by a rule that both ends compute alike, or None if that is for the peer to say.

    The link that the smaller device dialled stays; who dialled both closes the later one.
    """
    we_dialled_old, we_dialled_new = old.dialled is not None, new.dialled is not None
    if we_dialled_old and we_dialled_new:
        return new
    if not we_dialled_old and not we_dialled_new:
        old.probe()
        return None
    ours_stays = own < new.device
    return old if we_dialled_new == ours_stays else new
