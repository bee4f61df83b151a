"""The keys that a folder's state directory keeps: what cannot be read or written is said."""

import pytest

from p2psync.errors import ConfigError, StoreError
from p2psync.node.identity import own_folder
from tests.unit.sync.mounts import mounted_disk


def test_a_folder_keeps_who_it_is(tmp_path):
    first = own_folder(tmp_path)
    again = own_folder(tmp_path)
    assert (first.keys, first.device) == (again.keys, again.device)


@pytest.mark.parametrize("name", ["link", "device.key"])
def test_a_directory_in_the_place_of_keys_is_named(name, tmp_path):
    own_folder(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(StoreError, match=name):
        own_folder(tmp_path)


@pytest.mark.parametrize("kept", [(), ("link",)])
def test_keys_that_a_full_disk_does_not_take_are_said_and_made_once_there_is_room(kept, tmp_path):
    own_folder(tmp_path)
    with mounted_disk(tmp_path / "disk", "64k"):
        state = tmp_path / "disk"
        for name in kept:
            (state / name).write_bytes((tmp_path / name).read_bytes())
        filler = state / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(bytes(1 << 20))
        with pytest.raises(StoreError, match="make room"):
            own_folder(state)
        filler.unlink()
        own_folder(state)


def test_damaged_keys_are_not_replaced(tmp_path):
    own_folder(tmp_path)
    (tmp_path / "link").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="damaged"):
        own_folder(tmp_path)
    assert (tmp_path / "link").read_bytes() == b"\xff\xfe"
