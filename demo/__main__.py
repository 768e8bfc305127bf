"""Entry point: set up a folder, go through the steps, stay up or end, stop everything, say the verdict."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

from demo.joining import join_agencies, set_up_hub
from demo.killing import Stream, account, kill_in_a_stream
from demo.programs import INTERRUPTIONS, NotVerified
from demo.province import Province
from demo.screen import Screen
from demo.sending import Correspondence, return_statuses, send_document, send_large, verify_receipt
from demo.settings import Settings, SettingsError, from_environment
from demo.staying import stay_up

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
STOPPING: Final = tuple(number for number in INTERRUPTIONS if number != signal.SIGINT)
"""What ends the demo like Ctrl-C."""


class Step(msgspec.Struct, frozen=True):
    """One thing that is proved. `prove` returns the sentence that says so, or raises."""

    vietnamese: str
    english: str
    prove: Callable[[], str]


def steps_of(province: Province) -> list[Step]:
    """The story, in order."""
    story = Correspondence(province)
    streams: list[Stream] = []

    def stream() -> Stream:
        if not streams:
            streams.append(Stream(story))
        return streams[0]

    size = province.settings.megabytes
    return [
        Step("Lập trục liên thông của tỉnh", "the province's hub, from nothing", lambda: set_up_hub(province)),
        Step("Hai cơ quan tham gia bằng mã dùng một lần", "two agencies join by one-time code",
             lambda: join_agencies(province)),
        Step("QLVB của cơ quan A gửi một văn bản đã ký cho cơ quan B",
             "A's document system (a zeep client) sends a signed PDF; it reaches B's folder byte-identical",
             lambda: send_document(story)),
        Step(f"Một tệp đính kèm {size} MB", f"a {size} MB attachment, hop by hop", lambda: send_large(story)),
        Step("Trạng thái 01 và 03 trở về cơ quan A", "statuses return: 01 by itself, 03 from a clerk's line of TOML",
             lambda: return_statuses(story)),
        Step("Kiểm chứng biên nhận khi trục đã tắt", "the receipt verifies offline, with the hub switched off",
             lambda: verify_receipt(story)),
        Step("Giết trục bằng SIGKILL giữa dòng văn bản", "the hub is killed (SIGKILL) in the middle of a stream",
             lambda: kill_in_a_stream(stream())),
        Step("Đối soát từng văn bản", "every document accounted for: none lost, none doubled, all receipts verify",
             lambda: account(stream())),
    ]  # fmt: skip


def main() -> int:
    """The exit code."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    try:
        settings = from_environment(os.environ, terminal=terminal)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    for number in STOPPING:
        signal.signal(number, _interrupt)
    with _folder(keep=settings.keep) as folder:
        screen = _run(folder, settings)
    if settings.keep:
        screen.line(f"\nThư mục được giữ lại: {folder}")
    screen.line()
    screen.verdict()
    return 0 if screen.verified_steps == screen.total else EXIT_FAILED


def _run(folder: Path, settings: Settings) -> Screen:
    """Everything between an empty folder and the verdict; every program is stopped when this returns."""
    screen = Screen(total=8)
    province = None
    try:
        screen.heading(folder)
        _check_space(folder, settings)
        province = Province(folder, settings, screen)
        _go_through(steps_of(province), screen)
        if settings.stays:
            stay_up(province)
    except KeyboardInterrupt:
        screen.line("\nĐã dừng theo yêu cầu.")
    except NotVerified as error:
        screen.failed(str(error), province.programs.tails() if province else [])
    except Exception as error:  # noqa: BLE001 -- whatever breaks, the step is named, and the verdict is the last line
        screen.failed(f"{type(error).__name__}: {error}", province.programs.tails() if province else [])
    finally:
        _finish(province)
    return screen


def _go_through(steps: list[Step], screen: Screen) -> None:
    assert len(steps) == screen.total
    for number, step in enumerate(steps, 1):
        screen.step(number, step.vietnamese, step.english)
        screen.verified(step.prove())


def _finish(province: Province | None) -> None:
    """Stop the programs; Ctrl-C must not leave any of them behind."""
    for number in INTERRUPTIONS:
        signal.signal(number, signal.SIG_IGN)
    if province is not None:
        province.programs.stop()


def _check_space(folder: Path, settings: Settings) -> None:
    free = shutil.disk_usage(folder).free
    if free < settings.space:
        raise NotVerified(
            f"{folder.parent} còn trống {free >> 20} MiB, cần {settings.space >> 20} MiB:"
            " đặt TMPDIR sang đĩa khác hoặc DEMO_MEGABYTES nhỏ hơn"
        )


@contextlib.contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """A fresh folder; its path is short because sockets' paths must be."""
    folder = Path(tempfile.mkdtemp(prefix="lienthong-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
