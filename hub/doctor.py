"""`lienthong-hub doctor` and `status`: what an operator checks before calling anybody."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TypedDict

import msgspec
import pysqlite3
from cryptography import x509

from certs.signers import FileSigner, LogSigner
from certs.trust import Trust
from hub.configuration import HubConfiguration
from hub.health import SPACE_NEEDED
from hub.ledger.ledger import FILE_NAME
from protocol.errors import ExchangeError
from runtime import database
from runtime.config import ConfigError

RENEW_BEFORE = timedelta(days=30)


class Finding(msgspec.Struct, frozen=True):
    """One line."""

    subject: str
    good: bool
    sentence: str


class Readiness(TypedDict):
    """What /readyz says, or that nobody answers."""

    running: bool
    ready: bool
    problems: list[str]


def ready(configuration: HubConfiguration) -> Readiness:
    """Ask the running hub."""
    url = f"http://127.0.0.1:{configuration.operator_port}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        answer = json.load(error)
    except OSError:
        return {"running": False, "ready": False, "problems": ["không có trục nào trả lời ở cổng nội bộ"]}
    return {"running": True, "ready": bool(answer["ready"]), "problems": list(answer["problems"])}


def examine(configuration: HubConfiguration) -> list[Finding]:
    """Every check; one that breaks is a finding too."""
    checks: tuple[tuple[str, Callable[[HubConfiguration], Iterator[Finding]]], ...] = (
        ("SQLite", _sqlite),
        ("Chứng thư", _certificates),
        ("Danh sách thu hồi", _revocation),
        ("Khóa gốc", _root_key),
        ("Ổ đĩa", _disk),
        ("Sổ cái", _ledger),
        ("Trục", _running),
    )
    findings: list[Finding] = []
    for subject, check in checks:
        try:
            findings += check(configuration)
        except (ConfigError, ExchangeError, OSError) as error:
            findings.append(Finding(subject, good=False, sentence=str(error)))
    return findings


def _sqlite(_configuration: HubConfiguration) -> Iterator[Finding]:
    version = database.library_version()
    text = ".".join(map(str, version))
    good = database.is_safe(version)
    yield Finding(
        "SQLite", good=good, sentence=text if good else f"{text} có lỗi WAL; cài lại pysqlite3 đúng phiên bản"
    )


def _certificates(configuration: HubConfiguration) -> Iterator[Finding]:
    signer = FileSigner(configuration.key, configuration.certificate)
    LogSigner(configuration.log_key)
    trust = Trust.load(configuration.authority)
    now = datetime.now(UTC)
    trust.check_certificate(signer.certificate, now, purpose="server")
    end = x509.load_der_x509_certificate(signer.certificate).not_valid_after_utc
    good = end - now > RENEW_BEFORE
    advice = "" if good else "; cấp lại bằng lienthong-certs issue-hub"
    yield Finding("Chứng thư", good=good, sentence=f"hiệu lực đến {end:%d/%m/%Y}{advice}")


def _revocation(configuration: HubConfiguration) -> Iterator[Finding]:
    trust = Trust.load(configuration.authority)
    until = trust.next_update()
    good = not trust.problem and until is not None and until > datetime.now(UTC)
    text = trust.problem or (f"có hiệu lực đến {until:%d/%m/%Y}" if until else "chưa có; chạy lienthong-certs crl")
    yield Finding("Danh sách thu hồi", good=good, sentence=text)


def _root_key(configuration: HubConfiguration) -> Iterator[Finding]:
    present = (configuration.authority / "root.key").exists()
    text = "còn trên máy này; chép ra thiết bị ngoại tuyến rồi xóa" if present else "không nằm trên máy này"
    yield Finding("Khóa gốc", good=not present, sentence=text)


def _disk(configuration: HubConfiguration) -> Iterator[Finding]:
    free = shutil.disk_usage(configuration.data if configuration.data.exists() else configuration.data.parent).free
    good = free >= SPACE_NEEDED
    text = f"còn {free / (1 << 30):.1f} GiB"
    yield Finding("Ổ đĩa", good=good, sentence=text if good else f"{text}; cần giải phóng ít nhất 1 GiB")


def _ledger(configuration: HubConfiguration) -> Iterator[Finding]:
    path = configuration.data / FILE_NAME
    if not path.exists():
        yield Finding("Sổ cái", good=True, sentence="chưa có (trục chưa chạy lần nào)")
        return
    try:
        with closing(database.connect(path, read_only=True)) as connection:
            found = connection.execute("PRAGMA quick_check(5)").fetchone()[0]
    except pysqlite3.DatabaseError as error:  # too damaged even to be examined
        found = str(error)
    sentence = "nguyên vẹn" if found == "ok" else f"hỏng: {found}; dừng trục và khôi phục từ bản sao lưu"
    yield Finding("Sổ cái", good=found == "ok", sentence=sentence)


def _running(configuration: HubConfiguration) -> Iterator[Finding]:
    answer = ready(configuration)
    sentence = "sẵn sàng" if answer["ready"] else "; ".join(answer["problems"])
    yield Finding("Trục", good=answer["ready"], sentence=sentence)
