"""Job logs: a JSON object a line, on stderr. Keys and other people's text appear inside JSON strings only."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """Formats a record as `{"level", "time", "message", …}`; `extra={"fields": {…}}` adds fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, ASCII alone: no control character of a key reaches a terminal."""
        line: dict[str, object] = {
            "level": record.levelname,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            **getattr(record, "fields", {}),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_to_stderr() -> None:
    """Send every log line of this process to stderr as JSON, from INFO on; libraries only from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    set_level("INFO")


def set_level(level: str) -> None:
    """Log our own lines from this level on."""
    logging.getLogger("batch_jobs").setLevel(level)
    logging.getLogger("millrace").setLevel(level)
