"""Turns the programs' own logs, while they are written, into hops on the screen and into counts.

Logs never carry a document's content, so a hop says what happened, not what the document says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from demo.screen import Screen

Line = dict[str, Any]
"""One log line: `time`, `level`, `event`, `part` and the fields of the event."""


class Hop(msgspec.Struct, frozen=True):
    """From whom to whom, and what."""

    source: str
    target: str
    text: str


class Log:
    """One growing file of JSON lines."""

    def __init__(self, actor: str, path: Path) -> None:
        self.actor = actor
        self._path = path
        self._offset = 0

    def news(self) -> list[Line]:
        """Complete lines since the last look."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [line for line in map(_line, whole.splitlines()) if line]


class Hops:
    """All logs together, in order of time. `shown` is off while only counts matter."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._logs: list[Log] = []
        self.shown = True
        self.counts: Counter[tuple[str, str]] = Counter()
        """How often (actor, event) happened; `handed-over` counts the folder only."""

    def follow(self, actor: str, path: Path) -> None:
        """Look into this log too."""
        self._logs.append(Log(actor, path))

    def look(self) -> None:
        """Show and count what is new."""
        news = [(line, log.actor) for log in self._logs for line in log.news()]
        for line, actor in sorted(news, key=lambda one: str(one[0]["time"])):
            if line.get("route", "folder") == "folder":
                self.counts[actor, str(line["event"])] += 1
            hop = hop_of(actor, line)
            if self.shown and hop is not None:
                moment = datetime.fromisoformat(line["time"])
                self._screen.hop(hop.source, hop.target, hop.text, moment.timestamp())


def hop_of(actor: str, line: Line) -> Hop | None:
    """What a log line means to a viewer; None for lines that are not a hop."""
    meaning = _MEANINGS.get(line["event"])
    return None if meaning is None else meaning(actor, line)


def _sent(actor: str, line: Line) -> Hop:
    return Hop(actor, "trục", f"TLS hai chiều; biên nhận của trục (số {line['hub_number']}) đúng, đã lưu")


def _handed_over(actor: str, line: Line) -> Hop | None:
    """A's system asks its agent; only B's clerk looks into the folder."""
    if actor != "edge B" or line["route"] != "folder":
        return None
    return Hop(actor, "thư mục B", f"folders/incoming/{line['number']}-…")


def _joined(_actor: str, line: Line) -> Hop:
    return Hop(line["agency"], "trục", "chứng thư được cấp; khóa riêng không rời máy của cơ quan")


def _away(actor: str, line: Line) -> Hop:
    return Hop(actor, "trục", f"không liên lạc được; giữ trong outbox, thử lại sau {line['wait']:.1f} s")


def _received(actor: str, line: Line) -> Hop:
    return Hop("trục", actor, _RECEIVED[line["kind"]])


def _taken(actor: str, line: Line) -> Hop:
    again = "; đã có từ trước, trả lời như cũ" if line["repeated"] else ""
    source = f"QLVB {actor[-1]}" if line["package"] == "B" else f"thư mục {actor[-1]}"
    return Hop(source, actor, f"kiểm tra, niêm phong, ghi bền vào outbox (số {line['number']}){again}")


def _started(actor: str, line: Line) -> Hop:
    return Hop(actor, "", f"sẵn sàng; sổ bằng chứng có {line['events']} mục")


_MEANINGS: Final[dict[str, Callable[[str, Line], Hop | None]]] = {
    "sent": _sent,
    "handed-over": _handed_over,
    "agency.joined": _joined,
    "hub-away": _away,
    "received": _received,
    "taken": _taken,
    "hub.started": _started,
}
_RECEIVED: Final = {
    "document": "niêm phong, mã băm, biên nhận đúng; ghi bền vào inbox, xác nhận",
    "status": "một trạng thái; niêm phong và biên nhận đúng",
    "notice": "trạng thái 01, kèm biên nhận rằng nơi nhận đã có văn bản",
}


def _line(data: bytes) -> Line:
    """Anything else than our JSON (a traceback of the interpreter) is left for the tail of the log."""
    try:
        line = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return {}
    return line if isinstance(line, dict) and "event" in line and "time" in line else {}
