"""`get` into a folder that is not empty: what is right is reused, what is the user's is kept."""

import shutil

import pytest

from tests.e2e.compare import differences
from tests.e2e.program import AS_A_USER, code_of, get, share
from tests.e2e.relay import Relay
from tests.e2e.tree import make_random_file, make_random_tree, size_bytes

MIB = 1 << 20
# Pages, heads and handshakes of a small folder.
CONTROL_BYTES = 512 << 10


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A shared folder of 200 small files and one of 16 MiB, which no test changes: the folder, and its `ready`."""
    folder = tmp_path_factory.mktemp("shared") / "a"
    make_random_tree(folder, 200, seed=1)
    make_random_file(folder / "large", 16 * MIB, seed=2)
    with share(folder) as sharer:
        yield folder, sharer.wait_event("ready")


def kept_contents(folder):
    """Return the contents of every file kept in `.p2psync/versions`."""
    return [path.read_bytes() for path in (folder / ".p2psync/versions").rglob("*") if path.is_file()]


def test_a_full_copy_made_by_hand_is_recognised_and_nothing_travels(shared, tmp_path):
    folder, ready = shared
    shutil.copytree(folder, tmp_path / "b", symlinks=True, ignore=shutil.ignore_patterns(".p2psync"))
    with (
        Relay(ready["listen"]) as relay,
        get(code_of(ready["link"]), tmp_path / "b", "--peer", relay.address) as getter,
    ):
        matched = getter.complete()
        assert relay.passed_bytes < CONTROL_BYTES
    assert matched["reused_bytes"] == ready["bytes"] == size_bytes(folder)
    assert matched["fetched_bytes"] < CONTROL_BYTES
    assert differences(folder, tmp_path / "b") == []
    assert kept_contents(tmp_path / "b") == []


def test_half_a_copy_lets_only_the_other_half_travel(shared, tmp_path):
    folder, ready = shared
    (tmp_path / "b").mkdir()
    shutil.copy2(folder / "large", tmp_path / "b/large")
    small_bytes = ready["bytes"] - 16 * MIB
    with (
        Relay(ready["listen"]) as relay,
        get(code_of(ready["link"]), tmp_path / "b", "--peer", relay.address) as getter,
    ):
        matched = getter.complete()
        assert small_bytes < relay.passed_bytes < small_bytes + CONTROL_BYTES
    assert small_bytes <= matched["fetched_bytes"] < small_bytes + CONTROL_BYTES
    assert differences(folder, tmp_path / "b") == []


def test_contents_under_another_name_are_copied_not_fetched(shared, tmp_path):
    folder, ready = shared
    (tmp_path / "b").mkdir()
    shutil.copyfile(folder / "large", tmp_path / "b/the same thing under my own name")
    with get(ready["link"], tmp_path / "b", prefix=AS_A_USER) as getter:
        assert getter.complete()["fetched_bytes"] < ready["bytes"] - 15 * MIB
    assert differences(folder, tmp_path / "b") == ["'the same thing under my own name' should not be there"]


def test_getting_again_fetches_nothing(shared, tmp_path):
    folder, ready = shared
    with get(ready["link"], tmp_path / "b") as getter:
        getter.complete()
    with get(ready["link"], tmp_path / "b", prefix=AS_A_USER) as getter:
        assert getter.complete()["fetched_bytes"] < CONTROL_BYTES
    assert differences(folder, tmp_path / "b") == []


def test_an_older_version_is_brought_up_to_date_by_what_changed(tmp_path):
    make_random_tree(tmp_path / "a", 200, seed=1)
    make_random_file(tmp_path / "a/large", 32 * MIB, seed=2)
    with share(tmp_path / "a") as sharer, get(sharer.wait_event("ready")["link"], tmp_path / "b") as getter:
        getter.complete()
    large = tmp_path / "a/large"
    large.write_bytes(b"five!" + large.read_bytes())
    (tmp_path / "a/folder 0/file 3").unlink()
    (tmp_path / "a/folder 1/file 31").rename(tmp_path / "a/renamed")
    make_random_file(tmp_path / "a/added/later", MIB, seed=3)
    with share(tmp_path / "a") as sharer, get(sharer.wait_event("ready")["link"], tmp_path / "b") as getter:
        assert MIB <= getter.complete()["fetched_bytes"] < 4 * MIB
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_local_additions_are_reported_and_left_alone(shared, tmp_path):
    folder, ready = shared
    (tmp_path / "b/my folder").mkdir(parents=True)
    (tmp_path / "b/my notes").write_bytes(b"mine")
    (tmp_path / "b/my folder/deeper").write_bytes(b"mine too")
    with get(ready["link"], tmp_path / "b") as getter:
        getter.complete()
        assert "my notes" in getter.told()
    assert (tmp_path / "b/my notes").read_bytes() == b"mine"
    assert (tmp_path / "b/my folder/deeper").read_bytes() == b"mine too"
    assert all("should not be there" in difference for difference in differences(folder, tmp_path / "b"))


def test_exact_moves_local_additions_to_the_versions(shared, tmp_path):
    folder, ready = shared
    (tmp_path / "b/my folder").mkdir(parents=True)
    (tmp_path / "b/my notes").write_bytes(b"mine")
    (tmp_path / "b/my folder/deeper").write_bytes(b"mine too")
    with get(ready["link"], tmp_path / "b", "--exact") as getter:
        getter.complete()
    assert differences(folder, tmp_path / "b") == []
    assert sorted(kept_contents(tmp_path / "b")) == [b"mine", b"mine too"]


def test_a_file_of_the_users_own_that_is_replaced_is_kept(shared, tmp_path):
    folder, ready = shared
    (tmp_path / "b/folder 0").mkdir(parents=True)
    (tmp_path / "b/folder 0/file 0").write_bytes(b"what I wrote under this name")
    with get(ready["link"], tmp_path / "b") as getter:
        getter.complete()
    assert differences(folder, tmp_path / "b") == []
    assert kept_contents(tmp_path / "b") == [b"what I wrote under this name"]


def test_an_edit_made_after_a_get_is_kept_when_the_next_get_replaces_it(shared, tmp_path):
    folder, ready = shared
    with get(ready["link"], tmp_path / "b") as getter:
        getter.complete()
    (tmp_path / "b/folder 0/file 0").write_bytes(b"my edit")
    with get(ready["link"], tmp_path / "b") as getter:
        getter.complete()
    assert differences(folder, tmp_path / "b") == []
    assert kept_contents(tmp_path / "b") == [b"my edit"]


def test_a_file_that_p2psync_wrote_itself_is_replaced_without_a_version(tmp_path):
    make_random_tree(tmp_path / "a", 5, seed=1)
    for content in (b"first", b"second"):
        (tmp_path / "a/changing").write_bytes(content)
        with share(tmp_path / "a") as sharer, get(sharer.wait_event("ready")["link"], tmp_path / "b") as getter:
            getter.complete()
    assert (tmp_path / "b/changing").read_bytes() == b"second"
    assert kept_contents(tmp_path / "b") == []


def test_deleted_at_the_source_is_deleted_where_it_was_got_but_not_the_users_own_beside_it(tmp_path):
    make_random_tree(tmp_path / "a", 40, seed=1)
    with share(tmp_path / "a") as sharer, get(sharer.wait_event("ready")["link"], tmp_path / "b") as getter:
        getter.complete()
    shutil.rmtree(tmp_path / "a/folder 1")
    (tmp_path / "b/folder 1/my own").write_bytes(b"mine")
    with share(tmp_path / "a") as sharer, get(sharer.wait_event("ready")["link"], tmp_path / "b") as getter:
        getter.complete()
    assert [path.name for path in (tmp_path / "b/folder 1").iterdir()] == ["my own"]


def test_a_users_folder_where_a_file_belongs_loses_nothing(shared, tmp_path):
    _, ready = shared
    (tmp_path / "b/large/inner").mkdir(parents=True)
    (tmp_path / "b/large/inner/note").write_bytes(b"in the way")
    with get(ready["link"], tmp_path / "b") as getter:
        getter.wait()
    kept = kept_contents(tmp_path / "b") if (tmp_path / "b/large").is_file() else []
    still_there = (tmp_path / "b/large/inner/note").is_file()
    assert still_there or b"in the way" in kept


def test_a_link_of_the_users_that_leads_outside_is_not_written_through(shared, tmp_path):
    _, ready = shared
    (tmp_path / "outside").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/folder 0").symlink_to(tmp_path / "outside")
    with get(ready["link"], tmp_path / "b") as getter:
        getter.wait()
    assert list((tmp_path / "outside").iterdir()) == []


def test_no_copy_is_left_in_the_state_folder(shared, tmp_path):
    folder, ready = shared
    with get(ready["link"], tmp_path / "b") as getter:
        getter.complete()
    assert size_bytes(tmp_path / "b/.p2psync") < MIB
    assert differences(folder, tmp_path / "b") == []


def test_what_can_no_longer_be_read_is_kept_and_fetched_anew(shared, tmp_path):
    folder, ready = shared
    with get(ready["link"], tmp_path / "b") as getter:
        getter.complete()
    (tmp_path / "b/large").write_bytes(b"edited")
    (tmp_path / "b/large").chmod(0o000)
    with get(ready["link"], tmp_path / "b", prefix=AS_A_USER) as getter:
        assert getter.complete()["displaced"] == 1
    assert differences(folder, tmp_path / "b") == []
    assert kept_contents(tmp_path / "b") == [b"edited"]
