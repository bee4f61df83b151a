"""The end of a pull: put in place what has come, and once all has, remove what is gone and set directories right."""

from p2psync.errors import PathError
from p2psync.store.folder_state import FolderState
from p2psync.sync.apply import FolderWriter
from p2psync.sync.plan import Planner

PLACE_BATCH = 2000
"""Files put in their places per step: one sync of the disk and one transaction for all of them."""


def place_batch(folder: FolderState, writer: FolderWriter) -> bool:
    """Put some files in their places; return whether there may be more."""
    files = folder.staging.take_finished(PLACE_BATCH)
    writer.place(files)
    return len(files) == PLACE_BATCH


def leave_off(folder: FolderState, writer: FolderWriter) -> None:
    """Put all in its place that is complete, and leave the rest for the next pull."""
    _place_all(folder, writer)
    writer.finish_directories()


def conclude(folder: FolderState, planner: Planner, writer: FolderWriter, *, exact: bool) -> list[bytes]:
    """Finish what was planned; return the paths of what the user put there and the manifest does not know.

    Args:
        folder: The folder; every block that was planned for has been written.
        planner: What was planned.
        writer: Has made what needed no blocks; what goes wrong is added to its problems.
        exact: What the manifest does not know is moved to the versions directory.

    Raises:
        StoreError: The disk failed or is full.
    """
    _place_all(folder, writer)
    removals = sorted(planner.totals.removals, key=lambda local: local.entry.key, reverse=True)
    kept = [local for local in removals if not writer.remove(local)] + planner.totals.additions
    kept.sort(key=lambda local: local.entry.key)
    if exact:
        for local in kept:
            writer.clear_addition(local)
    writer.place_blocked()
    writer.finish_directories()
    problems = folder.staging.problems
    writer.problems += problems.values()
    lacking = [path for path in folder.staging.unfinished() if path not in problems]
    writer.problems += [PathError(path, "not all of it came: run the same command again") for path in lacking]
    folder.staging.abandon(lambda key, ids: False)
    if not writer.problems:
        planner.settled.reached()
    still_there = (local.entry for local in kept if folder.index.file_at(local.entry.key) is not None)
    return [] if exact else [entry.path for entry in still_there]


def _place_all(folder: FolderState, writer: FolderWriter) -> None:
    while place_batch(folder, writer):
        pass
