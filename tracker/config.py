"""The operator's choices from flags, environment and file, in this order of precedence; every mistake told at once."""

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from p2psync.errors import ConfigError
from p2psync.ids import PeerAddress
from tracker.addresses import Network
from tracker.http_server import HttpLimits
from tracker.memory_swarms import StoreLimits
from tracker.options import OPTIONS, Option
from tracker.service import Policy

ENVIRONMENT_PREFIX = "P2PSYNC_TRACKER_"
CONFIG_VARIABLE = f"{ENVIRONMENT_PREFIX}CONFIG"
"""Names the file itself."""
_ANYWHERE = (PeerAddress("0.0.0.0", 6969), PeerAddress("::", 6969))
_BY_NAME = {option.name: option for option in OPTIONS}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Settings:
    """All choices, checked: the options of `tracker.options`, those of a kind in one value.

    Attributes:
        is_default_addresses: Nobody said where to listen.
    """

    is_default_addresses: bool
    listen: tuple[PeerAddress, ...]
    listen_tls: tuple[PeerAddress, ...]
    udp: tuple[PeerAddress, ...]
    reuse_port: bool
    tls_certificate: str
    tls_key: str
    state: str
    udp_secret: str
    snapshot: str
    access: str
    access_list: str
    access_keys: str
    trusted_proxies: tuple[Network, ...]
    status_from: tuple[Network, ...]
    log_format: str
    log_level: str
    policy: Policy
    store_limits: StoreLimits
    http_limits: HttpLimits


def load_settings(
    *, file: str = "", environment: Mapping[str, str], flags: Mapping[str, Any], faults: Sequence[str] = ()
) -> Settings:
    """Join all sources.

    Args:
        file: The text of a TOML file.
        environment: Of the process; only names with our prefix count.
        flags: Options by name, as strings or lists of strings.
        faults: Mistakes that were found before, to be told with the others.

    Raises:
        ConfigError: With every mistake, one a line.
    """
    faults = [*faults]
    values = {option.name: option.parse(option.default) for option in OPTIONS}
    sources = {"the file": _parse_file(file, faults), "the environment": _of_environment(environment), "flags": flags}
    for source, given in sources.items():
        for name, value in given.items():
            try:
                values[name] = _option(name).parse(value)
            except ConfigError as error:
                faults.append(f"{name} in {source}: {error}")
    faults += _contradictions(values)
    if faults:
        raise ConfigError("\n".join(faults))
    is_default = not values["listen"] and not values["listen_tls"] and not values["udp"]
    if is_default:
        values["listen"] = values["udp"] = _ANYWHERE
    return Settings(
        is_default_addresses=is_default,
        **{field.name: values[field.name] for field in dataclasses.fields(Settings) if field.name in values},
        policy=_pick(Policy, values),
        store_limits=_pick(StoreLimits, values),
        http_limits=_pick(HttpLimits, values),
    )


def documented_defaults() -> str:
    """Return a configuration file that says what every option does, each commented out at its default."""
    return "".join(f"# {option.explanation}\n# {option.name} = {_toml(option.default)}\n\n" for option in OPTIONS)


def _parse_file(text: str, faults: list[str]) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a list in thousands of lists
        faults.append(f"the file is not TOML that can be read: {error}")
        return {}


def _of_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX) and name != CONFIG_VARIABLE
    }


def _option(name: str) -> Option:
    if name not in _BY_NAME:
        raise ConfigError("is no option")
    return _BY_NAME[name]


def _contradictions(values: Mapping[str, Any]) -> Iterator[str]:
    if values["listen_tls"] and not (values["tls_certificate"] and values["tls_key"]):
        yield "listen_tls needs tls_certificate and tls_key"
    if bool(values["tls_certificate"]) is not bool(values["tls_key"]):
        yield "tls_certificate and tls_key need each other"
    if values["access"] != "open" and not values["access_list"]:
        yield f"access = {values['access']} needs access_list"
    if values["snapshot"] and values["state"] != "memory":
        yield "snapshot is for state = memory: Redis keeps its own"
    if values["reuse_port"] and values["state"] == "memory":
        yield "reuse_port needs state in Redis: processes with memory of their own would each know other peers"
    if values["reuse_port"] and not values["udp_secret"]:
        yield "reuse_port needs udp_secret: else a process refuses the connection ids that another one gave"
    if values["interval_s"] > values["max_interval_s"]:
        yield "interval_s is more than max_interval_s"
    if values["numwant"] > values["max_numwant"]:
        yield "numwant is more than max_numwant"


def _pick(kind: type[_T], values: Mapping[str, Any]) -> _T:
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type] # a dataclass
    return kind(**{name: values[name] for name in names})


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)
