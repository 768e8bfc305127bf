"""`lienthong-hub doctor` and `status`: what an operator checks before calling anybody."""

from __future__ import annotations

import ctypes
import http.client
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, TypedDict

import msgspec
import pysqlite3
from cryptography import x509

from certs.signers import FileSigner, LogSigner
from certs.trust import Trust
from hub import descriptors, soundness
from hub.configuration import HubConfiguration
from hub.health import SPACE_NEEDED
from hub.ledger import statements as sql
from hub.ledger.clock import TOLERANCE
from hub.ledger.ledger import FILE_NAME
from hub.ledger.records import from_milliseconds
from protocol.errors import ExchangeError
from runtime import database, durable
from runtime.config import ConfigError

RENEW_BEFORE = timedelta(days=30)
ANSWER_MAX: Final = 1 << 16
VIETNAM: Final = timezone(timedelta(hours=7))
_TIME_ERROR: Final = 5
"""What adjtimex(2) returns while nothing sets the clock."""


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


class _Answer(msgspec.Struct, frozen=True):
    """The body of /readyz."""

    ready: bool
    problems: list[str]


def ready(configuration: HubConfiguration) -> Readiness:
    """Ask the running hub; whoever answers otherwise at its port is none."""
    try:
        answer = msgspec.json.decode(_asked(configuration.operator_port), type=_Answer)
    except (http.client.HTTPException, msgspec.MsgspecError, UnicodeError):
        stranger = (
            f"ở cổng nội bộ {configuration.operator_port} là một chương trình khác; "
            "dừng chương trình đó hoặc đổi operator_port"
        )
        return {"running": False, "ready": False, "problems": [stranger]}
    except OSError:
        return {"running": False, "ready": False, "problems": ["không có trục nào trả lời ở cổng nội bộ"]}
    return {"running": True, "ready": answer.ready, "problems": answer.problems}


def _asked(port: int) -> bytes:
    """What is answered there, whatever its status. Raises `OSError`, `HTTPException`."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy of the session is not asked
    try:
        with direct.open(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
            return bytes(response.read(ANSWER_MAX))
    except urllib.error.HTTPError as error:
        with error:
            return error.read(ANSWER_MAX)


def examine(configuration: HubConfiguration) -> list[Finding]:
    """Every check; one that breaks is a finding too."""
    checks: tuple[tuple[str, Callable[[HubConfiguration], Iterator[Finding]]], ...] = (
        ("SQLite", _sqlite),
        ("Chứng thư", _certificates),
        ("Danh sách thu hồi", _revocation),
        ("Khóa gốc", _root_key),
        ("Đồng hồ", _clock),
        ("Ổ đĩa", _disk),
        ("Quyền của tệp", _modes),
        ("Tệp mở", _descriptors),
        ("Sổ cái", _ledger),
        ("Kho tệp", _payloads),
        ("Cổng", _ports),
        ("Trục", _running),
    )
    findings: list[Finding] = []
    for subject, check in checks:
        try:
            findings += check(configuration)
        except pysqlite3.DatabaseError as error:  # too damaged even to be examined
            sentence = f"hỏng: {error}; dừng trục và khôi phục từ bản sao lưu"
            findings.append(Finding(subject, good=False, sentence=sentence))
        except database.UnsafeSqliteError:
            sentence = "không khám được khi SQLite chưa an toàn; cài lại pysqlite3 đúng phiên bản"
            findings.append(Finding(subject, good=False, sentence=sentence))
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


def _clock(configuration: HubConfiguration) -> Iterator[Finding]:
    now = datetime.now(UTC)
    shown = f"{now.astimezone(VIETNAM):%H:%M:%S %d/%m/%Y} (giờ Việt Nam), {_synchronisation()}"
    last = _last_event(configuration)
    good = last is None or now > last - timedelta(milliseconds=TOLERANCE)
    advice = "" if good else "; chậm hơn sự kiện cuối trong sổ bằng chứng: chỉnh đồng hồ, bật đồng bộ giờ"
    yield Finding("Đồng hồ", good=good, sentence=shown + advice)


def _synchronisation() -> str:
    """What the kernel knows (adjtimex(2)); a machine whose host sets the clock may rightly say no."""
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    return "máy chưa báo đồng bộ giờ (chrony, systemd-timesyncd)" if state == _TIME_ERROR else "đồng bộ giờ đang chạy"


def _last_event(configuration: HubConfiguration) -> datetime | None:
    path = configuration.data / FILE_NAME
    if not path.exists():
        return None
    with closing(database.connect(path, read_only=True)) as connection:
        row = connection.execute(sql.LAST_EVENT).fetchone()
    return None if row is None else from_milliseconds(row[1])


def _modes(configuration: HubConfiguration) -> Iterator[Finding]:
    """Everybody's letters lie in the data folder."""
    data = configuration.data
    private = [path for path in (data, data / "payloads") if path.exists()]
    exposed = durable.exposure([*private, *data.glob(f"{FILE_NAME}*")])
    yield Finding("Quyền của tệp", good=not exposed, sentence=exposed or "dữ liệu chỉ tài khoản chạy trục vào được")


