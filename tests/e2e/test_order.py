"""What is fetched first."""

from tests.e2e.compare import differences
from tests.e2e.program import ask, eventually, get, share
from tests.e2e.tree import make_random_file


def test_a_chosen_path_is_complete_long_before_the_rest(tmp_path):
    make_random_file(tmp_path / "a/a/large", 20_000_000, seed=1)
    make_random_file(tmp_path / "a/z/film", 4_000_000, seed=2)
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        with get(link, tmp_path / "b", "--first", "film", "--limit-down", "6M") as getter:
            eventually((tmp_path / "b/z/film").exists, "the film is there")
            assert not (tmp_path / "b/a/large").exists()
            getter.complete()
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_in_sequence_a_staged_file_grows_from_its_start(tmp_path):
    make_random_file(tmp_path / "a/film", 24_000_000, seed=1)
    film = (tmp_path / "a/film").read_bytes()
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        with get(link, tmp_path / "b", "--order", "sequential", "--limit-down", "6M") as getter:
            getter.wait_event("progress", state="fetching")
            eventually(lambda: staged(tmp_path / "b")[:8_000_000] == film[:8_000_000], "the first third is there")
            assert staged(tmp_path / "b")[-4_000_000:] == bytes(4_000_000)
            getter.complete()
    assert differences(tmp_path / "a", tmp_path / "b") == []


def staged(folder):
    """Return what the one staged file holds by now, or nothing."""
    files = list((folder / ".p2psync/staging").iterdir())
    return files[0].read_bytes() if files else b""


def test_what_is_no_order_or_pattern_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        for options, word in (
            (["--order", "random"], "order"),
            (["--first", ""], "pattern"),
            (["--first", "../x"], "pattern"),
        ):
            told = ask("get", link, tmp_path / "b", *options)
            assert told.returncode == 2
            assert f"is no {word}" in told.stderr
