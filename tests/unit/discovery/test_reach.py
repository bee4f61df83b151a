import pytest

from p2psync.discovery.reach import is_local, is_of_use_to, party_of


@pytest.mark.parametrize(
    "host", ["10.1.2.3", "172.31.0.1", "192.168.7.9", "127.0.0.1", "::1", "fe80::1%eth0", "fd00::5", "::ffff:10.0.0.1"]
)
def test_private_addresses_are_local(host):
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "172.32.0.1", "2001:db8::1", "::ffff:8.8.8.8", "nas.example", "", "fec0::1"]
)
def test_other_addresses_and_names_are_not_local(host):
    assert not is_local(host)


GLOBAL, PRIVATE, LOOPBACK = "93.184.216.34", "192.168.1.9", "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "seen_from"),
    [
        (GLOBAL, GLOBAL),
        (GLOBAL, PRIVATE),
        (GLOBAL, LOOPBACK),
        (PRIVATE, "10.0.0.3"),
        (PRIVATE, LOOPBACK),
        (LOOPBACK, LOOPBACK),
        (LOOPBACK, "::1"),
        ("2a00::5", GLOBAL),
        ("fd00::5", PRIVATE),
        ("::ffff:93.184.216.34", GLOBAL),
    ],
)
def test_addresses_of_use_are_told(host, seen_from):
    assert is_of_use_to(host, seen_from)


@pytest.mark.parametrize(
    ("host", "seen_from"),
    [
        (PRIVATE, GLOBAL),
        (LOOPBACK, PRIVATE),
        (LOOPBACK, ""),
        ("::ffff:127.0.0.1", GLOBAL),
        ("fd00::5", "2a00::5"),
        ("0.0.0.0", LOOPBACK),
        ("::", LOOPBACK),
        ("255.255.255.255", LOOPBACK),
        ("240.0.0.1", GLOBAL),
        ("224.0.0.1", LOOPBACK),
        ("ff02::1", LOOPBACK),
        ("fe80::1", PRIVATE),
        ("169.254.3.4", PRIVATE),
        ("nas.example", PRIVATE),
        ("", LOOPBACK),
    ],
)
def test_addresses_without_use_are_not(host, seen_from):
    assert not is_of_use_to(host, seen_from)


def test_the_public_ipv6_addresses_of_one_customer_are_one_party():
    assert party_of("2a00:1:2:3::5") == party_of("2a00:1:2:3:ffff::1")
    assert party_of("2a00:1:2:3::5") != party_of("2a00:1:2:4::5")


@pytest.mark.parametrize(
    "host", [GLOBAL, PRIVATE, LOOPBACK, "fd00::5", "fe80::1%eth0", f"::ffff:{GLOBAL}", "nas.example", ""]
)
def test_any_other_address_is_a_party_of_its_own(host):
    assert party_of(host) == host
