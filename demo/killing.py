"""Steps 7 and 8: the hub dies by SIGKILL in the middle of a stream; then every single document is accounted for.

The law that is proved: what A's agent acknowledged is in B's folder exactly once, byte-identical, with receipts that
verify on both sides, whatever died in between.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.progress import Progress

from certs.bundle import TrustBundle
from certs.verification import verify_receipt
from demo.programs import NotVerified
from demo.province import LOOK, Arrival, Province, arrivals_in, sha256_of
from demo.sending import Correspondence, random_file, the_file

SIZE: Final = 50_000
"""Octets of each document's attachment."""
FIRST: Final = 201
DEAD: Final = 0.5
"""Seconds for which the hub stays dead."""
PATIENCE: Final = 180.0
BLOWS: Final = 2
AGAIN: Final = 10
"""Every so many documents A's system sends one twice, as if it had missed the answer."""


class Stream:
    """What A's system sent, and what it was told."""

    def __init__(self, story: Correspondence) -> None:
        self.story = story
        self.acknowledged: dict[str, str] = {}
        """DocumentId → SHA-256 of what A's agent acknowledged."""
        self.before = [one.document_id for one in arrivals_in(story.province.b.incoming)]
        """What lay in B's folder when the stream began."""
        self.repeats = 0
        self.while_dead = 0
        self.in_flight: list[int] = []
        """At each blow: how many documents A's agent had acknowledged that were not in B's folder yet."""
        self._folder = story.province.folder / "dong-van-ban"
        self._folder.mkdir()

    def send(self) -> None:
        """One more document; its answer is the acknowledgement."""
        place = len(self.acknowledged)
        file = self._folder / f"bao-cao-{place:04d}.bin"
        digest = random_file(file, SIZE)
        letter = self.story.letter(str(FIRST + place), file, f"V/v báo cáo ngày, bản số {place + 1}")
        number = self.story.send(letter)
        self.acknowledged[self.story.vendor.document_id(letter)] = digest
        if place % AGAIN == 0:
            self.repeats += 1
            again = self.story.send(letter)
            if again != number:
                raise NotVerified(f"gửi lại cùng văn bản được số khác: {number}, {again}")


def kill_in_a_stream(stream: Stream) -> str:
    """Twice, while documents are on their way: SIGKILL. A goes on sending; the hub comes back; everything arrives."""
    province, total = stream.story.province, stream.story.province.settings.documents
    province.hops.look()
    province.hops.shown = False
    with stream.story.screen.counts() as bars:
        moved = Moved(province, bars, total)
        blows = Blows(stream, moved)
        end = time.monotonic() + PATIENCE
        while not moved.all_there or blows.left:
            _one_more(stream, blows.limit)
            moved.look(acknowledged=len(stream.acknowledged))
            if len(stream.acknowledged) == 1:  # after step 6 both agents may still wait before they try the hub again
                province.wait(lambda: moved.arrived, "văn bản đầu dòng tại B")
            blows.look()
            if time.monotonic() > end:
                raise NotVerified(
                    f"sau {PATIENCE:.0f} s mới có {moved.receipts} biên nhận, {moved.arrived} văn bản tại B"
                )
    province.await_ready(province.operator_port, "trục sau SIGKILL")
    check_worth(stream.in_flight, stream.while_dead)
    flight = " và ".join(map(str, stream.in_flight))
    return (
        f"trục chết hai lần khi {flight} văn bản đang trên đường, rồi sống lại;"
        f" {stream.while_dead} văn bản A gửi trong lúc trục chết cũng đã đến B"
    )


def check_worth(in_flight: Collection[int], while_dead: int) -> None:
    """A kill proves something only when documents were on their way. Raises `NotVerified`."""
    if len(in_flight) != BLOWS or not all(in_flight):
        raise NotVerified(
            f"văn bản đang trên đường lúc trục bị giết: {list(in_flight)}; chờ {BLOWS} lần, lần nào cũng có"
        )
    if not while_dead:
        raise NotVerified("không văn bản nào được gửi trong lúc trục chết: lần chạy này không chứng minh được gì")


def _one_more(stream: Stream, limit: int) -> None:
    """A's system sends without a pause, whether the hub lives or not; the last third waits for the first blow."""
    if len(stream.acknowledged) >= limit:
        time.sleep(LOOK)
        return
    stream.send()
    stream.while_dead += not stream.story.province.hub.running


