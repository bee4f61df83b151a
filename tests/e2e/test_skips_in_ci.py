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
EXPECTED_FAILURE = "@pytest.mark.xfail\ndef test_it(): assert False"


def said_of(tmp_path, bodies, ci, *options):
    shutil.copy(CONFTEST, tmp_path)
    for name, body in bodies.items():
        (tmp_path / f"test_{name}.py").write_text(f"import pytest\n{body}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    environment = {key: value for key, value in os.environ.items() if key != "CI"} | ci
    done = subprocess.run(
        [*command, *options, tmp_path], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one by one", "two at a time"])
def test_skips_of_every_kind_fail_in_ci_and_say_why(tmp_path, options):
    code, said = said_of(tmp_path, SKIPS, {"CI": "true"}, *options)
    assert code != 0
    assert "1 failed, 3 errors" in said
    assert "skipped" not in said.splitlines()[-1]
    assert said.count("in CI nothing may be: ") >= 4
    assert "no such program" in said


def test_skips_are_skips_elsewhere(tmp_path):
    code, said = said_of(tmp_path, {**SKIPS, "passes": "def test_it(): pass"}, {})
    assert (code, "1 passed, 4 skipped" in said) == (0, True)


def test_an_expected_failure_is_no_skip(tmp_path):
    code, said = said_of(tmp_path, {"expected": EXPECTED_FAILURE}, {"CI": "true"})
    assert (code, "1 xfailed" in said) == (0, True)
