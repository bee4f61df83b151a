import pytest

from p2psync.errors import ConfigError, RemoteProtocolError
from p2psync.ids import PeerAddress
from p2psync.wire.compact import encode_ip, encode_peers, find_entry, parse_peers, show_ip, unmapped, without_entry


def test_an_ipv4_peer_has_the_six_bytes_of_bep_23():
    assert encode_peers([PeerAddress("1.2.3.4", 0x1AE1)]) == b"\1\2\3\4\x1a\xe1"


def test_an_ipv6_peer_has_eighteen_bytes():
    entry = encode_peers([PeerAddress("2001:db8::1", 6881)])
    assert entry == bytes.fromhex("20010db8000000000000000000000001" + "1ae1")
    assert parse_peers(entry, entry_bytes=18) == [PeerAddress("2001:db8::1", 6881)]


def test_peers_survive_the_round_trip():
    peers = [PeerAddress("127.0.0.1", 1), PeerAddress("255.255.255.255", 65535)]
    assert parse_peers(encode_peers(peers)) == peers


@pytest.mark.parametrize(("length", "width"), [(5, 6), (7, 6), (6, 18), (19, 18)])
def test_a_list_of_an_impossible_length_is_refused(length, width):
    with pytest.raises(RemoteProtocolError, match="peers"):
        parse_peers(bytes(length), entry_bytes=width)


def test_peers_without_a_port_are_left_out():
    assert parse_peers(b"\1\2\3\4\0\0" + b"\1\2\3\5\0\1") == [PeerAddress("1.2.3.5", 1)]


def test_ipv4_inside_ipv6_is_ipv4():
    mapped = bytes(10) + b"\xff\xff\1\2\3\4"
    assert unmapped(mapped) == b"\1\2\3\4"
    assert encode_ip("::ffff:1.2.3.4") == b"\1\2\3\4"
    assert parse_peers(mapped + b"\0\1", entry_bytes=18) == [PeerAddress("1.2.3.4", 1)]
    assert unmapped(bytes(16)) == bytes(16)


def test_names_are_no_addresses():
    with pytest.raises(ConfigError, match="localhost"):
        encode_ip("localhost")


def test_addresses_can_be_shown():
    assert (show_ip(b"\x7f\0\0\1"), show_ip(bytes(15) + b"\1")) == ("127.0.0.1", "::1")


def test_an_entry_is_found_at_its_place_and_not_across_two():
    entries = b"abcabcabcabc"
    assert find_entry(b"xabcabyyyyyy", b"abcaby") == -1
    assert find_entry(entries, b"abcabc") == 0
    assert find_entry(b"bcabca" + b"bcabcx" + b"abcabc", b"abcabc") == 12


def test_an_entry_is_taken_out_alone():
    assert without_entry(b"aaaaaabbbbbbcccccc", b"bbbbbb") == b"aaaaaacccccc"
    assert without_entry(b"aaaaaa", b"bbbbbb") == b"aaaaaa"
