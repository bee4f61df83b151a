"""Meddling: something done just before a system call of ours. Python announces these (audit events, PEP 578)."""

import os
import sys
from collections.abc import Callable

_acts: dict[bytes, Callable[[], object]] = {}


def before_opening(name: str, act: Callable[[], object]) -> None:
    """Have something done just before a file or directory of this name is opened next."""
    _acts[os.fsencode(name)] = act


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if _acts and event == "open" and isinstance(arguments[0], str | bytes):
        act = _acts.pop(os.fsencode(arguments[0]), None)
        if act is not None:
            act()


sys.addaudithook(_hear)
