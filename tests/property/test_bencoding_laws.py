import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from p2psync import bencoding
from p2psync.errors import RemoteProtocolError

values = st.recursive(
    st.integers() | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.binary(max_size=5), inner, max_size=5),
    max_leaves=30,
)
near_bencode = st.lists(
    st.sampled_from(
        [b"d", b"l", b"e", b"i", b":", b"-", b"+", b"_", b" ", b"0", b"1", b"2", b"12", b"a", b"i5e", b"1:a"]
    ),
    max_size=30,
).map(b"".join)


@given(values)
def test_what_was_encoded_decodes_to_the_same_value_and_the_same_bytes(value):
    data = bencoding.encode(value)
    assert bencoding.decode(data) == value
    assert bencoding.encode(bencoding.decode(data)) == data


@given(st.binary() | near_bencode)
@example(b"d1:ai5e-6:e")
def test_any_bytes_are_the_one_encoding_of_a_value_or_are_refused(data):
    try:
        value = bencoding.decode(data)
    except RemoteProtocolError:
        return
    assert bencoding.encode(value) == data


@given(st.binary() | near_bencode)
def test_any_bytes_of_other_formats_are_read_or_refused(data):
    try:
        bencoding.decode(data, canonical=False)
    except RemoteProtocolError:
        return


@given(values, st.data())
def test_no_byte_can_be_lost_from_the_end(value, data):
    encoded = bencoding.encode(value)
    with pytest.raises(RemoteProtocolError):
        bencoding.decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
