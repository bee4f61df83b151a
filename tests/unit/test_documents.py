"""What README.md and DESIGN.md say can be checked: events, options, exit codes, names of modules and files."""

import importlib
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

import p2psync
from p2psync.cli import main, run
from p2psync.node.events import NodeEvent
from p2psync.sync.events import Activity

ROOT = Path(__file__).parents[2]
DESIGN = (ROOT / "p2psync/DESIGN.md").read_text()
README = (ROOT / "README.md").read_text()
DOCUMENTS = {"README.md": README, "p2psync/DESIGN.md": DESIGN}


def block_after(text, heading, language):
    return text.split(heading, 1)[1].split(f"```{language}\n", 1)[1].split("```", 1)[0]


def test_every_event_is_shown_with_all_its_fields():
    shown = [json.loads(line) for line in block_after(DESIGN, "### Events", "json").splitlines()]
    assert {event["event"]: list(event)[1:] for event in shown} == {
        kind.event: [field.name for field in fields(kind)] for kind in get_args(NodeEvent)
    }


def test_every_state_of_progress_is_named():
    row = next(line for line in DESIGN.splitlines() if line.startswith("| `progress` |"))
    assert all(f"`{activity.value}`" in row for activity in Activity)


def test_every_exit_code_is_listed_for_users_and_in_the_contract():
    codes = {0, run.INTERRUPTED, *(code for _, _, code in run._ENDINGS)}
    for name, text in DOCUMENTS.items():
        table = text.split("### Exit codes", 1)[1]
        assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == codes, name


@pytest.mark.parametrize("command", ["share", "get", "sync", "peers", "status", "limit"])
def test_the_options_of_the_contract_are_those_of_the_command(command):
    line = next(line for line in DESIGN.splitlines() if line.startswith(f"p2psync {command} "))
    for group in ("LIMITS", "MANNERS", "ORDER"):
        line = line.replace(f"[{group}]", next(line for line in DESIGN.splitlines() if line.startswith(f"{group} ")))
    told = {*re.findall(r"--[a-z-]+", line), "--json", "--help"}
    shown = CliRunner().invoke(main.app, [command, "--help"], env={"COLUMNS": "200"}).output
    built = {
        option
        for options, rest in re.findall(r"^  (?:-h, )?(--[a-z-]+(?: / --[a-z-]+)?)(.*)$", shown, re.MULTILINE)
        for option in options.split(" / ")
        if "not built" not in rest
    }
    assert told == built


def test_what_is_not_built_is_listed_and_nothing_else():
    told = DESIGN.split("**Not built yet**", 1)[1].split("\n\n", 1)[0]
    commands = told.split("the commands", 1)[1]
    assert set(re.findall(r"`([a-z]+)`", commands)) == set(main._NOT_BUILT)
    assert all(option in told for option in ("--sealed", "--two-way", "--only"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document):
    links = re.findall(r"\]\(([^)#:]+)\)", DOCUMENTS[document])
    missing = [link for link in links if not (ROOT / document).parent.joinpath(link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_is_named_exists(document):
    named = set(re.findall(r"`([a-z_0-9]+(?:/[a-z_A-Z]+)*\.(?:py|md|toml))`", DOCUMENTS[document]))
    assert named
    assert [name for name in named if not (ROOT / name).exists() and not (ROOT / "p2psync" / name).exists()] == []


def test_every_class_and_function_of_the_flow_exists():
    flow = DESIGN.split("## 4.", 1)[1].split("## 5.", 1)[0]
    named = re.findall(r"`((?:sync|swarm|store|blocks|manifest|wire)(?:\.\w+)+)`", flow)
    assert named
    for dotted in named:
        at = p2psync
        for part in dotted.split("."):
            at = getattr(at, part, None) or importlib.import_module(f"{at.__name__}.{part}")
