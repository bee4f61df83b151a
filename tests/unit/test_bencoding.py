import pytest

from p2psync import bencoding
from p2psync.errors import RemoteProtocolError

CANONICAL = [
    (b"i0e", 0),
    (b"i-7e", -7),
    (b"i9223372036854775808e", 2**63),
    (b"0:", b""),
    (b"4:\0\xff:e", b"\0\xff:e"),
    (b"le", []),
    (b"de", {}),
    (b"li1e1:a" + b"l0:e" + b"e", [1, b"a", [b""]]),
    (b"d0:i1e1:ai2e2:aai3e1:bi4ee", {b"": 1, b"a": 2, b"aa": 3, b"b": 4}),
]

NOT_BENCODE = [
    b"",
    b"x",
    b"e",
    b"i5",
    b"ie",
    b"i-e",
    b"i5.0e",
    b"i0x5e",
    b"1",
    b"2:a",
    b"-1:a",
    b"+1:a",
    b"01:a",
    b"l",
    b"li1e",
    b"l-1:ae",
    b"d",
    b"d1:a",
    b"d1:ae",
    b"d1:ai1e",
    b"di1ei1ee",  # a key that is no string
    b"dl0:ei1ee",
    b"d-1:i1ee",
    b"d+1:ai1ee",
    b"i1ei2e",
    b"i1e\n",
    b"\xef\xbb\xbfi1e",
]

NOT_CANONICAL = [
    b"i+5e",
    b"i-0e",
    b"i1_000e",
    b"i5 e",
    b"i 5e",
    b"1_0:aaaaaaaaaa",
    b"1 :a",
    b"d1:bi1e1:ai2ee",  # unsorted
    b"d2:aai1e1:bi2e1:ai3ee",
    b"d1:ai1e1:ai1ee",  # twice
    b"ld1:bi1e1:ai2eee",  # deep inside
]


@pytest.mark.parametrize(("data", "value"), CANONICAL)
def test_canonical_bencode_is_read_and_written_alike(data, value):
    assert bencoding.decode(data) == value
    assert bencoding.encode(value) == data


@pytest.mark.parametrize("data", NOT_BENCODE)
@pytest.mark.parametrize("canonical", [True, False])
def test_what_is_no_bencode_is_refused(data, canonical):
    with pytest.raises(RemoteProtocolError):
        bencoding.decode(data, canonical=canonical)


@pytest.mark.parametrize("data", [b"i05e", b"i-05e", b"i00e", b"i-00e", b"00:", *NOT_CANONICAL])
def test_a_second_spelling_of_a_value_is_refused(data):
    with pytest.raises(RemoteProtocolError):
        bencoding.decode(data)


def test_unsorted_keys_pass_where_the_format_is_not_ours():
    assert bencoding.decode(b"d1:bi1e1:ai2ee", canonical=False) == {b"a": 2, b"b": 1}


@pytest.mark.parametrize("canonical", [True, False])
@pytest.mark.parametrize("data", [b"d1:ai5e-6:e", b"d1:a0:-5:e", b"ld1:ale-5:ee"])
def test_a_key_of_negative_length_does_not_send_the_decoder_round_for_ever(data, canonical):
    with pytest.raises(RemoteProtocolError):
        bencoding.decode(data, canonical=canonical)


@pytest.mark.parametrize("data", [b"l" * 90 + b"e" * 90, b"d1:a" * 90 + b"de" + b"e" * 90])
def test_depth_that_no_message_has_is_still_read(data):
    assert bencoding.encode(bencoding.decode(data)) == data


@pytest.mark.parametrize(
    "data", [b"l" * 500_000, b"l" * 200 + b"e" * 200, b"d1:a" * 200_000, b"d1:a" * 200 + b"de" + b"e" * 200]
)
def test_a_depth_bomb_is_refused(data):
    with pytest.raises(RemoteProtocolError):
        bencoding.decode(data)


def test_an_integer_of_a_million_digits_is_refused():
    with pytest.raises(RemoteProtocolError):
        bencoding.decode(b"i" + b"9" * 1_000_000 + b"e")


def test_a_length_of_a_million_digits_is_refused():
    with pytest.raises(RemoteProtocolError):
        bencoding.decode(b"9" * 1_000_000 + b":")


def fields(**values):
    return bencoding.Fields({key.encode(): value for key, value in values.items()}, of="thing")


