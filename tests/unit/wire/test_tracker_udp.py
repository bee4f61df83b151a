import pytest

from p2psync.errors import RemoteProtocolError
from p2psync.ids import InfoHash, PeerAddress, PeerId
from p2psync.wire import tracker_udp as udp
from p2psync.wire.announce import Announce, Event, SwarmCounts, TrackerRefusalError

HASH, ID, CID, TX = InfoHash(b"h" * 20), PeerId(b"p" * 20), b"connect!", b"tx-1"
ANNOUNCE = Announce(HASH, ID, 6881, 1, 2, 3, Event.STARTED, 200, 0xF259856B)

# The packet of BEP 15, field by field.
GOLDEN = (
    CID + b"\0\0\0\1" + TX + HASH + ID
    + (2).to_bytes(8, "big") + (3).to_bytes(8, "big") + (1).to_bytes(8, "big")
    + b"\0\0\0\2" + b"\0\0\0\0" + bytes.fromhex("f259856b") + (200).to_bytes(4, "big") + b"\x1a\xe1"
)  # fmt: skip


def test_the_magic_number_is_that_of_the_bep():
    assert int.from_bytes(udp.MAGIC, "big") == 0x41727101980


def test_an_announce_has_the_98_bytes_of_the_bep():
    assert udp.encode_announce(CID, TX, ANNOUNCE) == GOLDEN
    assert len(GOLDEN) == 98


def test_an_announce_is_read_as_it_was_meant():
    assert udp.parse_announce(GOLDEN) == ANNOUNCE
    assert udp.split_head(GOLDEN) == (udp.ANNOUNCE, CID, TX)
    assert udp.parse_announce(GOLDEN + b"anything") == ANNOUNCE


def test_an_address_may_be_claimed():
    claiming = ANNOUNCE._replace(claimed_ip=b"\x0a\0\0\1")
    assert udp.encode_announce(CID, TX, claiming) == GOLDEN[:84] + b"\x0a\0\0\1" + GOLDEN[88:]
    assert udp.parse_announce(udp.encode_announce(CID, TX, claiming)) == claiming
    six = ANNOUNCE._replace(claimed_ip=bytes(15) + b"\1")  # there is no room for it
    assert udp.encode_announce(CID, TX, six) == GOLDEN


def test_numwant_is_signed():
    assert udp.parse_announce(GOLDEN[:92] + b"\xff" * 4 + GOLDEN[96:]).numwant == -1


def test_unknown_events_are_kept_for_the_service_to_judge():
    assert udp.parse_announce(GOLDEN[:83] + b"\4" + GOLDEN[84:]).event == Event.PAUSED
    assert udp.parse_announce(GOLDEN[:80] + b"\xff" * 4 + GOLDEN[84:]).event == 2**32 - 1


@pytest.mark.parametrize("length", [16, 97])
def test_a_short_announce_is_refused(length):
    with pytest.raises(RemoteProtocolError, match="few bytes"):
        udp.parse_announce(GOLDEN[:length])


@pytest.mark.parametrize("length", [0, 8, 15])
def test_a_packet_without_a_head_is_refused(length):
    with pytest.raises(RemoteProtocolError):
        udp.split_head(GOLDEN[:length])


def test_the_magic_number_stands_where_a_connection_id_would():
    assert udp.split_head(udp.encode_connect(TX)) == (udp.CONNECT, udp.MAGIC, TX)


def test_a_scrape_is_cut_at_74_hashes_and_at_the_last_whole_one():
    hashes = [InfoHash(bytes([number]) * 20) for number in range(80)]
    packet = CID + b"\0\0\0\2" + TX + b"".join(hashes)
    assert udp.parse_scrape(packet) == hashes[:74]
    assert udp.parse_scrape(packet[:-61]) == hashes[:74]
    assert udp.parse_scrape(packet[: 16 + 39]) == hashes[:1]
    assert udp.parse_scrape(packet[:20]) == []


# --- BEP 41 ---


def test_the_path_travels_as_libtorrent_sends_it():
    assert udp.encode_announce(CID, TX, ANNOUNCE, url_data=b"/announce")[98:] == b"\2\x09/announce"
    assert udp.parse_url_data(b"\2\x09/announce") == b"/announce"


