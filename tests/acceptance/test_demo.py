"""`python -m demo` as a newcomer runs it, in a subprocess: it proves every step, or it says that it did not."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "demo" / "assets" / "123-SVDA-VP.signed.pdf"
PATIENCE = 240


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the demo makes its folder; not pytest's own, because the paths of sockets must be short."""
    folder = Path(tempfile.mkdtemp(prefix="ltdemo"))
    yield folder
    shutil.rmtree(folder)


def start(place: Path, **variables: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if name not in {"FILE", "KEEP", "COLUMNS"}}
    small = {"ONCE": "1", "DEMO_MEGABYTES": "9", "DEMO_DOCUMENTS": "30", "TMPDIR": str(place)}
    return subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env={**clean, **small, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(demo: subprocess.Popen[str]) -> tuple[int, list[str]]:
    said, _ = demo.communicate(timeout=PATIENCE)
    return demo.returncode, said.splitlines()


def nothing_is_left(place: Path) -> bool:
    """Neither a folder nor a process that works in it."""
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/environ") if _readable(path)]
    return list(place.iterdir()) == [] and not any(f"TMPDIR={place}".encode() in one for one in running)


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def test_every_step_is_verified_and_nothing_is_left_behind(place: Path):
    code, said = finish(start(place))
    text = "\n".join(said)
    assert said[-1] == "demo: 8 of 8 steps verified", text
    assert code == 0
    assert text.count("kill -9") == 2
    assert "30  văn bản trong thư mục của B, mỗi văn bản đúng một lần" in text
    assert nothing_is_left(place)


def test_a_document_of_ones_own_goes_the_same_way(place: Path):
    own = place / "của tôi.pdf"
    shutil.copy(SAMPLE, own)
    kept = place / "kept"
    kept.mkdir()
    demo = start(kept, FILE=str(own), KEEP="1", DEMO_DOCUMENTS="10")
    code, said = finish(demo)
    assert (code, said[-1]) == (0, "demo: 8 of 8 steps verified"), "\n".join(said)
    (folder,) = kept.iterdir()
    arrived = next((folder / "so-b" / "folders" / "incoming").glob("1-*/của tôi.pdf"))
    assert arrived.read_bytes() == SAMPLE.read_bytes()


def test_a_step_that_fails_is_said_and_counted(place: Path):
    marked = place / "TUYỆT MẬT.pdf"  # agency A's agent refuses it, as it must (AC-4.2a-1)
    shutil.copy(SAMPLE, marked)
    empty = place / "empty"
    empty.mkdir()
    code, said = finish(start(empty, FILE=str(marked)))
    text = "\n".join(said)
    assert code == 1, text
    assert said[-1] == "demo: 2 of 8 steps verified"
    assert "CheckPermission" in text
    assert "so-a.log" in text
    assert nothing_is_left(empty)


def test_an_impossible_setting_is_a_sentence_and_exit_code_2(place: Path):
    assert finish(start(place, FILE="/nowhere/a.pdf")) == (2, ["FILE: không có tệp /nowhere/a.pdf"])


def test_stopped_in_the_middle_it_stops_everything_and_counts_what_it_had(place: Path):
    demo = start(place, PYTHONUNBUFFERED="1")
    assert demo.stdout is not None
    for line in demo.stdout:
        if "so-a &" in line:
            break
    demo.send_signal(signal.SIGTERM)
    said = demo.stdout.read().splitlines()  # not `communicate`, which knows nothing of what was read ahead
    assert (demo.wait(PATIENCE), said[-1]) == (1, "demo: 1 of 8 steps verified")
    demo.stdout.close()
    assert nothing_is_left(place)


class Terminal:
    """The demo at a terminal of its own, where Ctrl-C is a key."""

    def __init__(self, place: Path) -> None:
        self._master, slave = pty.openpty()
        clean = {name: value for name, value in os.environ.items() if name not in {"FILE", "KEEP", "ONCE"}}
        self.demo = subprocess.Popen(
            [sys.executable, "-m", "demo"],
            cwd=ROOT,
            env={**clean, "DEMO_MEGABYTES": "1", "DEMO_DOCUMENTS": "10", "TMPDIR": str(place), "TERM": "xterm"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 -- no other way to a terminal of its own
        )
        os.close(slave)
        self.text = ""

    def read_until(self, text: str) -> None:
        """Everything up to this text, or the end."""
        end = time.monotonic() + PATIENCE
        while text not in self.text and time.monotonic() < end:
            if select.select([self._master], [], [], 1.0)[0]:
                try:
                    data = os.read(self._master, 1 << 16)
                except OSError:  # EIO: the other side is gone
                    return
                self.text += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode(errors="replace"))

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def close(self) -> None:
        """Not before the demo has ended, which cleans up when its terminal goes."""
        if self.demo.poll() is None:
            self.demo.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.demo.wait(PATIENCE)
        os.close(self._master)


@pytest.fixture
def terminal(place: Path) -> Iterator[Terminal]:
    made = Terminal(place)
    yield made
    made.close()


def test_at_a_terminal_it_stays_up_prints_addresses_that_answer_and_ends_on_ctrl_c(place: Path, terminal: Terminal):
    terminal.read_until("Ctrl-C để kết thúc")
    assert "Ctrl-C để kết thúc" in terminal.text, terminal.text
    assert terminal.demo.poll() is None
    address = re.search(r"edge A cho QLVB A\s+(http://127\.0\.0\.1:\d+/edoc/v1\?wsdl)", terminal.text)
    operators = re.search(r"(http://127\.0\.0\.1:\d+/metrics)", terminal.text)
    assert address is not None, terminal.text
    assert operators is not None, terminal.text
    with urllib.request.urlopen(address.group(1), timeout=10) as answer:
        assert b"SendDocument" in answer.read()
    with urllib.request.urlopen(operators.group(1), timeout=10) as answer:
        assert answer.status == 200
    terminal.press(b"\x03")
    terminal.read_until("steps verified")
    assert terminal.demo.wait(PATIENCE) == 0, terminal.text
    assert terminal.text.strip().splitlines()[-1] == "demo: 8 of 8 steps verified"
    assert nothing_is_left(place)
