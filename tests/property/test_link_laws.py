import string

from hypothesis import example, given
from hypothesis import strategies as st
from pyfastcdc import FastCDC

from p2psync.errors import ConfigError
from p2psync.ids import PeerAddress, parse_address
from p2psync.keys import Role, keys_from_seed
from p2psync.sharelink import ShareLink, parse_link, parse_tier

seeds = st.binary(min_size=32, max_size=32)
hosts = st.text(string.ascii_letters + string.digits + ".-_", min_size=1) | st.ip_addresses().map(str)
addresses = st.builds(PeerAddress, hosts, st.integers(1, 65535))
trackers = st.builds(
    "{}://{}:{}/{}".format,
    st.sampled_from(["http", "https", "udp"]),
    st.text(string.ascii_lowercase, min_size=1),
    st.integers(1, 65535),
    st.text("".join(set(string.printable) - set(string.whitespace) - set(",")), max_size=20),
)
names = st.text(st.characters(exclude_categories=["Cc", "Cs"]))


@given(seeds, st.sampled_from(Role), names, st.lists(st.lists(trackers, min_size=1)), st.lists(addresses))
def test_a_link_reads_back_as_it_was_made(seed, role, name, tiers, peers):
    link = ShareLink(keys_from_seed(seed).limited_to(role), name, tuple(map(tuple, tiers)), tuple(peers))
    text = str(link)
    assert parse_link(text) == link
    assert str(parse_link(text)) == text
    assert text.isascii()
    assert " " not in text


@given(st.text() | st.text(string.ascii_lowercase + "234567?&=%:,[]").map("p2psync:{}".format))
@example("p2psync:v4jutoi")
def test_any_text_is_a_link_or_refused_as_one(text):
    try:
        link = parse_link(text)
    except ConfigError:
        return
    assert parse_link(str(link)) == link


@given(st.text() | st.text("0123456789abcdef:.[]%/"))
def test_any_text_is_an_address_or_refused_as_one(text):
    try:
        address = parse_address(text)
    except ConfigError:
        return
    assert parse_address(str(address)) == address


@given(st.text() | st.text("htpudp:/.,[]?#@%0123456789"))
def test_any_text_is_a_tier_or_refused_as_one(text):
    try:
        tier = parse_tier(text)
    except ConfigError:
        return
    assert parse_tier(",".join(tier)) == tier


@given(seeds)
def test_every_folder_has_a_gear_seed_that_the_chunker_takes(seed):
    gear_seed = keys_from_seed(seed).gear_seed
    assert 0 < gear_seed < 2**62
    FastCDC(avg_size=1 << 16, seed=gear_seed)
