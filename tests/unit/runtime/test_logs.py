from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator

import msgspec
import pytest
import structlog

from protocol.errors import SEAL_INVALID, ExchangeError
from runtime import logs

SECRET = "Phương án tác chiến TỐI MẬT"


class Doc(msgspec.Struct):
    subject: str


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_one_json_line_per_event_with_time_level_and_part(capsys: pytest.CaptureFixture[str]):
    logs.configure("info")
    logs.get("hub.intake").info("document accepted", number=7, agency="H21.16")
    (line,) = lines(capsys)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "event": "document accepted",
        "part": "hub.intake",
        "number": 7,
        "agency": "H21.16",
    }


def test_level_below_the_threshold_is_silent(capsys: pytest.CaptureFixture[str]):
    logs.configure("warning")
    logs.get("x").info("quiet")
    logs.get("x").warning("loud")
    assert [line["event"] for line in lines(capsys)] == ["loud"]


async def test_context_reaches_every_line_of_its_task_and_no_other(capsys: pytest.CaptureFixture[str]):
    logs.configure("info")
    log = logs.get("x")

    async def work(agency: str) -> None:
        with logs.bound(agency=agency):
            await asyncio.sleep(0)
            log.info("done", wanted=agency)

    await asyncio.gather(work("A"), work("B"))
    log.info("outside")
    found = lines(capsys)
    assert all(line["agency"] == line["wanted"] for line in found[:2])
    assert "agency" not in found[2]


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": SECRET},
        {"body": SECRET.encode()},
        {"data": SECRET.encode()},
        {"message": Doc(SECRET)},
        {"items": [Doc(SECRET), SECRET.encode()]},
        {"where": {"x": Doc(SECRET)}},
        {"error": ValueError(SECRET)},
        {"description": SECRET, "attachment_name": SECRET},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_ac_4_2a_3_content_never_reaches_the_log_whatever_a_caller_passes(
    fields: dict[str, object], capsys: pytest.CaptureFixture[str]
):
    logs.configure("info")
    logs.get("x").info("event", **fields)
    text = capsys.readouterr().err
    assert "event" in text
    assert "MẬT" not in text
    assert "M\\u" not in text


@pytest.mark.parametrize(
    "raised", [ValueError(SECRET), OSError(2, "No such file", f"/in/{SECRET}.pdf"), KeyError(SECRET)]
)
def test_ac_4_2a_3_exception_shows_type_and_place_but_no_text_of_a_document(
    raised: Exception, capsys: pytest.CaptureFixture[str]
):
    logs.configure("info")
    try:
        raise raised
    except type(raised):
        logs.get("x").exception("failed")
    text = capsys.readouterr().err
    assert "MẬT" not in text
    (line,) = [json.loads(text)]
    assert line["error"]["type"] == type(raised).__name__
    assert "test_logs.py" in line["error"]["frames"][-1]


def test_our_own_errors_keep_their_code(capsys: pytest.CaptureFixture[str]):
    logs.configure("info")
    logs.get("x").error("failed", exc_info=ExchangeError(SEAL_INVALID, element="Signature"))
    assert lines(capsys)[0]["error"]["message"] == "seal.invalid (Signature)"


def test_long_text_is_cut(capsys: pytest.CaptureFixture[str]):
    logs.configure("info")
    logs.get("x").info("event", value="a" * 10_000)
    assert len(lines(capsys)[0]["value"]) < 400


def test_library_lines_pass_the_same_rules_and_keep_their_arguments_out(capsys: pytest.CaptureFixture[str]):
    logs.configure("info")
    logging.getLogger("aiohttp.server").error("Error handling %s", SECRET)
    logging.getLogger("aiohttp.access").info("chatter")
    (line,) = lines(capsys)
    assert (line["event"], line["part"], line["message"]) == ("library", "aiohttp.server", "Error handling %s")


def test_broken_stderr_never_stops_the_work(monkeypatch: pytest.MonkeyPatch):
    class Broken:
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    logs.configure("info")
    monkeypatch.setattr("sys.stderr", Broken())
    logs.get("x").info("event")


def test_text_form_is_one_line_for_a_person(capsys: pytest.CaptureFixture[str]):
    logs.configure("info", json=False)
    logs.get("x").info("document accepted", number=7)
    (line,) = capsys.readouterr().err.splitlines()
    assert "info    document accepted part=x number=7" in line
