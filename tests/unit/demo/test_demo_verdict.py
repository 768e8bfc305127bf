"""Whatever breaks in a step of the demo: the step is named, the exit code is 1, and the verdict is the last line."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest
import requests

from demo import __main__ as demo
from demo.programs import NotVerified
from demo.province import Province


def fails(error: BaseException) -> Callable[[], str]:
    def prove() -> str:
        raise error

    return prove


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """As they were: the demo sets its own."""
    numbers = (signal.SIGINT, *demo.STOPPING)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException) -> list[str]:
    """The lines of a run whose third step raises `error`."""

    def steps(_province: Province) -> list[demo.Step]:
        good = [demo.Step(f"Việc {number}", "", lambda: "xong") for number in range(1, 9)]
        return [*good[:2], demo.Step("Việc 3", "", fails(error)), *good[3:]]

    monkeypatch.setattr(demo, "steps_of", steps)
    monkeypatch.setenv("DEMO_MEGABYTES", "1")
    assert demo.main() == 1
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    "error",
    [
        NotVerified("mất 1 văn bản"),
        requests.ConnectionError("edge A went away"),
        subprocess.TimeoutExpired(["lienthong-edge", "receipt"], 120),
        FileNotFoundError(2, "No such file", "incoming/1-x/a.pdf"),
        AssertionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_step_that_breaks_is_named_and_the_verdict_comes_last(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    said = run(monkeypatch, capsys, error)
    (failure,) = [line for line in said if "✗" in line]
    assert "bước 3/8 (Việc 3): " in failure
    assert str(error) in failure
    assert said[-1] == "demo: 2 of 8 steps verified"


def test_an_interruption_is_no_failure_of_a_step(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    said = run(monkeypatch, capsys, KeyboardInterrupt())
    assert "Đã dừng theo yêu cầu." in said
    assert said[-1] == "demo: 2 of 8 steps verified"
