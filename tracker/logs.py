"""One line an event, to stderr: for people, or as JSON for machines. Nothing of a request is ever logged."""

import json
import logging
from typing import Any

LOGGER = logging.getLogger("tracker")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        fields: dict[str, Any] = {"time": record.created, "level": record.levelname.lower()}
        fields["message"] = record.getMessage()
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def start_logging(form: str, level: str) -> None:
    """Send what the tracker logs to stderr, `form` being `text` or `json`."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else text)
    LOGGER.addHandler(handler)
    LOGGER.setLevel(level.upper())
