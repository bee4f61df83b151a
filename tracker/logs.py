"""One line an event, to stderr: for people, or as JSON for machines. Nothing of a request is ever logged."""

import json
import logging
from typing import Any

LOGGER = logging.getLogger("tracker")


def log(level: int, message: str, **fields: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Log an event: a message that is always the same, and what is particular to it."""
    LOGGER.log(level, message, extra={"fields": fields})


class TextFormatter(logging.Formatter):
    """Time, level, message, and the fields as `name=value`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name for it
        """Return the line, without its end."""
        told = [f" {name}={_spoken(value)}" for name, value in _fields(record).items() if value != []]
        return super().formatMessage(record) + "".join(told)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        event: dict[str, Any] = {"time": record.created, "level": record.levelname.lower()}
        event |= {"message": record.getMessage(), **_fields(record)}
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event)


def start_logging(form: str, level: str) -> None:
    """Send what the tracker logs to stderr, `form` being `text` or `json`."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    LOGGER.addHandler(handler)
    LOGGER.setLevel(level.upper())


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


def _spoken(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
