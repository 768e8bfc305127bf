"""The hub's log while a test looks: the lines as they would be written, after every rule of `runtime.logs`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

from runtime import logs

Line = dict[str, Any]


@contextmanager
def captured() -> Iterator[list[Line]]:
    """Every line at every level, those of libraries too; nothing is printed."""
    lines: list[Line] = []

    def keep(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Any:
        lines.append(dict(event))
        raise structlog.DropEvent

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, logs._stamp, logs._guard, keep],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=False,
    )
    root.handlers = [logs._Bridge()]
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        structlog.reset_defaults()
        root.handlers, root.level = handlers, level
