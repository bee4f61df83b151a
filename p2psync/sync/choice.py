"""Which paths a user means by a pattern. Pure.

A pattern is matched part by part: `*` and `?` stand for anything but a slash, `[…]` for one of some characters, `**`
for any number of directories. One without a slash is looked for at any depth. What matches a directory holds for all
below it.
"""

import re
from collections.abc import Iterable

from p2psync.errors import ConfigError

_ANY_DIRECTORIES = "**"


class PathChoice:
    """The paths that match one of some patterns.

    Args:
        patterns: As the user wrote them.

    Raises:
        ConfigError: One of them can match nothing.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._expressions = [_compile(pattern) for pattern in patterns]

    def __bool__(self) -> bool:
        return bool(self._expressions)

    def holds(self, path: bytes) -> bool:
        """Say whether a path, relative to the folder, or a directory that it is in, matches."""
        text = path.decode("utf-8", "surrogateescape")
        return any(expression.fullmatch(text) for expression in self._expressions)


NOTHING = PathChoice()


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(_expression(pattern), re.DOTALL)
    except re.error:  # a range of characters that runs backwards
        raise _refusal(pattern) from None


def _refusal(pattern: str) -> ConfigError:
    return ConfigError(f"{pattern!r} is no pattern for paths of the folder: write it as in 'photos/2024' or '*.mkv'")


def _expression(pattern: str) -> str:
    """Return a regular expression for the paths that match, and all below them."""
    anchored = "/" in pattern.strip("/") or pattern.startswith("/")
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise _refusal(pattern)
    if not anchored:
        parts.insert(0, _ANY_DIRECTORIES)
    return "".join(_parts(parts)) + "(?:/.*)?"


def _parts(parts: list[str]) -> Iterable[str]:
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        if part == _ANY_DIRECTORIES:
            yield ".*" if last else "(?:[^/]+/)*"
        else:
            yield _component(part) + ("" if last else "/")


def _component(part: str) -> str:
    expression, at = "", 0
    while at < len(part):
        character = part[at]
        at += 1
        if character == "*":
            expression += "[^/]*"
        elif character == "?":
            expression += "[^/]"
        elif character == "[" and (end := part.find("]", at + 1)) > 0:
            inside = re.sub(r"([\\\[&~|])", r"\\\1", part[at:end]).replace("--", "-\\-")
            expression += f"(?!/)[{'^' + inside[1:] if inside.startswith('!') else inside}]"
            at = end + 1
        else:
            expression += re.escape(character)
    return expression
