"""Steps 3 to 6: a document, a large attachment, statuses 01 and 03, and the receipt that verifies with the hub off."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.progress import Progress, TaskID

from demo.joining import start_hub
from demo.programs import NotVerified
from demo.province import Arrival, Province, sha256_of
from demo.screen import Screen
from demo.settings import MEGABYTE
from demo.vendor_system import VIETNAM, Letter, RefusedError, VendorSystem

SAMPLE_DATE: Final = date(2026, 11, 20)
SUBJECT: Final = "V/v gửi, nhận văn bản điện tử qua trục liên thông của tỉnh"
CLERK: Final = "Lê Thị Văn Thư"
MEANINGS: Final = {1: "Đã đến", 2: "Từ chối tiếp nhận", 3: "Đã tiếp nhận"}


class Correspondence:
    """Agency A's document system and what it sent; made when step 3 begins."""

    def __init__(self, province: Province) -> None:
        self.province = province
        self.began = datetime.now(VIETNAM) - timedelta(minutes=1)
        self.vendor: VendorSystem
        self.first: Letter
        self.arrival: Arrival

    @property
    def screen(self) -> Screen:
        """Where everything is shown."""
        return self.province.screen

    @property
    def first_id(self) -> str:
        """DocumentId of the document of step 3."""
        return self.vendor.document_id(self.first)

    def letter(self, number: str, file: Path, subject: str = SUBJECT) -> Letter:
        """A document from A to B; not dated in the future, whatever the clock of this machine says."""
        issued = min(SAMPLE_DATE, datetime.now(VIETNAM).date())
        return Letter(number=number, subject=subject, file=file, issued=issued, recipient=self.province.b.code)

    def send(self, letter: Letter, progress: Callable[[int], None] | None = None) -> int:
        """The number that the agent answered. Raises `NotVerified` when it refused."""
        try:
            return self.vendor.send(letter, progress)
        except RefusedError as error:
            raise NotVerified(f"edge A từ chối {letter.file.name}: {error}") from error

    def reported(self, document_id: str) -> dict[int, str]:
        """Status code → description of one document, as A's system hears it."""
        return {
            one.code: f"{one.description} ({one.staff})" if one.staff else one.description
            for one in self.vendor.statuses(self.began)
            if one.document_id == document_id
        }


def send_document(story: Correspondence) -> str:
    """A's system reads the WSDL, sends the PDF; it lies in B's folder, byte-identical."""
    province, screen = story.province, story.screen
    token = _token(province)
    story.vendor = VendorSystem(province.a.service, province.a.code, province.a.name, token)
    screen.hop(
        "QLVB A", "edge A", f"đọc WSDL của gói B: {len(story.vendor.operations)} thao tác (zeep, phần mềm bên thứ ba)"
    )
    story.first = story.letter("123", province.settings.file)
    digest = sha256_of(province.settings.file)
    size = province.settings.file.stat().st_size
    screen.hop(
        "QLVB A", "edge A", f"SendDocument 123/SVDA-VP kèm {province.settings.file.name} ({_grouped(size)} byte)"
    )
    number = story.send(story.first)
    province.hops.look()
    screen.hop("edge A", "QLVB A", f"Report IsSuccess=true, DocumentId {number}")
    story.arrival = province.arrival(province.b, story.first_id)
    received = the_file(story.arrival)
    screen.note(f"{story.arrival.folder.relative_to(province.folder)}/")
    for file in sorted(story.arrival.folder.iterdir()):
        screen.note(f"    {file.name}")
    screen.note(f"SHA-256 tại A  {digest}\nSHA-256 tại B  {sha256_of(received)}")
    _same(digest, received)
    return "văn bản nằm trong thư mục của B, từng byte như ở A"


def send_large(story: Correspondence) -> str:
    """The large attachment on its way, each hop with a bar."""
    province, size = story.province, story.province.settings.large
    file = province.folder / "ban-do-quy-hoach.bin"
    digest = random_file(file, size)
    letter = story.letter("124", file, "V/v gửi bản đồ quy hoạch kèm theo")
    start = time.monotonic()
    with story.screen.octets() as bars:
        ways = Ways(province, bars, size)
        number = story.send(letter, ways.sent)
        document_id = story.vendor.document_id(letter)
        arrival = ways.until(lambda: _arrived(province, document_id))
    seconds = time.monotonic() - start
    _same(digest, the_file(arrival))
    file.unlink()
    megabytes = size / MEGABYTE
    return f"{megabytes:.0f} MB (outbox số {number}) đến B trong {seconds:.1f} s, từng byte như ở A"


