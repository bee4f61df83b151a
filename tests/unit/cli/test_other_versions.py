"""A process of another version is asked: it tells more than we know, or less."""

from dataclasses import asdict

import pytest
import trio

from p2psync.cli.asking import ask
from p2psync.node.control import serve_control
from tests.unit.cli.test_tables import ROW

UNKNOWN = {"of the future": [1, {"x": None}]}
NEWER = {
    "peers": {"peers": [asdict(ROW) | UNKNOWN], "copies_sent": 0.5} | UNKNOWN,
    "limit": {"limits": {"up": {"set": "3M", "now": 3e6, **UNKNOWN}, "lan": True, **UNKNOWN}} | UNKNOWN,
    "first": {"path": "a", "kind": "file", "from": 1, "to": 2, "size": 3, "read_at": "/f/s/1", "ready": False}
    | UNKNOWN,
    "status": {"folder": "/f", "state": "fetching", "seq": 3, "limits": {"up": {"set": "3M", "now": 3e6}}} | UNKNOWN,
}
OLDER = {
    "peers": {"peers": [{"address": "10.0.0.2:4001", "state": "idle"}]},
    "limit": {},
    "first": {"path": "a/b"},
    "status": {"folder": "/f", "state": "fetching"},
}
SHOWN = {"peers": "10.0.0.2:4001", "first": " comes first ", "limit": "limit", "status": "fetching"}


@pytest.mark.parametrize("command", ["peers", "limit", "status", "first"])
@pytest.mark.parametrize("answers", [NEWER, OLDER], ids=["newer", "older"])
async def test_what_is_known_of_an_answer_is_shown(tmp_path, nursery, capsys, command, answers):
    async def answer(question):
        return answers[question["command"]]

    nursery.start_soon(serve_control, tmp_path, answer, pytest.fail)
    await trio.testing.wait_all_tasks_blocked()
    await trio.to_thread.run_sync(lambda: ask(tmp_path, tmp_path, {"command": command}, as_json=False))
    assert SHOWN[command] in capsys.readouterr().out
