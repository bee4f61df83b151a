import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2psync.errors import ConfigError
from p2psync.sync.choice import PathChoice


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.mkv", "film.mkv"),
        ("*.mkv", "films/old/film.mkv"),
        ("films", "films"),
        ("films", "films/old/film.mkv"),
        ("films", "more/films/x"),
        ("films/", "films/x"),
        ("/films", "films/x"),
        ("films/*.mkv", "films/a.mkv"),
        ("films/*/a.mkv", "films/old/a.mkv"),
        ("films/**", "films/old/a.mkv"),
        ("films/**/a.mkv", "films/a.mkv"),
        ("films/**/a.mkv", "films/x/y/a.mkv"),
        ("**/a.mkv", "a.mkv"),
        ("./films/a", "films/a"),
        ("part?", "part1"),
        ("part[12]", "part2"),
        ("part[!12]", "part3"),
        ("part[a-c]", "partb"),
        ("a+b(c)", "a+b(c)"),
        ("x[a&&b]", "x&"),
        ("x[\\n]", "x\\"),
        ("[", "["),
        ("ü*", "über"),
        ("*", "anything/at all"),
        ("new\nline", "new\nline/x"),
    ],
)
def test_what_a_pattern_means(pattern, path):
    assert PathChoice([pattern]).holds(path.encode())


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.mkv", "film.mkv2"),
        ("films", "film"),
        ("films", "filmsx/a"),
        ("/films", "more/films/x"),
        ("films/*.mkv", "films/old/a.mkv"),
        ("films/*.mkv", "more/films/a.mkv"),
        ("part?", "part"),
        ("part?", "part/"),
        ("part[!1]", "part1"),
        ("a.b", "axb"),
        ("A", "a"),
    ],
)
def test_what_a_pattern_does_not_mean(pattern, path):
    assert not PathChoice([pattern]).holds(path.encode())


def test_one_of_several_is_enough_and_none_is_no_choice():
    assert PathChoice(["a", "b"]).holds(b"b")
    assert PathChoice(["a"])
    assert not PathChoice()


def test_names_that_are_no_text_are_matched_too():
    assert PathChoice(["*.bin"]).holds(b"\xff\xfe.bin")


@pytest.mark.parametrize("pattern", ["", "/", "./", "../x", "a/../b", "[b-a]"])
def test_what_can_match_nothing_is_refused(pattern):
    with pytest.raises(ConfigError):
        PathChoice([pattern])


@given(st.text(alphabet="ab*?[]!-^&|~\\/.", max_size=12), st.text(alphabet="ab/.]^-", min_size=1, max_size=8))
def test_any_pattern_is_read_or_refused(pattern, path):
    try:
        PathChoice([pattern]).holds(path.encode())
    except ConfigError:
        return
