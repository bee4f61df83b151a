from concurrent.futures import ThreadPoolExecutor

import pytest


@pytest.fixture(scope="module")
def pool():
    """Threads that hash."""
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Where a file is to be hashed."""
    return tmp_path_factory.mktemp("hashing") / "file"
