"""Disks that tests mount."""

import subprocess
from contextlib import contextmanager

import pytest


@contextmanager
def mounted_disk(path, size):
    path.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=False)
    if done.returncode != 0:
        pytest.skip("mounting a file system takes root")
    try:
        yield
    finally:
        left_open = subprocess.run(["umount", path], check=False).returncode != 0
        if left_open:
            subprocess.run(["umount", "--lazy", path], check=True)
    assert not left_open
