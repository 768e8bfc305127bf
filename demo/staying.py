"""After the last step, at a terminal: addresses, folders and commands to try, and further hops until Ctrl-C."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from pathlib import Path
from typing import Final

from demo.province import LOOK, Province

REPLY: Final = ' --subject "V/v trả lời" --signer "Trần Thị Mẫu" --wait'


def stay_up(province: Province) -> None:
    """Print where everything is and follow the logs until Ctrl-C."""
    screen = province.screen
    province.hops.look()
    province.hops.shown = True
    screen.line("\n[bold cyan]Tỉnh thu nhỏ vẫn đang chạy[/] [dim]the province stays up; Ctrl-C ends it[/]\n")
    screen.places(_places(province))
    screen.line("\n    [bold]Thử bằng tay, ở một cửa sổ khác[/] [dim]try by hand, in another window[/]\n")
    for command in _commands(province):
        screen.command(command)
    screen.line("\n    Việc gì xảy ra sẽ hiện ở đây. Ctrl-C để kết thúc.\n")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            province.hops.look()
            time.sleep(LOOK)


def _places(province: Province) -> list[tuple[str, str]]:
    a, b = province.a, province.b
    return [
        ("Trục, SOAP gốc", f"{province.url}/lienthong/v1?wsdl"),
        ("Trục, gói B", f"{province.url}/edoc/v1?wsdl"),
        ("Trục, vận hành", f"http://127.0.0.1:{province.operator_port}/metrics"),
        ("edge A cho QLVB A", f"{a.service}?wsdl  (OrganId {a.code})"),
        ("edge B cho QLVB B", f"{b.service}?wsdl  (OrganId {b.code})"),
        ("B bỏ vào để gửi", str(b.outgoing)),
        ("B nhận tại", str(b.incoming)),
        ("Nhật ký", str(province.folder / "*.log")),
    ]


def _commands(province: Province) -> list[str]:
    scripts = shlex.quote(str(Path(sys.executable).parent))
    sample = shlex.quote(str(province.settings.file))
    return [
        f"cd {shlex.quote(str(province.folder))}; PATH={scripts}:$PATH",
        "lienthong-edge inbox --dir so-b",
        "lienthong-edge status --dir so-a",
        f"lienthong-edge send {sample} --dir so-b --to H21.16 --number 7 --notation SVDB-VP --date 2026-11-20{REPLY}",
        "lienthong-edge token --dir so-a",
        "lienthong-hub agency list --dir hub",
        "lienthong-hub doctor --dir hub",
    ]