def _descriptors(_configuration: HubConfiguration) -> Iterator[Finding]:
    limit = descriptors.highest()
    good = limit >= descriptors.ENOUGH
    advice = "" if good else f"; đặt LimitNOFILE (systemd) hoặc ulimit -Hn ít nhất {descriptors.ENOUGH}"
    yield Finding("Tệp mở", good=good, sentence=f"tối đa {limit} tệp và kết nối{advice}")


def _ledger(configuration: HubConfiguration) -> Iterator[Finding]:
    path = configuration.data / FILE_NAME
    if not path.exists():
        yield Finding("Sổ cái", good=True, sentence="chưa có (trục chưa chạy lần nào)")
        return
    with closing(database.connect(path, read_only=True)) as connection:
        found = connection.execute("PRAGMA quick_check(5)").fetchone()[0]
    sentence = "nguyên vẹn" if found == "ok" else f"hỏng: {found}; dừng trục và khôi phục từ bản sao lưu"
    yield Finding("Sổ cái", good=found == "ok", sentence=sentence)


def _payloads(configuration: HubConfiguration) -> Iterator[Finding]:
    path = configuration.data / FILE_NAME
    if not path.exists():
        yield Finding("Kho tệp", good=True, sentence="chưa có (trục chưa chạy lần nào)")
        return
    with closing(database.connect(path, read_only=True)) as connection:
        lost = list(soundness.missing(connection, configuration.data / "payloads"))
    sentence = "đủ mọi tệp mà sổ cái ghi"
    if lost:
        sentence = f"thiếu hoặc cụt {len(lost)} tệp (payloads/{lost[0]} …); khôi phục payloads/ từ bản sao lưu"
    yield Finding("Kho tệp", good=not lost, sentence=sentence)


def _ports(configuration: HubConfiguration) -> Iterator[Finding]:
    """Of a running hub they answer; else they are free for it."""
    running = ready(configuration)["running"]
    asked = (
        ("port", configuration.address, configuration.port),
        ("operator_port", "127.0.0.1", configuration.operator_port),
    )
    for key, address, port in asked:
        if port == 0:
            yield Finding("Cổng", good=True, sentence=f"{key} tự chọn khi chạy")
        elif running:
            yield _answers(key, address, port)
        else:
            yield _is_free(key, address, port)


def _answers(key: str, address: str, port: int) -> Finding:
    """A hub that listens everywhere is asked here."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 -- compared, not listened to
    try:
        socket.create_connection((here, port), timeout=5).close()
    except OSError as error:
        advice = "khởi động lại trục; kiểm tra address và port trong hub.toml"
        return Finding("Cổng", good=False, sentence=f"{key} {port} không trả lời ({error.strerror}); {advice}")
    return Finding("Cổng", good=True, sentence=f"{key} {port} đang trả lời")


def _is_free(key: str, address: str, port: int) -> Finding:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except OSError as error:
            advice = f"dừng chương trình đang dùng cổng, hoặc đổi {key} trong hub.toml"
            return Finding("Cổng", good=False, sentence=f"{key} {port} không mở được ({error.strerror}); {advice}")
    return Finding("Cổng", good=True, sentence=f"{key} {port} còn trống cho trục")


def _running(configuration: HubConfiguration) -> Iterator[Finding]:
    answer = ready(configuration)
    sentence = "sẵn sàng" if answer["ready"] else "; ".join(answer["problems"])
    yield Finding("Trục", good=answer["ready"], sentence=sentence)
