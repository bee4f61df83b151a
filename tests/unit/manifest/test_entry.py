import pytest

from p2psync.errors import PathError
from p2psync.manifest.entry import Entry, Kind, entry_key, join_path, path_of_key, split_key


@pytest.mark.parametrize(
    ("parent", "name", "path"), [(b"", b"a", b"a"), (b"a", b"b", b"a/b"), (b"a/b", b"\xff \n", b"a/b/\xff \n")]
)
def test_parent_and_name_make_path_and_key(parent, name, path):
    entry = Entry(parent, name, Kind.FILE)
    assert entry.path == join_path(parent, name) == path
    assert entry.key == entry_key(parent, name) == parent + b"\0" + name
    assert split_key(entry.key) == (parent, name)
    assert path_of_key(entry.key) == path


@pytest.mark.parametrize("key", [b"", b"a", b"a\0b\0", b"\0\0", b"a\0b\0c"])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(PathError):
        split_key(key)


def test_keys_order_by_directory_then_name_with_a_directory_before_what_it_holds():
    pairs = [(b"", b"a"), (b"", b"a.b"), (b"", b"b"), (b"a", b"z"), (b"a.b", b"a"), (b"a/b", b"c"), (b"b", b"a")]
    keys = [entry_key(*pair) for pair in pairs]
    assert sorted(keys) == [entry_key(*pair) for pair in sorted(pairs)]
    assert entry_key(b"", b"a") < entry_key(b"a", b"\1")
    assert entry_key(b"a", b"b") < entry_key(b"a/b", b"\1")
    assert entry_key(b"a", b"\xff") < entry_key(b"a\1", b"\1")


def test_the_numbers_of_kinds_are_fixed():
    assert [kind.name for kind in sorted(Kind)] == ["FILE", "DIRECTORY", "SYMLINK", "TOMBSTONE", "CONTINUATION"]
    assert [kind.value for kind in sorted(Kind)] == [0, 1, 2, 3, 4]
