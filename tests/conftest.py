"""Puts this folder on the path, so that tests of every kind can import `tools`; keeps loggers open to what comes later.

A program configures its log once, and its loggers remember that at their first line. In one test process many programs
come and go: a logger that remembered would not be heard by the next test that listens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog


def _forgetful(configure: Callable[..., None]) -> Callable[..., None]:
    def configured(*arguments: Any, **options: Any) -> None:
        configure(*arguments, **{**options, "cache_logger_on_first_use": False})

    return configured


structlog.configure = _forgetful(structlog.configure)  # type: ignore[assignment]
