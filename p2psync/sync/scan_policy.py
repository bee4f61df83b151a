"""How a scan reads and records, and what it found."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from p2psync.errors import TOO_MANY_FILES, PathError, StoreError


def _give_up() -> None:
    raise StoreError(TOO_MANY_FILES)


@dataclass(slots=True)
class ScanReport:
    """What a scan found.

    Attributes:
        files: Files seen.
        hashed_files: Files that had to be read.
        hashed_bytes: Their bytes.
        problems: Paths that were left out, and why.
        unsettled: Directories with a file that was changing meanwhile, so that another scan should follow soon.
        unmounted: Those of the problems that are directories whose disks are gone: what was in them counts as it was.
    """

    files: int = 0
    hashed_files: int = 0
    hashed_bytes: int = 0
    problems: list[PathError] = field(default_factory=list)
    unsettled: set[bytes] = field(default_factory=set)
    unmounted: list[PathError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ScanPolicy:
    """How a scan reads and records.

    Attributes:
        gear_seed: `FolderKeys.gear_seed`.
        version_of: Gives the version vector of a changed path from the one it had (empty for a new path).
        keeps_tombstones: Whether a path that is gone is remembered as deleted, as a publisher's is, or forgotten.
        forgets_unreadable: Whether a file that was readable and is not is taken for gone, as others have it; else it is
            what it was.
        cut_hint: Gives the cut exponent that the folder's manifest has for a key, if it has one.
        now_ns: The time of day, nanoseconds since 1970, by the clock that stamps files.
        checkpoint: Called often; may raise to give up.
        on_changes: Told the keys of entries that are about to change, inside the transaction that changes them.
        is_due: Asked after everything that was looked at whether what has been found so far is wanted.
        show: Called then, once the index has it.
        wait_descriptor: Called where the system lets nothing more be opened; comes back to have that tried again, or
            raises.
    """

    gear_seed: int
    version_of: Callable[[bytes], bytes]
    keeps_tombstones: bool
    forgets_unreadable: bool
    cut_hint: Callable[[bytes], int | None]
    now_ns: Callable[[], int]
    checkpoint: Callable[[], None]
    on_changes: Callable[[Collection[bytes]], None] = lambda keys: None
    is_due: Callable[[], bool] = lambda: False
    show: Callable[[], None] = lambda: None
    wait_descriptor: Callable[[], None] = _give_up
