import base64
import string

import pytest
from blake3 import blake3

from p2psync.errors import ConfigError
from p2psync.ids import PeerAddress
from p2psync.keys import Role, keys_from_seed
from p2psync.sharelink import ShareLink, parse_link, parse_tier

KEYS = keys_from_seed(bytes(range(32)))
GOLDEN = {
    Role.WRITE: "p2psync:caaacaqdaqcqmbyibefawdanbyhraeiscmkbkfqxdamrugy4dupb6j34kqha",
    Role.READ: "p2psync:cfunk7ql3u6fzyupeagsfcdovizanknkrr3esnl4zb4vymuerihk"
    "jdb3aplciyr6be2rdbjruukrtuk2bgcxbsogxrvh4j4b6sb7ff7zlqzuj4y",
    Role.STORE: "p2psync:cjunk7ql3u6fzyupeagsfcdovizanknkrr3esnl4zb4vymuerihk"
    "jlet3eampymnutpapchkim6dckaevkyks5lwzygjccp57frsgy25uu5vtiy",
}
WRITE = GOLDEN[Role.WRITE]
LETTERS = string.ascii_lowercase + string.digits


def link_of(raw: bytes) -> str:
    """A link with any content and the checksum that belongs to it."""
    return "p2psync:" + base64.b32encode(raw + blake3(raw).digest(4)).decode().rstrip("=").lower()


@pytest.mark.parametrize("role", Role)
def test_the_links_of_a_folder_are_what_they_have_always_been(role):
    assert str(ShareLink(KEYS.limited_to(role))) == GOLDEN[role]
    assert parse_link(GOLDEN[role]) == ShareLink(KEYS.limited_to(role))


def test_a_link_says_name_trackers_and_peers():
    link = ShareLink(
        KEYS,
        "Holiday & “family” 100%+1 = ä#?",
        (("http://one.example:8080/announce?passkey=a&b=%20",), ("udp://two.example:1", "https://[::1]/announce")),
        (PeerAddress("192.0.2.1", 4000), PeerAddress("fe80::1%eth0", 4001)),
    )
    assert parse_link(str(link)) == link


def test_a_link_with_everything_is_written_as_it_has_always_been():
    link = ShareLink(KEYS, "my folder", (("http://t.example/announce", "udp://t.example:1"),), (PeerAddress("::1", 7),))
    assert str(link) == WRITE + "?name=my%20folder&tr=http://t.example/announce,udp://t.example:1&peer=[::1]:7"


@pytest.mark.parametrize("text", [f"  {WRITE}\n", WRITE.upper(), "P2PSync:" + WRITE[8:]])
def test_space_around_a_link_and_capitals_do_no_harm(text):
    assert parse_link(text).keys == KEYS


@pytest.mark.parametrize("role", Role)
def test_every_single_wrong_character_of_the_code_is_refused(role):
    text = GOLDEN[role]
    for at in range(8, len(text)):
        for letter in LETTERS:
            if letter != text[at]:
                with pytest.raises(ConfigError):
                    parse_link(text[:at] + letter + text[at + 1 :])


@pytest.mark.parametrize("role", Role)
def test_every_missing_doubled_or_swapped_character_of_the_code_is_refused(role):
    text = GOLDEN[role]
    for at in range(8, len(text)):
        broken = {text[:at] + text[at + 1 :], text[:at] + text[at] + text[at:]}
        broken.add(text[:at] + text[at : at + 2][::-1] + text[at + 2 :])
        for other in broken - {text}:
            with pytest.raises(ConfigError):
                parse_link(other)


@pytest.mark.parametrize("role", [Role.WRITE, Role.READ, Role.STORE])
def test_bits_that_base32_leaves_unused_must_be_zero(role):
    text = GOLDEN[role]
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    last = alphabet.index(text[-1])
    assert last % 2 == 0
    with pytest.raises(ConfigError, match="wrong or missing character"):
        parse_link(text[:-1] + alphabet[last + 1])


@pytest.mark.parametrize("letter", ["=", " ", "-", "\n", "0", "1", "8", "9", "é", "\0", "\udcff"])
def test_a_character_that_base32_does_not_have_is_refused(letter):
    with pytest.raises(ConfigError, match="copy it again"):
        parse_link(WRITE[:20] + letter + WRITE[21:])


def test_a_letter_whose_capital_is_an_ascii_letter_is_refused():
    at = WRITE.index("s", 8)
    assert "ſ".upper() == "S"
    with pytest.raises(ConfigError, match="a character that no link has"):
        parse_link(WRITE[:at] + "ſ" + WRITE[at + 1 :])


