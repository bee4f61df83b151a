import pytest

from p2psync.errors import RemoteProtocolError
from p2psync.ids import DeviceId
from p2psync.manifest.version import bump, encode_version, parse_version

A, B = b"a" * 8, b"b" * 8
ONE, TWO, MOST = (1).to_bytes(8, "big"), (2).to_bytes(8, "big"), b"\xff" * 8


@pytest.mark.parametrize(
    ("version", "packed"),
    [({}, b""), ({A: 1}, A + ONE), ({B: 2, A: 1}, A + ONE + B + TWO), ({A: 2**64 - 1}, A + MOST)],
)
def test_a_version_vector_is_packed_by_ascending_device(version, packed):
    assert encode_version(version) == packed
    assert parse_version(packed) == version


@pytest.mark.parametrize(
    "packed",
    [
        A,
        A + ONE[:-1],
        A + ONE + b"\0",
        B + ONE + A + ONE,  # descending
        A + ONE + A + ONE,  # twice
        A + ONE + A + TWO,
        A + bytes(8),  # a change that never was
        A + ONE + B + bytes(8),
    ],
)
def test_any_other_form_is_refused(packed):
    with pytest.raises(RemoteProtocolError):
        parse_version(packed)


def test_a_change_counts_for_its_device_alone():
    device = DeviceId(A + b"the rest of the id, not kept")
    assert bump({}, device) == {A: 1}
    before = {A: 1, B: 5}
    assert bump(before, device) == {A: 2, B: 5}
    assert before == {A: 1, B: 5}