@pytest.mark.parametrize("value", [0, b"", []])
def test_fields_are_of_a_dictionary(value):
    with pytest.raises(RemoteProtocolError, match="thing is not a dictionary"):
        bencoding.Fields(value, of="thing")


def test_a_number_within_its_bounds_is_returned():
    assert fields(n=3).number(b"n", low=3, high=3) == 3
    assert fields(n=2**63 - 1).number(b"n") == 2**63 - 1
    assert fields().number(b"n", default=5) == 5


@pytest.mark.parametrize("value", [b"3", [3], {}, 2, 4])
def test_what_is_no_number_within_bounds_is_refused(value):
    with pytest.raises(RemoteProtocolError, match="thing: n must be a number from 3 to 3"):
        fields(n=value).number(b"n", low=3, high=3)


@pytest.mark.parametrize("value", [-1, 2**63])
def test_a_number_fits_63_bits_unless_said_otherwise(value):
    with pytest.raises(RemoteProtocolError):
        fields(n=value).number(b"n")


def test_octets_of_the_right_length_are_returned():
    assert fields(o=b"abcd").octets(b"o", length=4) == b"abcd"
    assert fields(o=b"abcd").octets(b"o", multiple_of=2) == b"abcd"
    assert fields(o=b"").octets(b"o", multiple_of=32) == b""
    assert fields().octets(b"o", default=b"x") == b"x"


@pytest.mark.parametrize("value", [4, [b"abcd"], b"abc", b"abcde", b""])
def test_octets_of_another_length_or_type_are_refused(value):
    with pytest.raises(RemoteProtocolError, match="thing: o"):
        fields(o=value).octets(b"o", length=4)


def test_octets_that_do_not_divide_are_refused():
    with pytest.raises(RemoteProtocolError, match="has 33 bytes"):
        fields(o=bytes(33)).octets(b"o", multiple_of=32)


@pytest.mark.parametrize("value", [1, b"", {}])
def test_what_is_no_list_is_refused(value):
    with pytest.raises(RemoteProtocolError):
        fields(i=value).items(b"i")
    with pytest.raises(RemoteProtocolError):
        fields(i=value).octet_strings(b"i")


@pytest.mark.parametrize("item", [1, [], {}])
def test_a_list_of_byte_strings_holds_nothing_else(item):
    assert fields(i=[b"a", item]).items(b"i") == [b"a", item]
    with pytest.raises(RemoteProtocolError, match="list of byte strings"):
        fields(i=[b"a", item]).octet_strings(b"i")


def test_a_list_of_byte_strings_is_returned():
    assert fields(i=[b"a", b""]).octet_strings(b"i") == [b"a", b""]
    assert fields().octet_strings(b"i", default=[]) == []


@pytest.mark.parametrize("value", [1, b"", []])
def test_what_is_no_dictionary_inside_is_refused(value):
    with pytest.raises(RemoteProtocolError, match="thing: m must be a dictionary"):
        fields(m=value).dictionary(b"m")


def test_a_dictionary_inside_is_read_likewise_and_says_where_it_is():
    assert fields(m={b"a": 1}).dictionary(b"m").number(b"a") == 1
    with pytest.raises(RemoteProtocolError, match="m of thing: b must be a number"):
        fields(m={b"a": 1}).dictionary(b"m").number(b"b")


@pytest.mark.parametrize("ask", ["number", "octets", "items", "octet_strings", "dictionary"])
def test_a_field_that_is_missing_is_refused(ask):
    with pytest.raises(RemoteProtocolError, match="thing: gone"):
        getattr(fields(), ask)(b"gone")


def test_fields_that_are_not_known_are_named_and_refused():
    fields(a=1, b=2).refuse_others({b"a", b"b", b"c"})
    with pytest.raises(RemoteProtocolError, match="thing: b is a field that this version does not know"):
        fields(a=1, b=2).refuse_others({b"a"})


def test_a_refusal_does_not_repeat_a_key_of_any_length():
    with pytest.raises(RemoteProtocolError) as caught:
        bencoding.Fields({b"\xff" * 65_536: 0}, of="thing").refuse_others({b"a"})
    assert len(str(caught.value)) < 300


def test_a_key_says_whether_it_is_there():
    assert b"a" in fields(a=1)
    assert b"b" not in fields(a=1)
