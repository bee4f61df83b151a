import pytest

from p2psync.manifest.entry import Entry, Kind
from p2psync.store.local_file import LocalFile
from p2psync.sync.reconcile import Decision, Step, decide, reconcile

V = b"V" * 15 + b"\1"
FILE = Entry(b"", b"x", Kind.FILE, 5, 0o644, 16, b"I" * 32, b"\0\0\0\1", b"", V)
DIRECTORY = Entry(b"", b"x", Kind.DIRECTORY, 5, 0o755, version=V)
LINK = Entry(b"", b"x", Kind.SYMLINK, 5, 0o777, target=b"t", version=V)
GONE = Entry(b"", b"x", Kind.TOMBSTONE, version=V)
PRESENT = [FILE, DIRECTORY, LINK]


def local(entry: Entry, *, ours: bool = True) -> LocalFile:
    return LocalFile(1, entry, b"fingerprint", ours)


def step(entry: Entry | None, here: LocalFile | None) -> Step | None:
    decision = decide(entry, here)
    return decision.step if decision else None


@pytest.mark.parametrize("entry", [None, GONE])
@pytest.mark.parametrize("here", [None, local(GONE), local(GONE, ours=False)])
def test_where_nothing_is_and_nothing_should_be_nothing_happens(entry, here):
    assert decide(entry, here) is None


@pytest.mark.parametrize("entry", [None, GONE])
@pytest.mark.parametrize("stands", PRESENT)
def test_what_the_folder_does_not_have_goes_only_if_we_put_it_there(entry, stands):
    assert decide(entry, local(stands, ours=True)) == Decision(Step.REMOVE, None, local(stands, ours=True))
    assert decide(entry, local(stands, ours=False)) == Decision(Step.ADDITION, None, local(stands, ours=False))


@pytest.mark.parametrize("entry", PRESENT)
@pytest.mark.parametrize("here", [None, local(GONE), local(GONE, ours=False)])
def test_what_is_missing_is_made(entry, here):
    assert decide(entry, here) == Decision(Step.MAKE, entry, here)


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("entry", PRESENT)
def test_what_is_right_is_kept_whoever_put_it_there(entry, ours):
    assert decide(entry, local(entry, ours=ours)) == Decision(Step.KEEP, entry, local(entry, ours=ours))


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize(("entry", "stands"), [(a, b) for a in PRESENT for b in PRESENT if a is not b])
def test_what_is_of_another_kind_is_made_anew(entry, stands, ours):
    assert step(entry, local(stands, ours=ours)) is Step.MAKE


@pytest.mark.parametrize(
    ("entry", "change"),
    [
        (FILE, {"ids": b"J" * 32}),
        (FILE, {"ids": b"I" * 64, "lengths": b"\0\0\0\1" * 2}),
        (FILE, {"ids": b"", "lengths": b""}),
        (LINK, {"target": b"u"}),
    ],
)
def test_other_content_is_made_anew_whatever_else_is_equal(entry, change):
    assert step(entry, local(entry._replace(**change))) is Step.MAKE
    assert step(entry._replace(**change), local(entry)) is Step.MAKE


@pytest.mark.parametrize(
    ("entry", "change", "expected"),
    [
        (FILE, {"mtime_ns": 6}, Step.TOUCH),
        (FILE, {"mode": 0o600}, Step.TOUCH),
        (FILE, {"mtime_ns": 6, "version": b""}, Step.TOUCH),
        (FILE, {"version": b""}, Step.ADOPT),
        (FILE, {"cut": 17}, Step.ADOPT),
        (DIRECTORY, {"mtime_ns": 6}, Step.TOUCH),
        (DIRECTORY, {"mode": 0o700}, Step.TOUCH),
        (DIRECTORY, {"version": b""}, Step.ADOPT),
        (LINK, {"mtime_ns": 6}, Step.TOUCH),
        (LINK, {"mode": 0o755}, Step.KEEP),  # a link's permissions mean nothing and cannot be set
        (LINK, {"version": b""}, Step.ADOPT),
    ],
)
def test_where_only_the_state_differs_no_content_is_touched(entry, change, expected):
    assert step(entry, local(entry._replace(**change))) is expected
    assert step(entry, local(entry._replace(**change), ours=False)) is expected


def test_both_sides_are_gone_through_together_in_key_order():
    def named(entry: Entry, parent: bytes, name: bytes) -> Entry:
        return entry._replace(parent=parent, name=name)

    entries = [
        named(FILE, b"", b"both"),
        named(GONE, b"", b"deleted"),
        named(FILE, b"", b"new"),
        named(FILE, b"dir", b"new"),
    ]
    here = [
        local(named(FILE, b"", b"a local one"), ours=False),
        local(named(FILE, b"", b"both")),
        local(named(FILE, b"", b"deleted")),
        local(named(GONE, b"", b"long gone")),
        local(named(FILE, b"", b"old")),
        local(named(FILE, b"zzz", b"at the end"), ours=False),
    ]
    steps = [(decision.step, (decision.entry or decision.local.entry).path) for decision in reconcile(entries, here)]
    assert steps == [
        (Step.ADDITION, b"a local one"),
        (Step.KEEP, b"both"),
        (Step.REMOVE, b"deleted"),
        (Step.MAKE, b"new"),
        (Step.REMOVE, b"old"),
        (Step.MAKE, b"dir/new"),
        (Step.ADDITION, b"zzz/at the end"),
    ]


@pytest.mark.parametrize(("entries", "here", "steps"), [([], [], []), ([FILE], [], [Step.MAKE])])
def test_either_side_may_be_empty(entries, here, steps):
    assert [decision.step for decision in reconcile(iter(entries), iter(here))] == steps
    assert [decision.step for decision in reconcile([], [local(FILE)])] == [Step.REMOVE]
