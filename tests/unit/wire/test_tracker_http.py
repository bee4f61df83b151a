import pytest

from p2psync.bencoding import decode, encode
from p2psync.errors import RemoteProtocolError
from p2psync.ids import InfoHash, PeerAddress, PeerId
from p2psync.wire.announce import DEFAULT_NUMWANT, UNKNOWN_LEFT, Announce, Event, SwarmCounts, TrackerRefusalError
from p2psync.wire.tracker_http import (
    MAX_QUERY_BYTES,
    encode_announce_answer,
    encode_announce_query,
    encode_failure,
    encode_peer_list,
    encode_scrape,
    parse_announce_answer,
    parse_announce_query,
    parse_scrape_query,
)

HASH = InfoHash(b"\x01%&=\xff\x00hash of 20 byt")
ID = PeerId(b"-LT2110-\xff\x00%&=+ abcde"[:20])
BASE = b"info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=6881"

# As captured from the clients (peer ids and hashes changed).
LIBTORRENT = (
    BASE + b"&uploaded=0&downloaded=0&left=1048576&corrupt=0&key=F259856B&event=started&numwant=200&compact=1"
    b"&no_peer_id=1&supportcrypto=1&redundant=0"
)
ARIA2 = (
    b"info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&uploaded=0&downloaded=0&left=5&compact=1"
    b"&key=%C6%1Fl%9A%00%F3Q%8E&numwant=50&no_peer_id=1&port=6881&event=started&supportcrypto=1"
)
TRANSMISSION = BASE + b"&uploaded=0&downloaded=0&left=0&numwant=80&key=1E8BE7CC&compact=1&supportcrypto=1&event=paused"


# --- queries ---


def test_what_libtorrent_sends_is_understood():
    announce = parse_announce_query(LIBTORRENT)
    assert announce == Announce(
        b"a" * 20, b"b" * 20, 6881, 0, 0, 1048576, Event.STARTED, 200, 0xF259856B, True, True, b""
    )


def test_what_aria2_sends_is_understood_though_its_key_is_raw_bytes():
    announce = parse_announce_query(ARIA2)
    assert (announce.numwant, announce.left, announce.event) == (50, 5, Event.STARTED)
    assert 0 < announce.key < 2**32
    assert announce.key != parse_announce_query(ARIA2.replace(b"%8E", b"%8F")).key


def test_a_partial_seed_of_transmission_is_understood():
    announce = parse_announce_query(TRANSMISSION)
    assert (announce.event, announce.left, announce.key) == (Event.PAUSED, 0, 0x1E8BE7CC)


def test_missing_optional_parameters_have_defaults():
    announce = parse_announce_query(BASE)
    assert announce == Announce(b"a" * 20, b"b" * 20, 6881)
    assert (announce.left, announce.numwant, announce.event, announce.compact) == (
        UNKNOWN_LEFT,
        DEFAULT_NUMWANT,
        Event.NONE,
        True,
    )


def test_our_own_query_is_read_as_it_was_meant():
    announce = Announce(HASH, ID, 1, 2, 3, 4, Event.COMPLETED, 5, 0xFFFFFFFF, no_peer_id=True)
    assert parse_announce_query(encode_announce_query(announce, tracker_id=b"&x=").encode()) == announce


def test_a_magnet_without_metadata_is_left_unknown():
    query = encode_announce_query(Announce(HASH, ID, 1, left=UNKNOWN_LEFT))
    assert parse_announce_query(query.encode()).left > 2**62


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ((b"aaaaaaaaaaaaaaaaaaaa", b"a"), "info_hash"),
        ((b"aaaaaaaaaaaaaaaaaaaa", b"a" * 32), "info_hash"),  # a v2 hash: clients cut it to 20 bytes themselves
        ((b"info_hash=aaaaaaaaaaaaaaaaaaaa&", b""), "info_hash"),
        ((b"port", b"info_hash=aaaaaaaaaaaaaaaaaaaa&port"), "info_hash"),
        ((b"bbbbbbbbbbbbbbbbbbbb", b"b" * 21), "peer_id"),
        ((b"bbbbbbbbbbbbbbbbbbbb", b"%zz" * 7), "peer_id"),
        ((b"bbbbbbbbbbbbbbbbbbbb", b"%%4" * 40), "peer_id"),
        ((b"bbbbbbbbbbbbbbbbbbbb", b"%4 " * 40), "peer_id"),
        ((b"bbbbbbbbbbbbbbbbbbbb", b"%\xff4" * 20), "peer_id"),
        ((b"port=6881", b"port=0"), "port"),
        ((b"port=6881", b"port=65536"), "port"),
        ((b"port=6881", b"port=-1"), "port"),
        ((b"port=6881", b"port=6881x"), "port"),
        ((b"port=6881", b"port="), "port"),
        ((b"&port=6881", b""), "port"),
        ((b"port=6881", b"port=6881&left=many"), "left"),
        ((b"port=6881", b"port=6881&left=1e5"), "left"),
        ((b"port=6881", b"port=6881&uploaded=" + b"9" * 21), "uploaded"),
        ((b"port=6881", b"port=6881&downloaded=+1"), "downloaded"),
        ((b"port=6881", b"port=6881&numwant=all"), "numwant"),
        ((b"port=6881", b"port=6881&left=" + "٣".encode()), "left"),
    ],
)
def test_a_wrong_parameter_is_named(change, fault):
    with pytest.raises(RemoteProtocolError, match=fault):
        parse_announce_query(BASE.replace(*change))


