import pytest

from p2psync.errors import PathError
from p2psync.manifest.entry import Entry, Kind
from p2psync.sync.paths import PathGate, fold_name

FILE, DIRECTORY, SYMLINK, TOMBSTONE = Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK, Kind.TOMBSTONE


def at(path: bytes, kind: Kind = FILE) -> Entry:
    parent, _, name = path.rpartition(b"/")
    return Entry(parent, name, kind)


def refused(*entries: Entry, folds: bool = False) -> list[bytes]:
    """Send entries through one gate; return the paths that did not pass."""
    gate = PathGate(folds=folds)
    stopped = []
    for entry in entries:
        try:
            gate.admit(entry)
        except PathError as problem:
            stopped.append(problem.path)
    return stopped


def names(*paths: str) -> list[Entry]:
    return [at(path.rstrip("/").encode(), DIRECTORY if path.endswith("/") else FILE) for path in paths]


@pytest.mark.parametrize(
    "name",
    [
        b"a", b"...", b"..a", b"a..", b" ", b"-rf", b"~", b"a\\b", b"C:", b"\xff\xfe", b"\n", b"\x01", b"*", b".hidden",
        b".p2psync2", b"p2psync", b"x" * 255, "é".encode() * 127,
    ],
)  # fmt: skip
@pytest.mark.parametrize("folds", [True, False])
def test_any_name_that_a_file_system_holds_passes(name, folds):
    assert refused(at(name), folds=folds) == []
    assert refused(at(b"dir", DIRECTORY), Entry(b"dir", name, FILE), folds=folds) == []


@pytest.mark.parametrize(
    ("parent", "name"),
    [
        (b"", b".."),
        (b"", b"."),
        (b"", b""),
        (b"", b"/"),
        (b"", b"/etc"),
        (b"", b"a/b"),
        (b"", b"../a"),
        (b"", b"a\0b"),
        (b"..", b"a"),
        (b".", b"a"),
        (b"/", b"a"),
        (b"/etc", b"passwd"),
        (b"dir/", b"a"),
        (b"dir//dir", b"a"),
        (b"dir/.", b"a"),
        (b"dir/..", b"a"),
        (b"dir/../..", b"a"),
        (b"dir/../dir", b"a"),
        (b"dir", b".."),
        (b"dir", b"a/"),
        (b"d\0r", b"a"),
    ],
)
@pytest.mark.parametrize("kind", [FILE, DIRECTORY, SYMLINK, TOMBSTONE])
def test_a_path_that_leads_out_or_is_not_plain_is_refused(parent, name, kind):
    gate = PathGate(folds=False)
    gate.admit(at(b"dir", DIRECTORY))
    gate.admit(at(b"dir/dir", DIRECTORY))
    with pytest.raises(PathError, match="lead out of the folder"):
        gate.admit(Entry(parent, name, kind))


@pytest.mark.parametrize("parent", [b"..", b".", b"/", b"dir/..", b"dir//dir", b"", b".p2psync"])
def test_no_directory_can_be_had_by_which_an_unsafe_path_would_pass(parent):
    gate = PathGate(folds=False)
    gate.admit(at(b"dir", DIRECTORY))
    with pytest.raises(PathError):
        gate.admit(at(parent, DIRECTORY))
    if parent:
        with pytest.raises(PathError):
            gate.admit(Entry(parent, b"a", FILE))


@pytest.mark.parametrize("path", [b"x" * 256, "é".encode() * 128, b"x" * 256 + b"/a", b"dir/" + b"x" * 256])
def test_a_name_that_is_too_long_is_refused(path):
    gate = PathGate(folds=False)
    gate.admit(at(b"dir", DIRECTORY))
    with pytest.raises(PathError, match="more than 255 bytes"):
        gate.admit(at(path))


@pytest.mark.parametrize("kind", [FILE, DIRECTORY, SYMLINK])
def test_our_own_directory_is_out_of_bounds_at_the_top(kind):
    assert refused(at(b".p2psync", kind)) == [b".p2psync"]
    inside = [at(b".p2psync", DIRECTORY), at(b".p2psync/link", kind)]
    assert refused(*inside) == [b".p2psync", b".p2psync/link"]


