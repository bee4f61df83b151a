"""Reconcile: what must happen at each path for the folder to match a manifest. Pure."""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from p2psync.manifest.entry import Entry, Kind
from p2psync.store.local_file import LocalFile


class Step(Enum):
    """What happens at one path."""

    KEEP = "it is right as it is"
    ADOPT = "it is right, but the index does not say so yet"
    TOUCH = "only permissions or time differ"
    MAKE = "its content is to be made, replacing whatever stands there"
    REMOVE = "p2psync put it there, and the folder no longer has it"
    ADDITION = "the user put it there; the folder does not know it"


class Decision(NamedTuple):
    """A step at one path, with both sides."""

    step: Step
    entry: Entry | None
    local: LocalFile | None


def reconcile(entries: Iterable[Entry], locals_: Iterable[LocalFile]) -> Iterator[Decision]:
    """Compare a manifest's entries with what stands in the folder; both in key order, of the same range of keys."""
    for entry, local in _pairs(iter(entries), iter(locals_)):
        decision = decide(entry, local)
        if decision is not None:
            yield decision


def decide(entry: Entry | None, local: LocalFile | None) -> Decision | None:
    """Choose the step for one path; None where there is nothing on either side."""
    here = local is not None and local.entry.kind is not Kind.TOMBSTONE
    if entry is None or entry.kind is Kind.TOMBSTONE:
        if not here or local is None:
            return None
        return Decision(Step.REMOVE if local.ours else Step.ADDITION, None, local)
    if not here or local is None or _content(entry) != _content(local.entry):
        return Decision(Step.MAKE, entry, local)
    if entry.mtime_ns != local.entry.mtime_ns or (entry.mode != local.entry.mode and entry.kind is not Kind.SYMLINK):
        return Decision(Step.TOUCH, entry, local)
    same_note = (entry.version, entry.cut) == (local.entry.version, local.entry.cut)
    return Decision(Step.KEEP if same_note else Step.ADOPT, entry, local)


def _content(entry: Entry) -> tuple[Kind, bytes, bytes, bytes]:
    return entry.kind, entry.ids, entry.lengths, entry.target


def _pairs(entries: Iterator[Entry], locals_: Iterator[LocalFile]) -> Iterator[tuple[Entry | None, LocalFile | None]]:
    entry, local = next(entries, None), next(locals_, None)
    while entry is not None or local is not None:
        if local is None or (entry is not None and entry.key < local.entry.key):
            yield entry, None
            entry = next(entries, None)
        elif entry is None or local.entry.key < entry.key:
            yield None, local
            local = next(locals_, None)
        else:
            yield entry, local
            entry, local = next(entries, None), next(locals_, None)
