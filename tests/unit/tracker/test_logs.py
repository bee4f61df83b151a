import json
import logging

import pytest

from tracker.logs import JsonFormatter, TextFormatter


def record(message="serving", **fields):
    made = logging.LogRecord("tracker", logging.INFO, "x.py", 1, message, (), None)
    made.fields = fields
    return made


def test_a_line_of_json_has_the_fields_beside_the_message():
    line = JsonFormatter().format(record(http=["127.0.0.1:1"], keys=3))
    event = json.loads(line)
    assert isinstance(event.pop("time"), float)
    assert event == {"level": "info", "message": "serving", "http": ["127.0.0.1:1"], "keys": 3}
    assert "\n" not in JsonFormatter().format(record("two\nlines"))


def test_a_line_for_people_has_them_behind_it_but_no_empty_lists():
    line = TextFormatter().format(record(http=["127.0.0.1:1", "[::1]:2"], udp=[], keys=3))
    assert line.endswith(" INFO    serving http=127.0.0.1:1,[::1]:2 keys=3")


def test_what_went_wrong_is_on_the_same_line_of_json():
    failing = record("fault")
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0  # noqa: B018
    failing.exc_info = (caught.type, caught.value, caught.tb)
    event = json.loads(JsonFormatter().format(failing))
    assert "ZeroDivisionError" in event["traceback"]