def test_the_keys_of_a_folder_that_is_shared_by_itself_are_out_of_bounds_too():
    assert refused(*names("dir/", "dir/.p2psync/", "dir/.p2psync/link")) == [b"dir/.p2psync", b"dir/.p2psync/link"]


@pytest.mark.parametrize("name", [".P2PSYNC", ".p2pSync", ".P2psync", ".p2p\u017fync"])
def test_our_own_directory_is_known_in_any_case_where_case_does_not_count(name):
    assert refused(*names(name + "/"), folds=True) == [name.encode()]
    assert refused(*names(name + "/"), folds=False) == []


@pytest.mark.parametrize("kind", [FILE, SYMLINK, TOMBSTONE])
def test_nothing_is_made_through_what_is_not_a_directory(kind):
    entries = [at(b"a", kind), at(b"b", DIRECTORY), at(b"a/x"), at(b"a/y", DIRECTORY), at(b"b/x"), at(b"a/y/z")]
    assert refused(*entries) == [b"a/x", b"a/y", b"a/y/z"]


def test_nothing_is_made_in_a_directory_that_the_manifest_does_not_have():
    assert refused(*names("a/", "b/x", "a/b/c")) == [b"b/x", b"a/b/c"]


def test_what_is_below_a_refused_directory_is_refused_and_the_rest_proceeds():
    too_long = "x" * 256
    entries = names("a/", f"{too_long}/", "a/b", f"{too_long}/c/", f"{too_long}/c/d")
    assert [path[:3] for path in refused(*entries)] == [b"xxx"] * 3


CLASHES = [
    ("README", "readme"),
    ("A", "a"),
    ("STRASSE", "straße"),
    ("ÉCOLE", "école"),
    ("e\u0301", "\u00e9"),
    ("E\u0301", "\u00e9"),
    ("\u00c5", "\u212b"),  # Å and the Ångström sign
    ("ΣΑΣ", "σας"),
    ("K", "\u212a"),  # K and the Kelvin sign
]


@pytest.mark.parametrize(("first", "second"), CLASHES)
def test_names_that_differ_by_case_or_unicode_form_clash_where_that_does_not_count(first, second):
    assert refused(*names(first, second), folds=True) == [second.encode()]
    assert refused(*names(first, second), folds=False) == []
    assert fold_name(first.encode()) == fold_name(second.encode())


def test_a_clash_says_with_what():
    gate = PathGate(folds=True)
    gate.admit(at(b"dir", DIRECTORY))
    gate.admit(at(b"dir/README"))
    with pytest.raises(PathError, match=r"dir/readme.*the same as 'dir/README'"):
        gate.admit(at(b"dir/readme"))


def test_names_of_different_directories_do_not_clash():
    assert refused(*names("A", "b/", "b/a", "b/c/", "b/c/A"), folds=True) == []


@pytest.mark.parametrize("name", [b"a\xff", b"\xff", b"a\xfe"])
def test_names_that_are_not_utf_8_clash_by_their_ascii_letters_only(name):
    assert refused(at(name), at(name + b"x"), folds=True) == []
    assert fold_name(b"A\xff") == fold_name(b"a\xff") != fold_name(b"a\xfe")


def test_what_is_below_a_clashing_directory_is_refused_with_it():
    entries = names("A/", "a/", "A/x", "A/B/", "A/b/", "A/B/y", "A/b/y", "a/x", "a/z/", "a/z/x")
    assert refused(*entries, folds=True) == [b"a", b"A/b", b"A/b/y", b"a/x", b"a/z", b"a/z/x"]


def test_a_file_and_a_directory_clash_too():
    assert refused(*names("A", "a/", "a/x"), folds=True) == [b"a", b"a/x"]
    assert refused(*names("A/", "a", "A/x"), folds=True) == [b"a"]


def test_a_refused_name_does_not_stand_in_the_way_of_others():
    assert refused(*names(".P2PSYNC", "a"), folds=True) == [b".P2PSYNC"]


def test_a_deleted_name_clashes_with_nothing():
    entries = [at(b"A", TOMBSTONE), at(b"a"), at(b"aa", TOMBSTONE)]
    assert refused(*entries, folds=True) == []
