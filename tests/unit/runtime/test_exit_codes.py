from __future__ import annotations

import click
import pytest

from protocol.errors import DOCUMENT_NOT_FOUND, SECRET_MARK, SUSPENDED, ExchangeError
from runtime import commands
from runtime.config import ConfigError


def outcome(error: BaseException | None, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    @click.command()
    @click.option("--count", type=int, required=True)
    def command(count: int) -> None:
        assert count == 1
        if error is not None:
            raise error

    with pytest.raises(SystemExit) as leaving:
        commands.run(command, args or ("--count", "1"))
    return int(leaving.value.code or 0), capsys.readouterr().err


def test_work_that_is_done_leaves_0_and_says_nothing(capsys: pytest.CaptureFixture[str]):
    assert outcome(None, capsys) == (0, "")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ConfigError("hub.toml: thiếu khóa"), 2, "Lỗi cấu hình: hub.toml: thiếu khóa"),
        (ExchangeError(DOCUMENT_NOT_FOUND), 1, "Lỗi document.not-found: Không tìm thấy"),
        (ExchangeError(SUSPENDED), 3, "Lỗi caller.suspended"),
        (ExchangeError(SECRET_MARK), 3, "Lỗi secrecy.refused"),
        (OSError(28, "No space left on device", "/data"), 1, "No space left on device (/data)"),
        (KeyboardInterrupt(), 1, "Đã dừng"),
        (click.Abort(), 1, "Đã dừng"),
        (RuntimeError("odd"), 1, "Lỗi không lường trước: RuntimeError: odd"),
        (click.ClickException("không được"), 1, "Lỗi: không được"),
        (click.exceptions.Exit(3), 3, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_each_kind_of_failure_has_its_exit_code_and_one_sentence(
    error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]
):
    found, said = outcome(error, capsys)
    assert found == code
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--kount", "1"), "không có tùy chọn --kount"),
        (("--count", "x"), "'--count'"),
        (("extra", "--count", "1"), "extra"),
        (("--nothing",), "Sai cách dùng"),
    ],
)
def test_wrong_usage_leaves_2_and_points_at_help(args: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]):
    code, said = outcome(None, capsys, *args)
    assert code == 2
    assert words in said
    assert "--help" in said


def test_missing_option_is_named(capsys: pytest.CaptureFixture[str]):
    @click.command()
    @click.option("--count", required=True)
    def command(count: str) -> None:
        raise AssertionError(count)

    with pytest.raises(SystemExit) as leaving:
        commands.run(command, [])
    assert leaving.value.code == 2
    assert "thiếu '--count'" in capsys.readouterr().err


def test_traceback_is_there_for_whoever_asks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIENTHONG_TRACEBACK", "1")
    assert "Traceback" in outcome(RuntimeError("odd"), capsys)[1]
