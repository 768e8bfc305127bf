"""Exit codes of the three commands, and the one place where an error becomes a sentence and a code.

0 done, 1 the work failed, 2 bad configuration or usage (the systemd unit does not restart on 2), 3 refused by policy.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Final, NoReturn

import click

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_POLICY: Final = 3

_POLICY_BRANCHES: Final = frozenset({"caller", "recipient", "secrecy", "enrolment"})
"""Branches of the error vocabulary that say "you may not", as opposed to "this is broken"."""


def run(command: click.Command, args: Sequence[str] | None = None) -> NoReturn:
    """Run a click command and leave the process with its exit code; errors are one Vietnamese line on stderr."""
    try:
        code = command.main(args=None if args is None else list(args), standalone_mode=False)
    except SystemExit:
        raise
    except click.exceptions.Exit as leaving:
        code = leaving.exit_code
    except BaseException as error:  # noqa: BLE001 - the last handler of the process: everything becomes an exit code
        code = report(error)
    _flush()
    sys.exit(code if isinstance(code, int) else 0)


def report(error: BaseException) -> int:
    """Say on stderr what went wrong and return the exit code that fits."""
    sentence, code = _explain(error)
    click.echo(sentence, err=True)
    if os.environ.get("LIENTHONG_TRACEBACK"):
        traceback.print_exception(error)
    return code


def _explain(error: BaseException) -> tuple[str, int]:  # noqa: PLR0911 - a table, one row per kind of error
    # Imported here: `--help` must not pay for what only a failure needs.
    from protocol.errors import ExchangeError
    from runtime.config import ConfigError

    match error:
        case click.UsageError():
            return _usage(error), EXIT_USAGE
        case click.ClickException():
            return f"Lỗi: {error.format_message()}", error.exit_code
        case click.Abort() | KeyboardInterrupt():
            return "Đã dừng theo yêu cầu.", EXIT_FAILED
        case ConfigError():
            return f"Lỗi cấu hình: {error}", EXIT_USAGE
        case ExchangeError():
            code = EXIT_POLICY if error.kind.branch in _POLICY_BRANCHES else EXIT_FAILED
            element = f" ({error.element})" if error.element and error.element not in error.sentence else ""
            return f"Lỗi {error.kind.code}: {error.sentence}{element}", code
        case OSError():
            where = f" ({error.filename})" if error.filename else ""
            return f"Lỗi hệ thống: {error.strerror or error}{where}.", EXIT_FAILED
        case _:
            hint = "đặt LIENTHONG_TRACEBACK=1 để xem chi tiết"
            return f"Lỗi không lường trước: {type(error).__name__}: {error} ({hint}).", EXIT_FAILED


def _usage(error: click.UsageError) -> str:
    name = error.ctx.command_path if error.ctx else ""
    help_line = f"\nXem hướng dẫn: {name} --help" if name else ""
    hint = error.param.get_error_hint(error.ctx) if isinstance(error, click.BadParameter) and error.param else ""
    match error:
        case click.NoSuchOption():
            text = f"không có tùy chọn {error.option_name}"
        case click.MissingParameter():
            text = f"thiếu {hint}"
        case click.BadParameter():
            text = f"giá trị của {hint} không hợp lệ: {error.message}" if hint else error.message
        case _:
            text = error.format_message()
    return f"Sai cách dùng: {text.removesuffix('.')}.{help_line}"


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # the reader of the pipe has left: not our failure
            os._exit(EXIT_FAILED)
