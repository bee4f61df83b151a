"""Step back behind everything else that runs on this machine."""

import ctypes
import os
import platform
import sys

_LOWEST = 19
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "armv7l": 314, "armv6l": 314, "i686": 289, "ppc64le": 273}
"""Number of the system call, for which the C library has no function, by machine."""
_THIS_PROCESS = 1
_IDLE_CLASS = 3 << 13
"""The disk is ours only while nobody else wants it (ioprio_set(2))."""


def step_back() -> bool:
    """Give this process, and the threads that it begins from now on, the lowest priority for processor and disk.

    Returns:
        Whether the disk's could be set too: Linux alone has one, and some of its disk schedulers ignore it.
    """
    os.nice(_LOWEST)
    number = _IOPRIO_SET.get(platform.machine()) if sys.platform.startswith("linux") else None
    if number is None:
        return False
    return bool(ctypes.CDLL(None, use_errno=True).syscall(number, _THIS_PROCESS, 0, _IDLE_CLASS) == 0)
