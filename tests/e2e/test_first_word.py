"""`listening` is the first event of every command that listens, whatever else there is to say."""

from tests.e2e.program import follow, share


def test_that_an_index_was_damaged_is_said_after_it(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").write_bytes(b"content")
    with share(tmp_path / "a") as sharer:
        link = sharer.wait_event("ready")["link"]
        with follow(link, tmp_path / "b") as follower:
            follower.wait_event("matched")
            follower.interrupt()
            assert follower.wait() == 130
        sharer.interrupt()
        assert sharer.wait() == 130
    for folder in ("a", "b"):
        for left in (tmp_path / folder / ".p2psync").glob("index.sqlite*"):
            left.write_bytes(b"no database at all" * 1000)
    with share(tmp_path / "a") as sharer, follow(link, tmp_path / "b") as follower:
        for program in (sharer, follower):
            note = program.wait_event("note")
            assert "damaged" in note["message"]
            assert program.events[0]["event"] == "listening"
        assert sharer.wait_event("ready")["link"].partition("?")[0] == link.partition("?")[0]
