"""Files that are hashed."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SEED = 0x1F04A38FF0EF2D7B


@contextmanager
def opened(path: Path, data: bytes) -> Iterator[int]:
    """Write a file and open it."""
    path.write_bytes(data)
    handle = os.open(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


class GivenUpError(Exception):
    """What a checkpoint raises to give up."""


def give_up_at(look: int) -> Callable[[], None]:
    """Return a checkpoint that gives up when it is called so many times."""
    left = iter(range(look - 1))

    def checkpoint() -> None:
        if next(left, None) is None:
            raise GivenUpError

    return checkpoint