class Blows:
    """SIGKILL when a third of the receipts are in, and again after two thirds; each time while B is receiving."""

    def __init__(self, stream: Stream, moved: Moved) -> None:
        self._stream = stream
        self._moved = moved
        self._total = stream.story.province.settings.documents
        self._at = [(self._total // 3, 2), (2 * self._total // 3, self._total // 2)]
        self._again_at = 0.0
        self._dead = False

    @property
    def left(self) -> bool:
        """Whether a blow, or the start after it, is still to come."""
        return bool(self._at) or self._dead

    @property
    def limit(self) -> int:
        """How many documents may be sent by now: a third waits for the first blow, the last one for the second."""
        return (self._total, self._total - 1, 2 * self._total // 3)[len(self._at)]

    def look(self) -> None:
        """Strike, or start again, when it is time."""
        province = self._stream.story.province
        province.check_alive(province.a.server, province.b.server, *([] if self._dead else [province.hub]))
        if self._dead:
            if time.monotonic() >= self._again_at:
                province.hub.start()
                self._dead = False
        elif self._at:
            receipts, arrived = self._at[0]
            if self._moved.receipts >= receipts and self._moved.arrived >= arrived:
                self._strike()

    def _strike(self) -> None:
        province, screen = self._stream.story.province, self._stream.story.screen
        pid = province.hub.pid
        self._stream.send()  # acknowledged a moment before the blow: on its way for certain
        province.hub.kill()
        self._at.pop(0)
        self._dead = True
        self._again_at = time.monotonic() + DEAD
        province.hops.look()
        taken, receipts, arrived = len(self._stream.acknowledged), self._moved.receipts, self._moved.arrived
        self._stream.in_flight.append(taken - arrived)
        screen.event(f"kill -9 {pid}: trục chết; edge A đã nhận {taken}, biên nhận {receipts}, B mới có {arrived}")


class Moved:
    """Three bars: acknowledged by A's agent, receipts of the hub at A, documents in B's folder."""

    def __init__(self, province: Province, bars: Progress, total: int) -> None:
        self._province = province
        self._bars = bars
        self._total = total
        self._receipts_before = province.hops.counts["edge A", "sent"]
        self._arrivals_before = len(province.b.arrivals())
        self._tasks = [
            bars.add_task(name, total=total)
            for name in ("edge A đã nhận của QLVB A", "biên nhận của trục tại A", "đã nằm trong thư mục của B")
        ]

    @property
    def receipts(self) -> int:
        """Of this stream, held at A."""
        return self._province.hops.counts["edge A", "sent"] - self._receipts_before

    @property
    def arrived(self) -> int:
        """Documents of this stream in B's folder."""
        return len(self._province.b.arrivals()) - self._arrivals_before

    @property
    def all_there(self) -> bool:
        """Nothing is on its way any more."""
        return self.receipts >= self._total and self.arrived >= self._total

    def look(self, *, acknowledged: int) -> None:
        """Move the bars."""
        self._province.hops.look()
        for task, count in zip(self._tasks, (acknowledged, self.receipts, self.arrived), strict=True):
            self._bars.update(task, completed=count)


def account(stream: Stream) -> str:
    """One by one: once, byte-identical, receipts on both sides, 01 back at A, nothing waiting anywhere."""
    story, province = stream.story, stream.story.province
    arrivals = _once_and_identical(stream)
    at_b = _verify_all_at_b(province, arrivals)
    at_a = _verify_all_at_a(stream)
    delivered = _delivered(stream)
    waiting = _nothing_waits(province)
    wanted = len(stream.acknowledged)
    for name, count in (
        ("văn bản mà edge A đã nhận từ QLVB A", wanted),
        ("trong đó gửi hai lần (vẫn là một văn bản)", stream.repeats),
        ("văn bản trong thư mục của B, mỗi văn bản đúng một lần", len(arrivals)),
        ("tệp trùng SHA-256 với tệp ở A", len(arrivals)),
        ("biên nhận tại B kiểm chứng được cùng văn bản và tệp", at_b),
        ("biên nhận tại A kiểm chứng được cùng văn bản đã ký", at_a),
        ("trạng thái 01 về QLVB A, mỗi văn bản đúng một lần", delivered),
        ("văn bản còn chờ ở bất cứ đâu", waiting),
    ):
        story.screen.note(f"{count:>6}  {name}")
    return f"{wanted} văn bản: không mất, không thừa, không sai một byte"


def _once_and_identical(stream: Stream) -> list[Arrival]:
    arrivals = arrivals_in(stream.story.province.b.incoming)
    exactly_once((one.document_id for one in arrivals), stream.acknowledged, stream.before, "văn bản tại B")
    ours = [one for one in arrivals if one.document_id in stream.acknowledged]
    identical(ours, stream.acknowledged)
    return ours


def exactly_once(found: Iterable[str], wanted: Collection[str], before: Collection[str], what: str) -> None:
    """Each DocumentId of `wanted` and `before` once, and nothing else. Raises `NotVerified` naming what is wrong."""
    times = Counter(found)
    known = {*wanted, *before}
    lost = sorted(one for one in known if not times[one])
    doubled = sorted(one for one, count in times.items() if count > 1)
    strange = sorted(one for one in times if one not in known)
    if lost or doubled or strange:
        raise NotVerified(
            f"{what}: mất {len(lost)} {lost[:3]}, đến nhiều lần {len(doubled)} {doubled[:3]},"
            f" không ai gửi {len(strange)} {strange[:3]}"
        )


def identical(arrivals: Iterable[Arrival], sent: Mapping[str, str]) -> None:
    """Each attachment has the SHA-256 (hex) that was sent. Raises `NotVerified`."""
    for one in arrivals:
        if sha256_of(the_file(one)) != sent[one.document_id]:
            raise NotVerified(f"{one.folder}: khác tệp ở A")


def _verify_all_at_b(province: Province, arrivals: list[Arrival]) -> int:
    bundle = TrustBundle.load(province.b.root / "trust" / "trust.json")
    for one in arrivals:
        _verify(one.folder / "bien-nhan.tlog-proof", one.folder / "van-ban.edxml", bundle)
    return len(arrivals)


def _verify_all_at_a(stream: Stream) -> int:
    province = stream.story.province
    folder = province.folder / "moi-bien-nhan"
    province.programs.run("lienthong-edge", "receipt", "--dir", province.a.folder, "--out", folder.name)
    bundle = TrustBundle.load(folder / "trust.json")
    receipts = sorted(folder.glob("*.tlog-proof"))
    for receipt in receipts:
        _verify(receipt, receipt.with_suffix(".xml"), bundle)
    held = len(receipts) - 2  # those of steps 3 and 4
    if held != len(stream.acknowledged):
        raise NotVerified(f"A giữ {held} biên nhận, đã gửi {len(stream.acknowledged)}")
    return held


def _verify(receipt: Path, document: Path, bundle: TrustBundle) -> None:
    findings = verify_receipt(receipt.read_text("utf-8"), bundle, document.read_bytes(), datetime.now(UTC))
    wrong = [finding.sentence for finding in findings if not finding.ok]
    if wrong or not findings:
        raise NotVerified(f"{receipt}: {'; '.join(wrong)}")


def _delivered(stream: Stream) -> int:
    """Status 01 of every document, exactly once, at A's system; how many."""
    story = stream.story

    def heard() -> list[str] | None:
        found = [one.document_id for one in story.vendor.statuses(story.began) if one.code == 1]
        return found if {*stream.acknowledged, *stream.before} <= set(found) else None

    found = story.province.wait(heard, "trạng thái 01 của mọi văn bản tại QLVB A")
    exactly_once(found, stream.acknowledged, stream.before, "trạng thái 01 tại QLVB A")
    return len(found) - len(stream.before)


def _nothing_waits(province: Province) -> int:
    """Neither at the hub nor in an outbox, and no agent has anything to complain of; the sum, which is 0."""

    def waiting() -> int:
        return sum(int(line["waiting"]) for line in _json(province, "lienthong-hub", "agency", "list", "--dir", "hub"))

    province.wait(lambda: waiting() == 0, "hộp thư trên trục trống")
    unsent = 0
    for agency in (province.a, province.b):
        found = _json(province, "lienthong-edge", "status", "--dir", agency.folder)
        unsent += sum(int(one["count"]) for one in found["outbox"] if one["state"] != "DA_GUI")
        if unsent or found["alarms"] or found["held"]:
            raise NotVerified(f"{agency.folder}: {unsent} văn bản chưa gửi, {found['alarms']} {found['held']}")
    return waiting() + unsent


def _json(province: Province, *words: str) -> Any:  # noqa: ANN401 -- what the command prints
    return msgspec.json.decode(province.programs.run(*words, "--json", quiet=True))
