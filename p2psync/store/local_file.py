"""What stands at a path of the local folder, as a value. Pure."""

from typing import NamedTuple

from p2psync.manifest.entry import Entry


class LocalFile(NamedTuple):
    """What stands at a path of the local folder, as last seen.

    Attributes:
        number: The row's id, which places refer to.
        entry: Its state.
        fingerprint: What `stat` said then (`sync.fingerprint`); while it says the same, the state still holds.
        ours: Whether p2psync put it there, so that it may replace or remove it.
    """

    number: int
    entry: Entry
    fingerprint: bytes
    ours: bool
