"""Steps 1 and 2: a hub from nothing, and two agencies that join it with one-time codes."""

from __future__ import annotations

import re

from demo.programs import NotVerified
from demo.province import Agency, Province


def set_up_hub(province: Province) -> str:
    """`init`, `serve`, ready."""
    run = province.programs.run
    run("lienthong-hub", "init", "--dir", "hub", "--province-name", "Gia Lai", "--port", str(province.port))
    start_hub(province)
    return f"trục sẵn sàng tại {province.url} (TLS 1.3), với CA và sổ bằng chứng vừa lập"


def start_hub(province: Province) -> None:
    """Start (or start again) and wait until it is ready."""
    if not province.programs.servers:
        province.hub = province.programs.serve("hub", "lienthong-hub", "serve", "--dir", "hub")
        province.hops.follow("trục", province.hub.log)
    else:
        province.hub.start()
    province.await_ready(province.operator_port, "trục")


def join_agencies(province: Province) -> str:
    """Both agencies join; a code that was used is worth nothing any more."""
    code = ""
    for agency in (province.a, province.b):
        code = _invite(province, agency)
        _join(province, agency, code)
    province.programs.run("lienthong-edge", "join", province.url, code, "--dir", "nguoi-la", expect=3)
    province.screen.said(["mã đã dùng: bị từ chối (mã kết thúc 3), như phải thế"])
    return "hai cơ quan đã tham gia; mỗi mã chỉ dùng được một lần"


def _invite(province: Province, agency: Agency) -> str:
    said = province.programs.run("lienthong-hub", "agency", "add", agency.code, "--name", agency.name, "--dir", "hub")
    found = re.search(r"^\s+(\S+)$", said, re.MULTILINE)
    if found is None:
        raise NotVerified(f"không thấy mã tham gia trong: {said}")
    return found.group(1)


def _join(province: Province, agency: Agency, code: str) -> None:
    run = province.programs.run
    run("lienthong-edge", "join", province.url, code, "--dir", agency.folder)
    _choose_port(agency)
    name = f"edge {agency.letter}"
    agency.server = province.programs.serve(agency.folder, "lienthong-edge", "serve", "--dir", agency.folder)
    province.hops.follow(name, agency.server.log)
    province.await_ready(agency.port, name)


def _choose_port(agency: Agency) -> None:
    """Two agents on one machine: each gets a port of its own. Nothing else differs from the defaults."""
    path = agency.root / "edge.toml"
    text, changed = re.subn(r"^port = \d+", f"port = {agency.port}", path.read_text("utf-8"), flags=re.MULTILINE)
    if changed != 1:
        raise NotVerified(f"{path}: chờ đúng một khóa port, thấy {changed}")
    path.write_text(text, "utf-8")
