"""`lienthong-edge doctor`: examines one agent, one line per question, each with what to do when the answer is bad."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import pysqlite3
from cryptography import x509

from certs import tls
from certs.signers import FileSigner
from edge_agent import control
from edge_agent.bridge.local_service import limits_of
from edge_agent.clock import VIETNAM, Clock, system_clock
from edge_agent.configuration import EdgeConfig
from edge_agent.forks import Forks, contradicts
from edge_agent.places import Places
from edge_agent.trusting import Beliefs
from edge_agent.uplink import HubLink
from protocol.errors import ExchangeError
from runtime import database, durable
from runtime.config import ConfigError

EXPIRES_SOON: Final = timedelta(days=30)
SKEW: Final = timedelta(minutes=5)
CLOSING: Final = 0.25
"""Seconds in which a connection that the hub gave up says goodbye; the loop ends after that (aiohttp's own advice)."""


class Finding(msgspec.Struct, frozen=True):
    """One answer. `sentence` is Vietnamese and says what to do when `good` is false."""

    subject: str
    good: bool
    sentence: str


def examine(places: Places, config: EdgeConfig, clock: Clock = system_clock) -> list[Finding]:
    """All findings, in the order in which a person would look. Raises nothing."""
    findings = [
        _ask("Chứng thư", lambda: _certificate(places, clock())),
        _ask("Dữ liệu tin cậy", lambda: _trust(places, clock)),
        _ask("Ổ đĩa", lambda: _disk(places, config)),
        _ask("Thư mục", lambda: _folders(places)),
        _ask("Quyền của tệp", lambda: _modes(places, config)),
        _ask("SQLite", _sqlite),
        _ask("Cơ sở dữ liệu", lambda: _database(places)),
        _ask("Mã truy cập của QLVB", lambda: _token(places)),
        _ask("Sổ bằng chứng", lambda: _log(places, clock)),
        _ask("Tác vụ", lambda: _agent(places)),
    ]
    return [*findings, *asyncio.run(_hub(places, config, clock))]


def _ask(subject: str, question: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, good=True, sentence=question())
    except _Bad as bad:
        return Finding(subject, good=False, sentence=str(bad))
    except (ConfigError, ExchangeError) as error:
        return Finding(subject, good=False, sentence=getattr(error, "sentence", str(error)))
    except (OSError, database.SchemaError, database.UnsafeSqliteError) as error:
        return Finding(subject, good=False, sentence=f"{type(error).__name__}: {error}")


class _Bad(Exception):  # noqa: N818 -- an answer, not a fault of the program
    """A bad answer; its text is the sentence."""


def _certificate(places: Places, now: datetime) -> str:
    signer = FileSigner(places.identity, places.identity)
    ends = x509.load_der_x509_certificate(signer.certificate).not_valid_after_utc
    day = ends.astimezone(VIETNAM).strftime("%d/%m/%Y")
    if ends < now:
        raise _Bad(f"Chứng thư hết hạn ngày {day}. Xin mã tham gia mới rồi chạy lienthong-edge join --anew.")
    if ends - now < EXPIRES_SOON:
        raise _Bad(f"Chứng thư sắp hết hạn ({day}). Xin mã tham gia mới rồi chạy lienthong-edge join --anew.")
    return f"còn hạn đến {day}, khóa chỉ chủ tệp đọc được"


def _trust(places: Places, clock: Clock) -> str:
    beliefs = Beliefs(places, clock)
    until = beliefs.revocation_until()
    if beliefs.problem:
        raise _Bad(f"Danh sách thu hồi mới nhất không dùng được: {beliefs.problem}. Báo Trung tâm.")
    if until is None or until < clock():
        raise _Bad("Danh sách thu hồi đã quá hạn. Nối lại mạng tới trục; tác vụ tự tải bản mới.")
    if not beliefs.vkeys():
        raise _Bad("Chưa có khóa của sổ bằng chứng. Chạy lại lienthong-edge join.")
    return f"danh sách thu hồi dùng được đến {until.astimezone(VIETNAM):%d/%m/%Y %H:%M}"


def _disk(places: Places, config: EdgeConfig) -> str:
    free = shutil.disk_usage(places.root).free
    if free < 2 * config.limits.disk_free:
        raise _Bad(f"Chỉ còn trống {free >> 20} MB. Dọn đĩa; dưới {config.limits.disk_free >> 20} MB thì ngừng nhận.")
    return f"còn trống {free >> 20} MB"


def _folders(places: Places) -> str:
    for folder in (places.outgoing, places.incoming, places.done, places.failed, places.payloads):
        if not folder.is_dir():
            raise _Bad(f"Thiếu thư mục {folder}. Khởi động lại tác vụ để tạo lại; xem ai đã xóa.")
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise _Bad(f"Không ghi được vào {folder}. Cấp quyền cho tài khoản chạy dịch vụ.")
    return "ghi được cả outgoing, incoming, done, failed"


def _modes(places: Places, config: EdgeConfig) -> str:
    """Letters and secrets are the owner's alone."""
    token = config.soap.token_file
    private = [path for path in (places.data, places.payloads, places.keys) if path.exists()]
    private += [*places.data.glob(f"{places.database.name}*"), *places.keys.glob("*")]
    if token is not None and token.exists():
        private.append(token)
    if exposed := durable.exposure(private):
        raise _Bad(exposed)
    return "data và keys chỉ tài khoản chạy tác vụ vào được"


def _sqlite() -> str:
    version = database.library_version()
    text = ".".join(map(str, version))
    if not database.is_safe(version):
        raise _Bad(f"SQLite {text} có lỗi hỏng dữ liệu. Cài lại đúng phiên bản pysqlite3 đã ghim.")
    return f"phiên bản {text}"


def _database(places: Places) -> str:
    if not Path(places.database).exists():
        return "chưa có (dịch vụ chưa chạy lần nào)"
    try:
        with closing(database.connect(places.database, read_only=True)) as connection:
            answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except pysqlite3.DatabaseError as error:  # too damaged even to be examined
        answer = str(error)
    if answer != "ok":
        raise _Bad("Cơ sở dữ liệu bị hỏng. Dừng dịch vụ, chép nguyên thư mục data rồi báo Trung tâm.")
    return "nguyên vẹn"


def _token(places: Places) -> str:
    if not places.token_hash.exists():
        return "chưa tạo (chỉ cần khi phần mềm QLVB gọi dịch vụ trên máy này: lienthong-edge token)"
    return "đã có"


def _log(places: Places, clock: Clock) -> str:
    """Evidence of two histories is checked again, by the keys that this agent trusts."""
    vkeys = Beliefs(places, clock).vkeys()
    found = [path for path in Forks(places.forks).kept() if contradicts(path, vkeys)]
    if found:
        raise _Bad(
            f"Trục đã ký hai lịch sử mâu thuẫn: {', '.join(map(str, found))}. Chữ ký và mâu thuẫn đã kiểm tra lại."
            " Giữ nguyên máy này, sao cả thư mục đó giao cho thanh tra."
        )
    return "không có bằng chứng nào về hai lịch sử"


def _agent(places: Places) -> str:
    if not places.control.exists():
        return "chưa chạy lần nào (lienthong-edge serve)"
    readiness = control.ask_ready(places)
    if readiness is None:
        raise _Bad("Tác vụ không chạy. Chạy lienthong-edge serve, hoặc khởi động lại dịch vụ rồi xem nhật ký của nó.")
    if readiness:
        raise _Bad(f"Tác vụ chạy nhưng không nhận văn bản: {readiness}. Xem lienthong-edge status.")
    return "đang chạy, nhận văn bản được"


async def _hub(places: Places, config: EdgeConfig, clock: Clock) -> list[Finding]:
    """Line, certificate at the hub and clock."""
    try:
        bundle = Beliefs(places, clock).bundle
    except ConfigError as error:
        return [Finding("Trục", good=False, sentence=str(error))]
    link = HubLink(
        config.hub.url,
        tls=lambda: tls.client_context(bundle.roots, places.identity, places.identity),
        timeout=15,
        upload_from=config.hub.upload_from,
        limits=limits_of(config),
        clock=clock,
    )
    async with link:
        findings = await _examine_line(link)
    if not all(one.good for one in findings):
        await asyncio.sleep(CLOSING)
    return findings


async def _examine_line(link: HubLink) -> list[Finding]:
    line = await _reach("Trục", link.trust, "nối được tới địa chỉ trong edge.toml")
    if not line.good:  # an answer tells the hour also when it refuses: perhaps for that very reason
        return [line] if link.skew is None else [line, _clock(link)]
    accepted = await _reach("Cơ quan trên trục", link.organizations, "trục chấp nhận chứng thư này")
    return [line, accepted, _clock(link)]


async def _reach(subject: str, ask: Callable[[], Awaitable[object]], good: str) -> Finding:
    try:
        await ask()
    except (ExchangeError, ConfigError) as error:
        return Finding(subject, good=False, sentence=getattr(error, "sentence", str(error)))
    return Finding(subject, good=True, sentence=good)


def _clock(link: HubLink) -> Finding:
    skew = link.skew
    if skew is None:
        return Finding("Đồng hồ", good=False, sentence="Trục không cho biết giờ. Kiểm tra đồng hồ máy này bằng tay.")
    seconds = int(skew.total_seconds())
    if abs(skew) > SKEW:
        return Finding("Đồng hồ", good=False, sentence=f"Lệch {seconds} giây so với trục. Bật đồng bộ giờ (NTP).")
    return Finding("Đồng hồ", good=True, sentence=f"lệch {seconds} giây so với trục")