@pytest.mark.parametrize(
    ("path", "key"),
    [(b"/k3y/announce", b"k3y"), (b"/announce", b""), (b"/a/k3y/announce?x=/no/", b"k3y"), (b"", b""), (b"k", b"")],
)
def test_the_path_may_hold_a_key(path, key):
    packet = udp.encode_announce(CID, TX, ANNOUNCE, url_data=path)
    assert udp.parse_announce(packet) == ANNOUNCE._replace(access_key=key)


def test_long_paths_are_cut_and_joined():
    path = bytes(range(1, 256)) * 3
    options = udp.encode_announce(CID, TX, ANNOUNCE, url_data=path)[98:]
    assert udp.parse_url_data(options) == path
    assert len(options) == len(path) + 6


@pytest.mark.parametrize(
    ("options", "path"),
    [
        (b"", b""),
        (b"\0\2\1x", b""),  # the end comes first
        (b"\1\1\2\1x", b"x"),
        (b"\7\2zz\2\1x", b"x"),  # what is not known is skipped
        (b"\2\1x\0\2\1y", b"x"),
        (b"\2\1x\2\5y", b"x"),  # cut short
        (b"\2", b""),
        (b"\7\xff", b""),
        (b"\2\0\2\1x", b"x"),
    ],
)
def test_options_are_read_as_far_as_they_can_be(options, path):
    assert udp.parse_url_data(options) == path


# --- answers ---


def test_a_connect_answer_is_as_long_as_its_question():
    answer = udp.encode_connect_answer(TX, CID)
    assert len(answer) == len(udp.encode_connect(TX)) == 16
    assert udp.parse_connect_answer(answer, TX) == CID


def test_an_announce_answer_is_read_as_it_was_meant():
    packet = udp.encode_announce_answer(TX, 1800, SwarmCounts(3, 9, 4, 4), b"\1\2\3\4\x1a\xe1")
    assert packet[:20] == b"\0\0\0\1" + TX + b"\0\0\7\x08" + b"\0\0\0\4" + b"\0\0\0\3"
    answer = udp.parse_announce_answer(packet, TX)
    assert (answer.interval_s, answer.complete, answer.incomplete) == (1800, 3, 4)
    assert answer.peers == (PeerAddress("1.2.3.4", 6881),)


def test_the_family_of_the_socket_decides_how_entries_are_read():
    packet = udp.encode_announce_answer(TX, 1, SwarmCounts(), bytes(15) + b"\1\0\5")
    assert udp.parse_announce_answer(packet, TX, entry_bytes=18).peers == (PeerAddress("::1", 5),)
    with pytest.raises(RemoteProtocolError):
        udp.parse_announce_answer(packet[:-1], TX, entry_bytes=18)


def test_a_scrape_answer_has_seeders_completed_and_leechers_of_each_as_in_the_bep():
    counts = [SwarmCounts(complete=1, downloaded=2, incomplete=3), SwarmCounts(4, 5, 6)]
    numbers = b"".join(number.to_bytes(4, "big") for number in range(1, 7))
    assert udp.encode_scrape_answer(TX, counts) == b"\0\0\0\2" + TX + numbers


@pytest.mark.parametrize("parse", [udp.parse_connect_answer, udp.parse_announce_answer])
def test_answers_to_another_transaction_or_of_another_kind_are_not_ours(parse):
    assert parse(b"\0\0\0\x07" + TX + bytes(12), TX) is None
    for action in range(4):
        assert parse(bytes([0, 0, 0, action]) + b"tx-2" + bytes(12), TX) is None
    assert parse(b"", TX) is None


@pytest.mark.parametrize("parse", [udp.parse_connect_answer, udp.parse_announce_answer])
def test_an_answer_cut_short_is_none(parse):
    action = b"\0\0\0\0" if parse is udp.parse_connect_answer else b"\0\0\0\1"
    assert parse(action + TX + b"\0" * 7, TX) is None


@pytest.mark.parametrize("parse", [udp.parse_connect_answer, udp.parse_announce_answer])
def test_an_error_is_a_refusal_with_its_text(parse):
    with pytest.raises(TrackerRefusalError, match="go away"):
        parse(udp.encode_error(TX, "go away"), TX)
    with pytest.raises(TrackerRefusalError, match="no reason"):
        parse(udp.encode_error(TX, ""), TX)


def test_an_answer_fits_into_a_packet_that_no_network_cuts():
    assert udp.max_entries(6) == 196
    assert udp.max_entries(18) == 65
