"""Every option of the tracker: one table, from which files, environment, flags, defaults and help are read."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from p2psync.errors import ConfigError
from p2psync.ids import PeerAddress, parse_address
from tracker.access import Mode
from tracker.addresses import Network

Parse = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        name: In a file; in the environment it is in upper case after `P2PSYNC_TRACKER_`.
        parse: Makes its value from a string, number, boolean or list, or raises `ConfigError`.
        default: In the form that a file has it.
        explanation: One line for the operator.
    """

    name: str
    parse: Parse
    default: Any
    explanation: str


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError("must be a string")
    if "\0" in value:
        raise ConfigError("must not hold a character 0: no file or word has one")
    return value


def _number(low: float, high: float, kind: type[int] | type[float] = int) -> Parse:
    def parse(value: object) -> int | float:
        number = _as_number(value, kind)
        if number is None or not low <= number <= high:
            raise ConfigError(f"must be a {'whole ' if kind is int else ''}number from {low} to {high}")
        return number

    return parse


def _as_number(value: object, kind: type[int] | type[float]) -> int | float | None:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | str)
        or (kind is int and isinstance(value, float))
    ):
        return None
    if isinstance(value, str) and not value.isascii():  # Python reads the digits of every script, TOML does not
        return None
    try:
        return kind(value)
    except (ValueError, OverflowError):
        return None


def _boolean(value: object) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ConfigError("must be true or false")


def _one_of(*words: str) -> Parse:
    def parse(value: object) -> str:
        if value not in words:
            raise ConfigError(f"must be one of {', '.join(words)}")
        return str(value)

    return parse


def _many(parse_one: Parse) -> Parse:
    def parse(value: object) -> tuple[Any, ...]:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list):
            raise ConfigError("must be a list of strings")
        return tuple(parse_one(_text(item)) for item in value)

    return parse


def _address(text: str) -> PeerAddress:
    return parse_address(text, lowest_port=0)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no network: write it as 10.0.0.0/8") from error


def _state(value: object) -> str:
    text = _text(value)
    if text != "memory" and not text.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigError("must be memory, redis://HOST:PORT/DB, rediss://… or unix:///PATH")
    if text.startswith("redis") and not text.isascii():
        raise ConfigError("must be written in ASCII: other characters of a password percent-encoded")
    return text


OPTIONS = (
    Option("listen", _many(_address), [], "addresses for HTTP; without any address at all, every one at port 6969"),
    Option("listen_tls", _many(_address), [], "addresses for HTTPS"),
    Option("udp", _many(_address), [], "addresses for UDP"),
    Option("reuse_port", _boolean, False, "let several processes share an address; for state in Redis"),
    Option("tls_certificate", _text, "", "file with the certificate chain for listen_tls, PEM"),
    Option("tls_key", _text, "", "file with its key, PEM"),
    Option("state", _state, "memory", "where peers are kept: memory, redis://HOST:PORT/DB, rediss://…, unix:///PATH"),
    Option("udp_secret", _text, "", "the same words for all trackers behind one UDP address; empty: random"),
    Option("snapshot", _text, "", "file that keeps the peers in memory from one run to the next"),
    Option(
        "access", _one_of(*Mode), "open", "open: serve all swarms; allow, deny: only, or all but, those of access_list"
    ),
    Option("access_list", _text, "", "file of info hashes, one a line in hex; read again on SIGHUP"),
    Option("access_keys", _text, "", "file of keys, one a line: only /KEY/announce is served; read again on SIGHUP"),
    Option(
        "interval_s",
        _number(5, 86400),
        1800,
        "seconds between two announces of a peer; the same for all trackers of one Redis",
    ),
    Option("min_interval_s", _number(1, 86400), 60, "what clients are asked not to go below"),
    Option("small_swarm_interval_s", _number(1, 86400), 60, "the interval while a swarm is small"),
    Option("small_swarm_peers", _number(0, 1000), 3, "below how many peers a swarm is small"),
    Option("max_interval_s", _number(5, 86400), 7200, "what the interval grows to under load"),
    Option("announces_per_s", _number(0, 10**7), 10_000, "the load from which on it grows; 0: it never does"),
    Option("jitter", _number(0, 0.2, float), 0.1, "share of the interval that chance adds or takes"),
    Option("numwant", _number(0, 1000), 50, "peers told to a client that does not say how many it wants"),
    Option("max_numwant", _number(0, 1000), 200, "peers told to any client"),
    Option(
        "rate_per_s", _number(0, 10**6, float), 50.0, "announces and scrapes a second from one address; 0: no limit"
    ),
    Option("burst", _number(1, 10**6), 500, "announces and scrapes at once from one address"),
    Option("claimed_ip", _boolean, False, "believe the address that clients in private networks say they have (ip=)"),
    Option("swarms", _number(1, 10**9), 1_000_000, "swarms in memory at most"),
    Option("peers", _number(1, 10**9), 10_000_000, "peers in memory at most"),
    Option("peers_per_address", _number(1, 65535), 32, "peers of one swarm at one public IPv4 address at most"),
    Option("peers_per_prefix6", _number(1, 10**6), 256, "peers of one swarm in one public IPv6 /64 at most"),
    Option("connections", _number(1, 10**6), 4096, "HTTP connections open at once; a new one ends that idle longest"),
    Option(
        "request_s", _number(0.1, 600, float), 5.0, "seconds for a request to arrive, and for its answer to be taken"
    ),
    Option("idle_s", _number(0.1, 3600, float), 60.0, "seconds that a connection may stay silent between two requests"),
    Option("trusted_proxies", _many(_network), [], "networks of proxies whose X-Forwarded-For is believed"),
    Option("status_from", _many(_network), ["127.0.0.0/8", "::1/128"], "networks that may read / and /metrics"),
    Option("log_format", _one_of("text", "json"), "text", "text or json, one line an event, to stderr"),
    Option("log_level", _one_of("debug", "info", "warning", "error"), "info", "debug, info, warning or error"),
)
