import tomllib

import pytest

from p2psync.errors import ConfigError
from p2psync.ids import PeerAddress
from tracker.config import documented_defaults, load_settings
from tracker.options import OPTIONS


def load(file="", environment=None, **flags):
    return load_settings(file=file, environment=environment or {}, flags=flags)


def test_without_a_word_everything_is_served_at_port_6969():
    settings = load()
    assert settings.is_default_addresses
    assert settings.listen == settings.udp == (PeerAddress("0.0.0.0", 6969), PeerAddress("::", 6969))
    assert settings.state == "memory"


def test_who_names_an_address_gets_that_one_alone():
    settings = load(udp=["127.0.0.1:0"])
    assert (settings.listen, settings.udp) == ((), (PeerAddress("127.0.0.1", 0),))


def test_page_and_metrics_are_for_this_machine_unless_somebody_says_else():
    assert [str(network) for network in load().status_from] == ["127.0.0.0/8", "::1/128"]


def test_mistakes_found_before_are_told_with_the_others():
    with pytest.raises(ConfigError, match=r"(?s)no file.*jitter"):
        load_settings(environment={}, flags={"jitter": "x"}, faults=["no file"])
    with pytest.raises(ConfigError, match="no file"):
        load_settings(environment={}, flags={}, faults=["no file"])


def test_flags_win_over_the_environment_and_that_over_the_file():
    file = "interval_s = 100\nmin_interval_s = 10\njitter = 0.2\nlisten = ['127.0.0.1:1', '[::1]:2']"
    environment = {"P2PSYNC_TRACKER_INTERVAL_S": "200", "P2PSYNC_TRACKER_MIN_INTERVAL_S": "20", "PATH": "/bin"}
    settings = load(file, environment, interval_s="300")
    assert (settings.policy.interval_s, settings.policy.min_interval_s, settings.policy.jitter) == (300, 20, 0.2)
    assert settings.listen == (PeerAddress("127.0.0.1", 1), PeerAddress("::1", 2))


def test_lists_in_the_environment_are_separated_by_commas():
    settings = load(environment={"P2PSYNC_TRACKER_UDP": "127.0.0.1:1, [::1]:2"})
    assert settings.udp == (PeerAddress("127.0.0.1", 1), PeerAddress("::1", 2))


def test_the_variable_that_names_the_file_is_no_option():
    assert load(environment={"P2PSYNC_TRACKER_CONFIG": "/x"}).is_default_addresses


def test_every_mistake_is_told_at_once():
    with pytest.raises(ConfigError) as caught:
        load("interval_s = 'x'\nspeed = 1", {"P2PSYNC_TRACKER_JITTER": "7"}, state="sqlite://", listen=["nowhere"])
    text = str(caught.value)
    for part in (
        "interval_s in the file",
        "speed in the file",
        "jitter in the environment",
        "state in flags",
        "nowhere",
    ):
        assert part in text
    assert len(text.splitlines()) == 5


@pytest.mark.parametrize(
    "fault",
    [
        "interval_s = 1",
        "interval_s = 1800.5",
        "interval_s = true",
        "interval_s = [1]",
        "interval_s = 86401",
        "listen = 6969",
        "listen = [6969]",
        "listen = ['::1:6969']",
        "reuse_port = 'perhaps'",
        "access = 'closed'",
        "trusted_proxies = ['10.0.0.1/8']",
        "state = 5",
        "udp_secret = 5",
        "interval_s = '١٢٣'",
        "jitter = '٠.١'",
        f"interval_s = {'9' * 5000}",
        f"interval_s = '{'9' * 5000}'",
        f"jitter = {'9' * 400}",
        "jitter = nan",
        "state = ''",
        "state = 'redis://localhost/٣'",
        'snapshot = "/x\\u0000y"',
        'access_list = "/x\\u0000y"\naccess = "allow"',
        "not toml",
        f"listen = {'[' * 5000}",
        # what contradicts itself:
        "listen_tls = ['127.0.0.1:0']",
        "access = 'allow'",
        "snapshot = '/x'\nstate = 'redis://x'",
        "reuse_port = true",
        "reuse_port = true\nstate = 'redis://x'",
        "tls_certificate = '/x'",
        "tls_key = '/x'",
        "interval_s = 8000",
        "numwant = 300",
    ],
)
def test_a_mistake_is_refused(fault):
    with pytest.raises(ConfigError):
        load(fault)


def test_the_documented_defaults_are_the_defaults():
    documented = documented_defaults()
    uncommented = "\n".join(line[2:] for line in documented.splitlines() if " = " in line)
    assert set(tomllib.loads(uncommented)) == {option.name for option in OPTIONS}
    assert load(uncommented) == load()
    assert all(option.explanation in documented for option in OPTIONS)
    assert tomllib.loads(documented) == {}
