"""Canonical bencode: what decodes here is the only encoding of its value.

bencode.py does the parsing; it accepts unsorted and duplicate keys and odd integers, so a value counts only if it
encodes to the same bytes again (BEP 3: keys sorted as raw strings, no leading zeros). It also accepts keys of negative
length, which send it back to bytes it has read before, for ever: those are refused before it sees them.
"""

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import bencodepy

from p2psync.errors import RemoteProtocolError

Value: TypeAlias = "int | bytes | list[Value] | dict[bytes, Value]"

_SHOWN_KEY_BYTES = 40
"""What a refusal repeats of a key: refusals are logged, shown and kept, and the key is a stranger's."""


class _Decoder(bencodepy.BencodeDecoder):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        # Values are told by their first byte, so these have a digit there already.
        self.decode_func |= dict.fromkeys((b"%d" % digit for digit in range(10)), super().decode_string)

    def decode_string(self, x: bytes, f: int, kind: str = "value", **kwargs: int) -> tuple[bytes, int]:
        if not x[f : f + 1].isdigit():
            raise ValueError
        decoded: tuple[bytes, int] = super().decode_string(x, f, kind, **kwargs)
        return decoded


_DECODER = _Decoder()


def encode(value: Any) -> bytes:  # noqa: ANN401 - nested literals of ints, bytes, lists and dicts
    """Encode ints, bytes, lists and dicts with bytes keys."""
    encoded: bytes = bencodepy.encode(value)
    return encoded


def decode(data: bytes, *, canonical: bool = True) -> Value:
    """Decode one value that fills `data` exactly.

    Args:
        data: A stranger's bytes.
        canonical: False for the formats of others, whose keys come unsorted.

    Raises:
        RemoteProtocolError: `data` is no bencode, or not the only encoding of its value.
    """
    try:
        value: Value = _DECODER.decode(data)
        accepted = not canonical or encode(value) == data
    except (bencodepy.BencodeDecodeError, ValueError, KeyError, IndexError, TypeError, RecursionError):
        accepted = False
    if not accepted:
        raise RemoteProtocolError(f"{len(data)} bytes that are not {'canonical ' if canonical else ''}bencode")
    return value


class Fields:
    """Typed access to a decoded dictionary; every miss is the fault of whoever sent it."""

    def __init__(self, value: Value, *, of: str) -> None:
        """Take `value`, which must be a dictionary; `of` names it in errors."""
        self._of = of
        if not isinstance(value, Mapping):
            raise RemoteProtocolError(f"{of} is not a dictionary")
        self._fields = value

    def number(self, key: bytes, *, low: int = 0, high: int = 2**63 - 1, default: int | None = None) -> int:
        """Return an integer between `low` and `high`, both included."""
        value = self._fields.get(key, default)
        if not isinstance(value, int) or not low <= value <= high:
            raise self._refusal(key, f"must be a number from {low} to {high}")
        return value

    def octets(
        self, key: bytes, *, length: int | None = None, multiple_of: int = 1, default: bytes | None = None
    ) -> bytes:
        """Return a byte string, of exactly `length` or of a length that `multiple_of` divides."""
        value = self._fields.get(key, default)
        if not isinstance(value, bytes):
            raise self._refusal(key, "must be a byte string")
        if (length is not None and len(value) != length) or len(value) % multiple_of:
            raise self._refusal(key, f"has {len(value)} bytes")
        return value

    def items(self, key: bytes, *, default: list[Value] | None = None) -> list[Value]:
        """Return a list, its items unchecked."""
        value = self._fields.get(key, default)
        if not isinstance(value, list):
            raise self._refusal(key, "must be a list")
        return value

    def octet_strings(self, key: bytes, *, default: list[bytes] | None = None) -> list[bytes]:
        """Return a list of byte strings."""
        value = self._fields.get(key, default)
        if not isinstance(value, list) or not all(isinstance(item, bytes) for item in value):
            raise self._refusal(key, "must be a list of byte strings")
        return [item for item in value if isinstance(item, bytes)]

    def dictionary(self, key: bytes) -> "Fields":
        """Return a dictionary in this one, to be read likewise."""
        value = self._fields.get(key)
        if not isinstance(value, Mapping):
            raise self._refusal(key, "must be a dictionary")
        return Fields(value, of=f"{key.decode()} of {self._of}")

    def refuse_others(self, known: Collection[bytes]) -> None:
        """Refuse keys that are not `known`: what they mean cannot be guessed."""
        for key in self._fields:
            if key not in known:
                raise self._refusal(key, "is a field that this version does not know: update p2psync")

    def __contains__(self, key: bytes) -> bool:
        return key in self._fields

    def _refusal(self, key: bytes, what: str) -> RemoteProtocolError:
        shown = key[:_SHOWN_KEY_BYTES].decode("ascii", "backslashreplace")
        return RemoteProtocolError(f"{self._of}: {shown} {what}")