class Ways:
    """Bars for the four hops of one large file, measured by what lies on the disks."""

    def __init__(self, province: Province, bars: Progress, size: int) -> None:
        self._province = province
        self._size = size
        self._bars = bars
        hub, b = province.folder / "hub" / "data", province.b.root
        self._first = bars.add_task("QLVB A → edge A", total=size)
        self._watched: list[tuple[TaskID, Path, str]] = [
            (bars.add_task("edge A → trục", total=size), hub, "**/uploads/*"),
            (bars.add_task("trục   → edge B", total=size), b / "data" / "payloads", "tmp/*"),
            (bars.add_task("edge B → thư mục B", total=size), b / "folders" / "incoming", ".dang-ghi-*/ban-do*"),
        ]

    def sent(self, octets: int) -> None:
        """A piece left A's system."""
        self._bars.advance(self._first, octets)
        self._province.hops.look()

    def until(self, arrived: Callable[[], Arrival | None]) -> Arrival:
        """Move the bars until the document is there."""

        def look() -> Arrival | None:
            for place, (task, folder, pattern) in enumerate(self._watched):
                grown = max(_sizes(folder.glob(pattern)), default=0)
                if grown:
                    self._at_least(task, grown)
                    for before, _, _ in self._watched[:place]:
                        self._at_least(before, self._size)
            return arrived()

        arrival = self._province.wait(look, "tệp lớn trong thư mục của B", patience=300)
        for task, _, _ in self._watched:
            self._at_least(task, self._size)
        return arrival

    def _at_least(self, task: TaskID, octets: int) -> None:
        done = self._bars.tasks[task].completed
        if octets > done:
            self._bars.advance(task, min(octets, self._size) - done)


def return_statuses(story: Correspondence) -> str:
    """01 came by itself; the clerk's line of TOML becomes 03; A's system reads both."""
    province, screen = story.province, story.screen
    _await_status(story, 1)
    line = f'DocumentId = "{story.first_id}"\nStatusCode = 3\nDescription = "Số đến 45"\nStaff = "{CLERK}"\n'
    screen.note(f"văn thư của B đặt tệp {province.b.folder}/folders/outgoing/123.status.toml:")
    screen.note("".join(f"    {one}\n" for one in line.splitlines()))
    (province.b.outgoing / "123.status.toml").write_text(line, "utf-8")
    said = _await_status(story, 3)
    if "45" not in said or CLERK not in said:
        raise NotVerified(f"trạng thái 03 về không đủ: {said}")
    return "QLVB A đã đọc trạng thái 01 và 03 bằng GetTraces của gói B"


def verify_receipt(story: Correspondence) -> str:
    """With the hub off, the receipts of both sides verify; a document with one changed letter does not."""
    province, run = story.province, story.province.programs.run
    run("lienthong-edge", "receipt", story.first_id, "--dir", "so-a", "--out", "bien-nhan")
    story.screen.event("dừng trục (SIGTERM): từ đây không ai để hỏi")
    if (code := province.hub.stop()) != 0:
        raise NotVerified(f"trục dừng với mã {code}, chờ 0")
    (receipt,) = (province.folder / "bien-nhan").glob("*.tlog-proof")
    document = receipt.with_suffix(".xml")
    verify = ("lienthong-certs", "verify")
    said = run(*verify, f"bien-nhan/{receipt.name}", "--document", f"bien-nhan/{document.name}")
    story.screen.said(said.splitlines())
    kept = story.arrival.folder.relative_to(province.folder)
    whole = run(
        *verify, f"{kept}/bien-nhan.tlog-proof", "--trust", "so-b/trust/trust.json",
        "--document", f"{kept}/van-ban.edxml",
    )  # fmt: skip
    story.screen.said(whole.splitlines()[-2:])
    altered = document.with_name("sua-mot-chu.xml")
    altered.write_bytes(document.read_bytes().replace(b"Gia Lai", b"Gia Lay", 1))
    refused = run(*verify, f"bien-nhan/{receipt.name}", "--document", f"bien-nhan/{altered.name}", expect=1)
    story.screen.said(one for one in refused.splitlines() if "KHÔNG" in one)
    start_hub(province)
    return "biên nhận ở A và ở B kiểm chứng được khi trục đã tắt; sửa một chữ là lộ"


def the_file(arrival: Arrival) -> Path:
    """The one attachment of a document. Raises `NotVerified`."""
    files = arrival.files
    if len(files) != 1:
        raise NotVerified(f"{arrival.folder}: chờ một tệp đính kèm, thấy {len(files)}")
    return files[0]


def random_file(path: Path, size: int) -> str:
    """Octets that nothing can compress; their SHA-256 in hex."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, MEGABYTE):
            piece = os.urandom(min(MEGABYTE, size - start))
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _grouped(number: int) -> str:
    """As Vietnamese groups digits."""
    return f"{number:,}".replace(",", ".")


def _token(province: Province) -> str:
    said = province.programs.run("lienthong-edge", "token", "--dir", province.a.folder)
    return said.rsplit("Token:", 1)[1].strip()


def _same(digest: str, received: Path) -> None:
    found = sha256_of(received)
    if found != digest:
        raise NotVerified(f"{received}: SHA-256 {found}, ở A là {digest}")


def _arrived(province: Province, document_id: str) -> Arrival | None:
    return next((one for one in province.b.arrivals() if one.document_id == document_id), None)


def _await_status(story: Correspondence, code: int) -> str:
    said = story.province.wait(lambda: story.reported(story.first_id).get(code), f"trạng thái {code:02d} tại QLVB A")
    story.screen.hop("edge A", "QLVB A", f"GetTraces: {code:02d} {MEANINGS[code]} – {said}")
    return said


def _sizes(paths: Iterable[Path]) -> Iterable[int]:
    for path in paths:
        try:
            yield path.stat().st_size
        except FileNotFoundError:  # renamed between the two looks
            continue
