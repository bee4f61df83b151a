"""Tracker URLs, of which a link or a redirect may name any."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from p2psync.errors import ConfigError

_DEFAULT_PORTS = {"http": 80, "https": 443, "udp": 0}


@dataclass(frozen=True, slots=True)
class TrackerUrl:
    """Where a tracker is.

    Attributes:
        netloc: Host and port as the URL has them, for a `Host` header.
        target: Path and query; empty only if the URL has neither.
    """

    scheme: str
    host: str
    port: int
    netloc: str
    target: str


def parse_tracker_url(url: str) -> TrackerUrl:
    """Read the URL of a tracker.

    Raises:
        ConfigError: There can be none at this URL.
    """
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"{url!r} is no tracker's URL: write it in ASCII, percent-encoded")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{url!r} is no tracker's URL: {error}") from error
    port = _DEFAULT_PORTS.get(parts.scheme) if port is None else port
    if parts.scheme not in _DEFAULT_PORTS or not host or not port:
        raise ConfigError(f"{url!r} is no tracker's URL: write http://HOST:PORT/announce or udp://HOST:PORT/announce")
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return TrackerUrl(parts.scheme, host, port, parts.netloc.rpartition("@")[2], target)
