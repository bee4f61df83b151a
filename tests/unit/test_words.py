import pytest

from p2psync.words import counted


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [(0, "peer", "0 peers"), (1, "peer", "1 peer"), (2, "address", "2 addresses"), (12345, "path", "12,345 paths")],
)
def test_one_is_one_and_all_others_are_several(number, noun, words):
    assert counted(number, noun) == words
