"""Structured logs: one JSON line per business decision on stderr, and never a document's content (AC-4.2a-3).

The rule is enforced, not hoped for: octets become their length, model objects their type name, long text is cut,
and an exception shows its type and place, its message only where that message cannot carry what a document said.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Final, cast

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger, Processor

MAX_TEXT: Final = 300
"""Characters of one logged value; more than any identifier, less than any document."""

CONTENT_KEYS: Final = frozenset(
    {"subject", "content", "body", "envelope", "appendixes", "description", "attachment_name", "comment"}
)
"""Field names of documents: their values never reach a log, whoever asks."""

_SAFE_MESSAGES: Final = ("protocol.", "runtime.", "sqlite3", "pysqlite3", "ssl", "asyncio", "aiohttp.client_exceptions")
"""Modules whose exceptions quote identifiers and states, never text of a document."""

bound = structlog.contextvars.bound_contextvars
"""Context manager: `with bound(agency="H21.16"):` adds fields to every line inside, across awaits."""


def configure(level: str = "info", *, json: bool = True) -> None:
    """Set up this process: `level` is debug, info, warning or error; text for a person when `json` is false.

    Lines of the standard library's `logging` (asyncio, aiohttp) pass through the same rules.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer = _to_json if json else _to_text
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _stamp, _guard, cast("Processor", renderer)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_Stderr,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(max(number, logging.WARNING))  # libraries speak only when something is wrong


def get(name: str) -> FilteringBoundLogger:
    """A logger; `name` says which part of the program speaks (`hub.intake`)."""
    logger: FilteringBoundLogger = structlog.get_logger(part=name)
    return logger


class _Stderr:
    """Writes finished lines; a broken stderr never stops a document."""

    def __init__(self, *_names: object) -> None:
        pass

    def msg(self, line: str) -> None:
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            return

    debug = info = warning = error = critical = exception = msg


class _Bridge(logging.Handler):
    """Hands records of the standard library to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = get(record.name)
        name = (
            "error" if record.levelno >= logging.ERROR else "warning" if record.levelno >= logging.WARNING else "info"
        )
        # The unformatted message: its arguments may quote a request.
        getattr(logger, name)("library", message=str(record.msg), exc_info=record.exc_info)


def _stamp(_logger: object, method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"time": time, "level": method, **event}


def _guard(_logger: object, method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    error = event.pop("exc_info", None)
    if error or method == "exception":
        event["error"] = describe_exception(error)
    for key, value in event.items():
        if type(value) is int or type(value) is bool or value is None:
            continue
        event[key] = "(không ghi)" if key in CONTENT_KEYS else _harmless(value)
    return event


def _harmless(value: object) -> object:  # noqa: PLR0911 - a table, one row per type
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}… ({len(value)})"
    if isinstance(value, int | float | datetime):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({len(value)} octets)"
    if isinstance(value, list | tuple | set | frozenset):
        return [_harmless(one) for one in list(value)[:20]]
    if isinstance(value, dict):
        return {str(key): _harmless(one) for key, one in list(value.items())[:20]}
    if isinstance(value, BaseException):
        return describe_exception(value)
    if isinstance(value, msgspec.Struct):
        return f"({type(value).__name__})"
    return str(value)[:MAX_TEXT]


def describe_exception(error: object) -> dict[str, object] | None:
    """Type, harmless message and frames (file, line, function; no locals, no source text) of an exception."""
    if isinstance(error, tuple):
        error = error[1]
    if not isinstance(error, BaseException):
        error = sys.exc_info()[1]
    if error is None:
        return None
    frames = traceback.extract_tb(error.__traceback__, limit=-12)
    described: dict[str, object] = {
        "type": type(error).__qualname__,
        "message": _message(error),
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if error.__cause__ is not None:
        described["cause"] = type(error.__cause__).__qualname__
    return described


def _message(error: BaseException) -> str:
    if isinstance(error, OSError):
        return f"{error.errno} {error.strerror}"  # without the file name: people name files after their content
    if type(error).__module__.startswith(_SAFE_MESSAGES):
        return str(error)[:MAX_TEXT]
    return ""


def _to_json(_logger: object, _method: str, event: MutableMapping[str, object]) -> str:
    return msgspec.json.encode(event).decode()


def _to_text(_logger: object, _method: str, event: MutableMapping[str, object]) -> str:
    time, level, name = (str(event.pop(key, "")) for key in ("time", "level", "event"))
    fields = " ".join(f"{key}={value}" for key, value in event.items())
    return f"{time} {level:<7} {name} {fields}".rstrip()
