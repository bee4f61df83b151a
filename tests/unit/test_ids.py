import pytest

from p2psync.errors import ConfigError
from p2psync.ids import PeerAddress, is_ip_literal, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("host.example:65535", ("host.example", 65535)),
        ("[::1]:80", ("::1", 80)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
    ],
)
def test_an_address_is_read_and_written_alike(text, address):
    assert parse_address(text) == address
    assert str(PeerAddress(*address)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":80",
        "host",
        "host:",
        "host:x",
        "host:0",
        "host:65536",
        "host:-1",
        "host:+1",
        "host:1.0",
        "host: 80",
        "host:80 ",
        "host:٨٠",  # digits, but not ours
        "host:²",
        "host:080808",
        "host:" + "1" * 5000,
        "::1:80",
        "::1",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "::1]:80",
        "[127.0.0.1]:80",
        "[host]:80",
        "[]:80",
        "[[::1]]:80",
        "[::g]:80",
        "ho st:80",
        "host/x:80",
        "host?x:80",
        "host#x:80",
        "user@host:80",
        "host\n:80",
        "host\x1b:80",
        "host\udcff:80",
        "a:b:80",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ConfigError, match="is no address"):
        parse_address(text)


def test_port_0_is_for_those_who_let_the_system_choose():
    assert parse_address("127.0.0.1:0", lowest_port=0) == ("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("host", "is_literal"),
    [("127.0.0.1", True), ("::1", True), ("localhost", False), ("1.2.3", False), ("[::1]", False), ("", False)],
)
def test_literals_are_told_from_names(host, is_literal):
    assert is_ip_literal(host) is is_literal
