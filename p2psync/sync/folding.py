"""Whether a file system takes names that differ by case or Unicode form for the same."""

import os

_PROBES = ((b"probe-a", b"PROBE-A"), ("probe-\u00e9".encode(), "probe-e\u0301".encode()))
"""Bytes, as all names: in some locales a name of text cannot be said to the system."""


def folds_names(directory: int) -> bool:
    """Try it out, with files that are removed again, in an open directory of the file system."""
    return any(_is_same_file(directory, name, other) for name, other in _PROBES)


def _is_same_file(directory: int, name: bytes, other: bytes) -> bool:
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=directory))
    try:
        os.stat(other, dir_fd=directory)
    except FileNotFoundError:
        return False
    else:
        return True
    finally:
        os.unlink(name, dir_fd=directory)
