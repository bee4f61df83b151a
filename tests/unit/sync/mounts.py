"""What tests mount."""

import subprocess
from contextlib import contextmanager

import pytest


def mounted_disk(path, size):
    """Mount an empty disk of a size (`1m`)."""
    path.mkdir(exist_ok=True)
    return _mounted(path, "-t", "tmpfs", "-o", f"size={size}", "tmpfs")


def pinned(path):
    """Mount a file onto itself: it looks the same, and nothing can be renamed over it."""
    return _mounted(path, "--bind", path)


@contextmanager
def _mounted(path, *what):
    if subprocess.run(["mount", *what, path], check=False).returncode != 0:
        pytest.skip("mounting takes root")
    try:
        yield
    finally:
        left_open = subprocess.run(["umount", path], check=False).returncode != 0
        if left_open:
            subprocess.run(["umount", "--lazy", path], check=True)
    assert not left_open
