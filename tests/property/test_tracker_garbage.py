"""Whatever a stranger sends, the tracker and its client bear it: the targets of `./scripts/fuzz`, with Hypothesis."""

from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2psync.errors import RemoteProtocolError
from p2psync.wire import tracker_udp
from p2psync.wire.announce import Announce
from p2psync.wire.tracker_http import parse_announce_query
from scripts.fuzzing.targets import IDS, IP4, SEEDS, SERVICE, TARGETS, now_

VALUES = st.one_of(
    st.binary(max_size=25),
    st.integers(-(2**70), 2**70).map(lambda number: b"%d" % number),
    st.sampled_from([b"started", b"stopped", b"completed", b"paused", b"%41" * 20, b"a" * 20, b"1", b"0", b""]),
)
NAMES = st.sampled_from(
    [b"info_hash", b"peer_id", b"port", b"left", b"event", b"numwant", b"key", b"ip", b"compact", b"x"]
)


@st.composite
def mutated(draw, seeds):
    """A seed with a few bytes changed, cut out, doubled or put in."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 8))
        data[at : at + length] = draw(st.one_of(st.binary(max_size=8), st.just(bytes(data[at : at + 2 * length]))))
    return bytes(data)


@pytest.mark.parametrize("name", sorted(TARGETS))
@given(data=st.data())
@settings(max_examples=300)
def test_garbage_is_borne(name, data):
    TARGETS[name](data.draw(st.one_of(st.binary(max_size=600), mutated(SEEDS[name]))))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=15))
@settings(max_examples=300)
def test_queries_of_any_parameters_are_borne(pairs):
    TARGETS["http_announce"](b"&".join(name + b"=" + value for name, value in pairs))


ANNOUNCES = st.builds(
    Announce,
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=20, max_size=20),
    st.integers(0, 2**16 - 1),
    *[st.integers(0, 2**64 - 1)] * 3,
    st.integers(0, 2**32 - 1),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 2**32 - 1),
    *(st.just(default) for default in (True, False, b"", b"")),
)


@given(announce=ANNOUNCES, options=st.binary(max_size=100))
@settings(max_examples=300)
def test_announces_of_any_numbers_are_read_as_sent_and_answered(announce, options):
    packet = tracker_udp.encode_announce(IDS.issue(IP4, 0.0), b"tx-1", announce) + options
    assert tracker_udp.parse_announce(packet)._replace(access_key=b"") == announce
    (answer,) = now_(SERVICE.udp.respond([(packet, IP4)], SERVICE.tick(), 0.0))
    assert answer[4:8] == b"tx-1"


@given(path=st.binary(max_size=600))
def test_any_path_survives_the_options(path):
    packet = tracker_udp.encode_announce(bytes(8), bytes(4), Announce(bytes(20), bytes(20), 1), url_data=path)
    assert tracker_udp.parse_url_data(packet[98:]) == path


@given(value=st.lists(st.sampled_from([b"%", b"4", b"a", b"g", b" ", b"%41", b"%aF"])).map(b"".join))
def test_odd_percent_encoding_is_read_as_others_read_it(value):
    identifier = unquote_to_bytes(value)
    query = b"info_hash=%b&peer_id=%b&port=1" % (value, b"p" * 20)
    if len(identifier) == 20:
        assert parse_announce_query(query).info_hash == identifier
    else:
        with pytest.raises(RemoteProtocolError):
            parse_announce_query(query)


@given(octets=st.binary(min_size=20, max_size=20))
def test_any_hash_survives_full_and_partial_percent_encoding(octets):
    for text in ("".join(f"%{octet:02x}" for octet in octets), quote(octets)):
        query = f"info_hash={text}&peer_id={'p' * 20}&port=1"
        assert parse_announce_query(query.encode()).info_hash == octets