@pytest.mark.parametrize("text", ["", "p2psync", "p2psync:", "http:" + WRITE[8:], WRITE[8:], "magnet:?xt=urn:btih:00"])
def test_what_is_no_link_is_refused(text):
    with pytest.raises(ConfigError, match=r"not a p2psync link|wrong or missing character"):
        parse_link(text)


@pytest.mark.parametrize("raw", [b"", b"\x10", b"\x13" + bytes(64), b"\x00" + bytes(32), b"\xff" * 33])
def test_a_kind_that_does_not_exist_is_refused(raw):
    with pytest.raises(ConfigError, match="update p2psync"):
        parse_link(link_of(raw))


@pytest.mark.parametrize("raw", [b"\x10" + bytes(31), b"\x10" + bytes(33), b"\x11" + bytes(32), b"\x12" + bytes(65)])
def test_a_kind_with_keys_of_another_length_is_refused(raw):
    with pytest.raises(ConfigError, match="update p2psync"):
        parse_link(link_of(raw))


def test_an_unknown_part_is_refused_by_name():
    with pytest.raises(ConfigError, match="unknown part 'xt'"):
        parse_link(WRITE + "?xt=1")


@pytest.mark.parametrize("query", ["name", "=", "name=a&&tr=", "name=%ff", "&", "name=%e2%28", "tr"])
def test_a_query_that_cannot_be_read_is_refused(query):
    with pytest.raises(ConfigError):
        parse_link(f"{WRITE}?{query}")


TRACKERS = [
    "",
    "t.example",
    "//t.example/announce",
    "http://",
    "http:///announce",
    "http://:80/announce",
    "http://t.example:x/announce",
    "http://t.example:0/announce",
    "http://t.example:65536/announce",
    "http://[::1/announce",
    "http://t.example/an nounce",
    "http://t.example/an\nnounce",
    "http://t.example/\x1b",
    "http://tä.example/announce",
    "ftp://t.example/announce",
    "file:///etc/passwd",
    "udp://t.example",
    "udp://t.example:0",
    "ws://t.example/announce",
]


@pytest.mark.parametrize("url", TRACKERS)
def test_what_is_no_tracker_is_refused(url):
    with pytest.raises(ConfigError, match="is no tracker"):
        parse_tier(url)
    with pytest.raises(ConfigError, match="is no tracker"):
        parse_tier(f"http://good.example/announce,{url}")


def test_a_bad_tracker_in_a_link_is_refused():
    with pytest.raises(ConfigError, match="is no tracker"):
        parse_link(f"{WRITE}?tr=ftp://t.example/announce")
    with pytest.raises(ConfigError, match="is no tracker"):
        parse_link(f"{WRITE}?tr=")


def test_a_tier_is_its_trackers_in_order():
    assert parse_tier("http://b/x, udp://a:1") == ("http://b/x", "udp://a:1")


@pytest.mark.parametrize("peer", ["", "host", "host:0", "host:70000", "::1:80", "a%20b:80", "host:" + "9" * 5000])
def test_a_bad_peer_in_a_link_is_refused(peer):
    with pytest.raises(ConfigError, match="is no address"):
        parse_link(f"{WRITE}?peer={peer}")


def outcome(text: str) -> str:
    """Say what is wrong with a link, or nothing."""
    try:
        parse_link(text)
    except ConfigError as error:
        return str(error)
    return ""


def test_a_link_that_is_cut_off_anywhere_is_to_be_copied_again_or_lacks_only_hints():
    hints = "?name=a&tr=http://t.example:80/announce,udp://u.example:1&peer=192.0.2.1:4000&peer=[2001:db8::1]:4"
    told = {outcome(WRITE + hints[:end]) for end in range(len(hints))} | {outcome(WRITE[:-1])}
    assert [sentence for sentence in told - {""} if "the link" not in sentence or "copy" not in sentence] == []
    assert len(told) > 10


def test_a_name_that_would_steer_the_terminal_is_made_harmless():
    assert parse_link(WRITE + "?name=a%1b[2J%0ab%7f%c2%9b").name == "a\ufffd[2J\ufffdb\ufffd\ufffd"


def test_a_folder_name_that_is_no_text_still_makes_a_link():
    assert parse_link(str(ShareLink(KEYS, "caf\udce9"))).name == "caf\ufffd"