def test_a_query_without_end_is_refused():
    with pytest.raises(RemoteProtocolError, match="longer"):
        parse_announce_query(BASE + b"&x=" + b"y" * MAX_QUERY_BYTES)


@pytest.mark.parametrize("event", [b"", b"empty", b"Started", b"nonsense", b"%00"])
def test_unknown_events_are_none(event):
    assert parse_announce_query(BASE + b"&event=" + event).event == Event.NONE


@pytest.mark.parametrize("numwant", [b"-1", b"-2147483648", b""])
def test_a_negative_numwant_leaves_the_number_to_the_tracker(numwant):
    assert parse_announce_query(BASE + b"&numwant=" + numwant).numwant == DEFAULT_NUMWANT


def test_a_huge_numwant_stays_a_number_of_31_bits():
    assert parse_announce_query(BASE + b"&numwant=18446744073709551615").numwant == 2**31


def test_num_want_is_numwant():
    assert parse_announce_query(BASE + b"&num_want=7").numwant == 7


def test_an_address_is_claimed_as_text_and_a_name_is_none():
    assert parse_announce_query(BASE + b"&ip=10.0.0.1").claimed_ip == b"\x0a\0\0\1"
    assert parse_announce_query(BASE + b"&ip=%3A%3A1").claimed_ip == bytes(15) + b"\1"
    for nonsense in (b"localhost", b"10.0.0", b"", b"%ff", b"1.2.3.4.5"):
        assert parse_announce_query(BASE + b"&ip=" + nonsense).claimed_ip == b""


def test_a_scrape_names_several_hashes():
    query = b"info_hash=" + b"a" * 20 + b"&x=1&info_hash=" + b"%00" * 20
    assert parse_scrape_query(query, limit=74) == [b"a" * 20, bytes(20)]
    assert parse_scrape_query(query, limit=1) == [b"a" * 20]
    assert parse_scrape_query(b"", limit=74) == []


def test_a_scrape_of_no_hash_is_refused():
    with pytest.raises(RemoteProtocolError, match="info_hash"):
        parse_scrape_query(b"info_hash=short", limit=74)


# --- answers, both ways ---


def answer(**changes):
    fields = {"interval_s": 1800, "min_interval_s": 60, "external_ip": b"\1\2\3\4"} | changes
    return encode_announce_answer(SwarmCounts(3, 5, 4, 4), fields.pop("peers", b""), **fields)


def test_an_answer_is_the_canonical_encoding_of_its_fields():
    assert decode(answer(peers=b"abcdef", warning="slow \N{SNOWMAN}")) == {
        b"complete": 3,
        b"downloaded": 5,
        b"external ip": b"\1\2\3\4",
        b"incomplete": 4,
        b"interval": 1800,
        b"min interval": 60,
        b"peers": b"abcdef",
        b"warning message": "slow \N{SNOWMAN}".encode(),
    }


def test_peers_is_there_even_if_there_are_none():
    assert decode(answer())[b"peers"] == b""


def test_an_ipv6_client_gets_peers6_and_an_empty_peers():
    fields = decode(answer(external_ip=bytes(16), peers=b"x" * 18))
    assert (fields[b"peers"], fields[b"peers6"]) == (b"", b"x" * 18)


def test_an_ipv4_client_gets_no_peers6():
    assert b"peers6" not in decode(answer(peers=b"x" * 18))


