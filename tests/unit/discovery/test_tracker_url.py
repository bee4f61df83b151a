import pytest

from p2psync.discovery.tracker_url import TrackerUrl, parse_tracker_url
from p2psync.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("http://t.example/announce", TrackerUrl("http", "t.example", 80, "t.example", "/announce")),
        ("https://t.example:1/k/a?x=1#f", TrackerUrl("https", "t.example", 1, "t.example:1", "/k/a?x=1")),
        ("udp://[::1]:6969", TrackerUrl("udp", "::1", 6969, "[::1]:6969", "")),
        ("HTTP://user:word@T.example/", TrackerUrl("http", "t.example", 80, "T.example", "/")),
    ],
)
def test_urls_are_taken_apart(url, parsed):
    assert parse_tracker_url(url) == parsed


@pytest.mark.parametrize(
    "url",
    [
        "",
        "t.example",
        "http://",
        "http:///announce",
        "http://t.example:99999/",
        "http://t.example:x/",
        "udp://t.example/announce",  # UDP has no port of its own
        "wss://t.example/",
        "http://[::1/",
        "http://t.example/a b",
        "http://t.example/\r\nX: y",
        "http://t.example/ä",
        "http://t.example:0/",
    ],
)
def test_what_names_no_tracker_is_refused(url):
    with pytest.raises(ConfigError, match="tracker's URL"):
        parse_tracker_url(url)
