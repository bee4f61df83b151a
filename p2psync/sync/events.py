"""What `sync` tells while it works: what has happened, and where it stands."""

from dataclasses import dataclass, field
from enum import Enum

from p2psync.errors import PathError
from p2psync.ids import BlockId


class Activity(Enum):
    """What a folder is doing; the words are the `state` of progress events."""

    WAITING = "waiting"
    SCANNING = "scanning"
    MANIFEST = "manifest"
    FETCHING = "fetching"
    APPLYING = "applying"
    MATCHED = "matched"
    SERVING = "serving"


@dataclass(slots=True)
class FolderProgress:
    """Where a folder stands now; read it at any time.

    Attributes:
        activity: What it is doing.
        done_bytes: Bytes of files that are right, or written to their staged files.
        total_bytes: Bytes of files that the folder is to have.
        scanned_files: Files looked at by the scan that is running, or ran last.
        scanned_bytes: Bytes that it had to read.
        provisional: Whether the newest head is provisional: the other side is still scanning.
    """

    activity: Activity = Activity.WAITING
    done_bytes: int = 0
    total_bytes: int = 0
    scanned_files: int = 0
    scanned_bytes: int = 0
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class PublishedHead:
    """A head was made from the local folder, or still holds from before.

    Attributes:
        root: Its manifest.
        seq: Its sequence number.
        files: Files of the folder.
        size_bytes: Their bytes.
        is_new: Whether it was made now.
        provisional: Whether the scan goes on, and more is to come.
    """

    root: BlockId
    seq: int
    files: int
    size_bytes: int
    is_new: bool
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the latest scan of a shared folder had to leave out, or as it was; told though no head may come of it."""

    problems: tuple[PathError, ...]


@dataclass(frozen=True, slots=True)
class Matched:
    """The folder has been brought to a manifest, as far as its paths allow.

    Attributes:
        root: The manifest.
        files: Files of the manifest.
        size_bytes: Their bytes.
        reused_bytes: Bytes that were here already: right where they were, or copied from elsewhere in the folder; not
            what was fetched since the match before.
        problems: Paths that could not be made; without any, the folder matches.
        additions: Paths of the user's own that the manifest does not know, and that were left alone.
        displaced: How many things were moved to the versions directory.
    """

    root: BlockId
    files: int
    size_bytes: int
    reused_bytes: int
    problems: tuple[PathError, ...] = ()
    additions: tuple[bytes, ...] = field(default=())
    displaced: int = 0


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence worth knowing."""

    sentence: str


FolderEvent = PublishedHead | LeftOut | Matched | Remark
