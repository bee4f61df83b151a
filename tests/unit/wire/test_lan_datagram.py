import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2psync.errors import LocalProtocolError, RemoteProtocolError
from p2psync.wire.lan import (
    LAN_GROUP_IPV4,
    LAN_GROUP_IPV6,
    MAX_DATAGRAM_BYTES,
    LanAnnounce,
    encode_lan_announce,
    parse_lan_announce,
)

HASH = bytes(range(20))
HEX = HASH.hex().encode()


def datagram(*, request=b"BT-SEARCH * HTTP/1.1", port=b"4000", infohash=HEX, cookie=b"0123abcd", extra=b""):
    return (
        request
        + b"\r\nHost: 239.192.152.143:6771\r\nPort: "
        + port
        + b"\r\nInfohash: "
        + infohash
        + b"\r\ncookie: "
        + cookie
        + b"\r\n"
        + extra
        + b"\r\n\r\n"
    )


def test_the_bytes_are_those_of_bep_14():
    assert encode_lan_announce(LanAnnounce(4000, (HASH,), "0123abcd"), LAN_GROUP_IPV4) == datagram()
    assert b"\r\nHost: [ff15::efc0:988f]:6771\r\n" in encode_lan_announce(LanAnnounce(4000, (HASH,)), LAN_GROUP_IPV6)


@given(
    port=st.integers(1, 65535),
    hashes=st.lists(st.binary(min_size=20, max_size=20), min_size=1, max_size=20),
    cookie=st.text("0123456789abcdef", max_size=16),
    group=st.sampled_from([LAN_GROUP_IPV4, LAN_GROUP_IPV6]),
)
def test_what_is_encoded_is_parsed(port, hashes, cookie, group):
    announce = LanAnnounce(port, tuple(hashes), cookie)
    assert parse_lan_announce(encode_lan_announce(announce, group)) == announce


@pytest.mark.parametrize(
    "as_others_send_it",
    [
        datagram(infohash=HEX.upper()),
        datagram(extra=b"User-Agent: some client 1.0\r\n"),
        datagram().replace(b"Port: ", b"PORT:"),
        datagram().replace(b"cookie: 0123abcd", b"Cookie:\t0123abcd "),
        datagram()[:-2],
        datagram() + b"\r\n",
    ],
)
def test_what_other_clients_send_is_read(as_others_send_it):
    assert parse_lan_announce(as_others_send_it) == LanAnnounce(4000, (HASH,), "0123abcd")


def test_a_cookie_may_be_missing():
    assert parse_lan_announce(datagram().replace(b"cookie: 0123abcd\r\n", b"")).cookie == ""


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        datagram(request=b"M-SEARCH * HTTP/1.1"),
        datagram(request=b"bt-search * HTTP/1.1"),
        datagram(request=b"BT-SEARCH * HTTP/1.0"),
        datagram()[:-4],
        datagram() + b"more",
        datagram().replace(b"\r\n", b"\n"),
        datagram(port=b"0"),
        datagram(port=b"65536"),
        datagram(port=b"+4000"),
        datagram(port=b"04000"),
        datagram(port=b"4_000"),
        datagram(port="٤٠٠٠".encode()),
        datagram(extra=b"Port: 4001\r\n"),
        datagram().replace(b"Port: 4000\r\n", b""),
        datagram(infohash=HEX[:-1]),
        datagram(infohash=HEX + b"00"),
        datagram(infohash=HEX[:-1] + b"g"),
        datagram(extra=b"Infohash: 00\r\n"),
        datagram().replace(b"Infohash: " + HEX + b"\r\n", b""),
        datagram(cookie=b"a" * 65),
        datagram(cookie=b"two words"),
        datagram(cookie=b"\xff"),
        datagram(extra=b"cookie: other\r\n"),
        datagram(extra=b"no header\r\n"),
        datagram(extra=b": no name\r\n"),
        datagram(extra=b"Empty:\r\n"),
        datagram(extra=b" folded: header\r\n"),
        datagram(extra=b"nul: \x00\r\n"),
        datagram(extra=b"x: " + b"y" * 1400 + b"\r\n"),
    ],
)
def test_what_is_no_announcement_is_refused(bad):
    with pytest.raises(RemoteProtocolError):
        parse_lan_announce(bad)


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda junk: datagram(extra=junk)))
def test_garbage_is_refused_or_read_but_raises_nothing_else(junk):
    try:
        announce = parse_lan_announce(junk)
    except RemoteProtocolError:
        return
    assert 1 <= announce.port <= 65535
    assert all(len(info_hash) == 20 for info_hash in announce.info_hashes)


def test_more_swarms_than_a_datagram_holds_are_our_own_mistake():
    with pytest.raises(LocalProtocolError):
        encode_lan_announce(LanAnnounce(4000, (HASH,) * 30), LAN_GROUP_IPV4)
    assert len(encode_lan_announce(LanAnnounce(4000, (HASH,) * 20), LAN_GROUP_IPV4)) <= MAX_DATAGRAM_BYTES
