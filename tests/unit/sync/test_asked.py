import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2psync.errors import ConfigError
from p2psync.manifest.entry import Kind, entry_key
from p2psync.sync.asked import AskedPath, KeySpans, overlaps, read_asked, readable_end, within


def key(path):
    parent, _, name = path.rpartition(b"/")
    return entry_key(parent, name)


@pytest.mark.parametrize(
    ("text", "path"),
    [("a", b"a"), ("./a/b/", b"a/b"), ("a//b", b"a/b"), ("ä", "ä".encode()), ("\udcff", b"\xff"), ("*", b"*")],
)
def test_a_path_is_read_as_people_write_it(text, path):
    assert read_asked(text).path == path


@pytest.mark.parametrize("text", ["", "/", ".", "/a", "..", "a/../b", "a\0b", "\ud800"])
def test_what_is_no_path_of_the_folder_is_refused(text):
    with pytest.raises(ConfigError, match="no path inside the folder"):
        read_asked(text)


@pytest.mark.parametrize(("offset", "count"), [(-1, None), (0, 0), (5, -5)])
def test_a_place_that_is_none_is_refused(offset, count):
    with pytest.raises(ConfigError, match="counted in bytes"):
        read_asked("a", offset, count)


def test_a_directory_holds_all_below_it_and_nothing_else():
    spans = AskedPath(b"a/b").spans(Kind.DIRECTORY)
    assert spans == sorted(spans)
    for path in (b"a/b", b"a/b/c", b"a/b/c/d", b"a/b/\xff"):
        assert within(spans, key(path))
    for path in (b"a", b"a/b!", b"a/b!/c", b"a/b0", b"a/bc/d", b"a/a/b", b"b", b"a/b-/c"):
        assert not within(spans, key(path)), path


def test_a_file_is_one_key_and_its_directories_are_the_others():
    asked = AskedPath(b"a/b/c")
    assert within(asked.spans(Kind.FILE), key(b"a/b/c"))
    assert not within(asked.spans(Kind.FILE), key(b"a/b/c/d"))
    assert [first for first, _ in asked.ancestors()] == [key(b"a"), key(b"a/b")]


def test_what_is_waited_for_ends_with_the_file():
    assert [AskedPath(b"a", 10, count).end(100) for count in (None, 20, 500)] == [100, 30, 100]


@pytest.mark.parametrize(
    ("offset", "have", "end"),
    [(0, "###", 600), (0, ".##", 0), (150, "#.#", 150), (50, "#.#", 100), (100, ".##", 600), (600, "...", 600)],
)
def test_a_file_can_be_read_up_to_the_first_gap(offset, have, end):
    offsets = [0, 100, 300, 600]
    assert readable_end(offsets, lambda slot: have[slot] == "#", offset) == end


def test_an_empty_file_has_nothing_to_wait_for():
    assert readable_end([0], lambda slot: False, 0) == 0


KEYS = st.binary(min_size=1, max_size=2)


@given(st.lists(st.tuples(KEYS, st.none() | KEYS)), st.lists(KEYS, min_size=1))
def test_a_set_of_spans_holds_what_one_of_them_holds(spans, keys):
    spans = [(first, end) for first, end in spans if end is None or first < end]
    random.Random(len(keys)).shuffle(spans)
    joined = KeySpans()
    for first, end in spans:
        joined.add(first, end)
    for each in keys:
        assert joined.holds(each) == within(spans, each)


@given(st.lists(st.tuples(KEYS, st.none() | KEYS)), KEYS, st.none() | KEYS, KEYS)
def test_overlaps_are_what_lies_in_both(spans, first, end, each):
    spans = [span for span in spans if span[1] is None or span[0] < span[1]]
    assert within(overlaps(spans, first, end), each) == (within(spans, each) and within([(first, end)], each))
