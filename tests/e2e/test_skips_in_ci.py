"""The rule of tests/conftest.py: in CI a skipped test fails the run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SKIPS = {
    "mark": "@pytest.mark.skip(reason='no such program')\ndef test_it(): pass",
    "call": "def test_it(): pytest.skip('no such program')",
    "fixture": "@pytest.fixture\ndef tool(): pytest.skip('no such program')\ndef test_it(tool): pass",
    "module": "pytest.skip('no such program', allow_module_level=True)",
}


def outcome(tmp_path, body, ci):
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_one.py").write_text(f"import pytest\n{body}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    environment = {key: value for key, value in os.environ.items() if key != "CI"} | ci
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("body", SKIPS.values(), ids=SKIPS)
def test_a_skip_fails_in_ci_and_says_why(tmp_path, body):
    done = outcome(tmp_path, body, {"CI": "true"})
    assert done.returncode != 0
    assert "in CI nothing may be: " in done.stdout
    assert "no such program" in done.stdout


@pytest.mark.parametrize("body", SKIPS.values(), ids=SKIPS)
def test_a_skip_is_a_skip_elsewhere(tmp_path, body):
    assert "1 skipped" in outcome(tmp_path, body, {}).stdout


def test_an_expected_failure_is_no_skip(tmp_path):
    done = outcome(tmp_path, "@pytest.mark.xfail\ndef test_it(): assert False", {"CI": "true"})
    assert done.returncode == 0
    assert "1 xfailed" in done.stdout