def test_a_list_of_dictionaries_has_addresses_as_text():
    listed = encode_peer_list(b"\1\2\3\4\x1a\xe1" + b"\1\2\3\5\0\1", b"A" * 20 + b"B" * 20)
    fields = decode(answer(peers=b"unused", peer_list=listed))
    assert fields[b"peers"] == [
        {b"ip": b"1.2.3.4", b"peer id": b"A" * 20, b"port": 6881},
        {b"ip": b"1.2.3.5", b"peer id": b"B" * 20, b"port": 1},
    ]
    assert all(b"peer id" not in peer for peer in decode(encode_peer_list(b"\1\2\3\4\x1a\xe1")))
    assert decode(encode_peer_list(bytes(15) + b"\1\x1a\xe1", entry_bytes=18)) == [{b"ip": b"::1", b"port": 6881}]


def test_our_answer_is_read_as_it_was_meant():
    read = parse_announce_answer(answer(peers=b"\1\2\3\4\x1a\xe1", warning="w"))
    assert read.peers == (PeerAddress("1.2.3.4", 6881),)
    assert (read.interval_s, read.min_interval_s, read.complete, read.incomplete) == (1800, 60, 3, 4)
    assert (read.warning, read.external_ip) == ("w", b"\1\2\3\4")


def test_listed_peers_are_read_and_names_left_out():
    body = encode({b"interval": 9, b"peers": [{b"ip": b"::1", b"port": 5}, {b"ip": b"tracker.example", b"port": 6}]})
    assert parse_announce_answer(body).peers == (PeerAddress("::1", 5),)


def test_both_families_are_read():
    body = encode({b"interval": 9, b"peers": b"\1\2\3\4\0\1", b"peers6": bytes(15) + b"\1\0\2"})
    assert parse_announce_answer(body).peers == (PeerAddress("1.2.3.4", 1), PeerAddress("::1", 2))


def test_answers_of_other_trackers_may_be_unsorted_and_incomplete():
    read = parse_announce_answer(b"d5:peers0:8:intervali7ee")
    assert (read.interval_s, read.peers) == (7, ())
    assert parse_announce_answer(b"de").interval_s == 1800


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"le",
        b"i1e",
        b"d8:intervali1e",
        b"d8:intervali-1ee",
        b"d8:interval1:xe",
        b"d5:peers5:abcdee",
        b"d6:peers66:abcdefe",
        b"d5:peersi1ee",
        b"d5:peersl1:xee",
        b"d5:peersld2:ip9:127.0.0.1eee",
        b"d5:peersld2:ip9:127.0.0.14:porti0eeee",
        b"d" * 100_000,
        b"l" * 100_000 + b"e" * 100_000,
        b"d15:warning messagei1ee",
    ],
)
def test_what_is_no_answer_is_refused(body):
    with pytest.raises(RemoteProtocolError):
        parse_announce_answer(body)


def test_a_failure_is_told_with_its_reason():
    with pytest.raises(TrackerRefusalError, match="not this one") as caught:
        parse_announce_answer(encode_failure("not this one"))
    assert caught.value.retry_after_s == 0


@pytest.mark.parametrize(("minutes", "seconds"), [(5, 300), (None, None)])
def test_a_failure_says_when_to_come_again(minutes, seconds):
    with pytest.raises(TrackerRefusalError) as caught:
        parse_announce_answer(encode_failure("no", retry_in_min=minutes))
    assert caught.value.retry_after_s == seconds


@pytest.mark.parametrize("retry", [b"i-5e", b"5:later", b"i99999999999999999999e"])
def test_nonsense_about_when_to_come_again_is_no_reason_to_fail(retry):
    with pytest.raises(TrackerRefusalError) as caught:
        parse_announce_answer(b"d14:failure reason2:no8:retry in" + retry + b"e")
    assert caught.value.retry_after_s == 0


def test_a_strangers_sentence_cannot_move_the_cursor_or_fill_the_screen():
    with pytest.raises(TrackerRefusalError) as caught:
        parse_announce_answer(encode({b"failure reason": b"\x1b[2J\r\nowned \xff" + b"x" * 1000}))
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) <= 200


def test_a_scrape_answers_four_numbers_a_swarm_in_order_of_the_hashes():
    body = encode_scrape({InfoHash(b"b" * 20): SwarmCounts(1, 2, 3, 4), InfoHash(b"a" * 20): SwarmCounts()})
    assert decode(body)[b"files"] == {
        b"a" * 20: {b"complete": 0, b"downloaded": 0, b"downloaders": 0, b"incomplete": 0},
        b"b" * 20: {b"complete": 1, b"downloaded": 2, b"downloaders": 4, b"incomplete": 3},
    }
