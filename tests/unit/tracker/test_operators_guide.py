"""What tracker/README.md says of options, metrics and files, against the code."""

import random
import re
import tomllib
from pathlib import Path

from tracker.config import load_settings
from tracker.memory_swarms import MemorySwarms
from tracker.options import OPTIONS
from tracker.service import Outcome
from tracker.telemetry import Telemetry

TRACKER = Path(__file__).parents[3] / "tracker"
README = (TRACKER / "README.md").read_text()


def test_every_option_is_listed_with_its_default():
    settings = README.split("## Settings", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| `([^`]+)` \|", settings, re.MULTILINE)
    listed = {
        name: tomllib.loads(f"x = {default}")["x"] for names, default in rows for name in re.findall(r"\w+", names)
    }
    assert listed == {option.name: option.default for option in OPTIONS}


def test_the_example_of_a_file_is_one():
    example = README.split("```toml\n", 1)[1].split("```", 1)[0]
    assert load_settings(file=example, environment={}, flags={}).access == "allow"


def test_every_metric_and_outcome_is_listed():
    text = Telemetry(MemorySwarms(random.Random(0))).registry.openmetrics()
    for family, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE):
        assert f"`{family}{'_total' if kind == 'counter' else ''}`" in README
    outcomes = README.split("Outcomes: ", 1)[1].split("HTTPS counts", 1)[0]
    assert set(re.findall(r"`(\w+)`", outcomes)) == {outcome.name.lower() for outcome in Outcome}


def test_every_file_it_points_to_is_there():
    paths = re.findall(r"\]\(([^)]+)\)", README)
    assert len(paths) >= 5
    assert all((TRACKER / path).is_file() for path in paths)


def test_every_environment_variable_and_flag_it_names_is_one():
    named = re.findall(r"P2PSYNC_TRACKER_([A-Z_0-9]+)", README)
    assert {name.lower() for name in named} <= {option.name for option in OPTIONS} | {"config"}
