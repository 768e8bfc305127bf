"""The life of a document at one recipient: one transition table, and nothing else moves it.

The law of this file (states and codes: QCVN 102:2016 and the practice of the national axis; recall: NĐ 30/2020 PL VI):

1. The state belongs to a pair (document, recipient). A document to five agencies has five lives.
2. It moves forward only: `DA_GUI → DEN → TU_CHOI | TIEP_NHAN → PHAN_CONG → DANG_XU_LY → HOAN_THANH`. Steps may be
   skipped (many systems never report 04 or 05), never undone.
3. A late, repeated or out-of-order report is recorded in the trace and moves nothing. A report never begets a report.
4. Only the recipient reports 01-06, 15 and 16; only the sender asks for recall. Anybody else is refused and audited.
5. Recall has two styles, status 13 and a document of BussinessDocType 1; both are one event here. It may be asked from
   DA_GUI up to DANG_XU_LY. Before delivery the hub stops its copy and nobody needs to agree; after it the recipient
   answers 15 (its copy is cancelled, the sender's original is frozen) or 16 (the document goes on where it was).
   A stopped copy that turns out to have arrived (the recall crossed a fetch) is asked for like any other.
6. While a recall waits for its answer, progress is still noted, so that 16 returns to the right place.
7. Nothing is deleted: a cancelled copy, its metadata and the recall stay for ever.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from protocol import agency_codes
from protocol.errors import INTERNAL, STATUS_NOT_ALLOWED, STATUS_NOT_YOURS, ExchangeError
from protocol.model import BussinessDocType

State = str
"""One of `STATES`; the text is what a ledger stores."""

DA_GUI: Final = "DA_GUI"  # the hub holds it → DEN, any report of the recipient, DUNG_GUI
DUNG_GUI: Final = "DUNG_GUI"  # recalled before delivery → YEU_CAU_THU_HOI* when it turns out to have arrived
DEN: Final = "DEN"  # 01, in the recipient's system → TU_CHOI, TIEP_NHAN and on, YEU_CAU_THU_HOI
TU_CHOI: Final = "TU_CHOI"  # 02, refused: final
TIEP_NHAN: Final = "TIEP_NHAN"  # 03, registered → PHAN_CONG and on, YEU_CAU_THU_HOI_03
PHAN_CONG: Final = "PHAN_CONG"  # 04, assigned → DANG_XU_LY, HOAN_THANH, YEU_CAU_THU_HOI_04
DANG_XU_LY: Final = "DANG_XU_LY"  # 05, in work → HOAN_THANH, YEU_CAU_THU_HOI_05
HOAN_THANH: Final = "HOAN_THANH"  # 06, done: final
YEU_CAU_THU_HOI: Final = "YEU_CAU_THU_HOI"  # 13 asked at DEN → DA_THU_HOI (15), DEN (16), TU_CHOI, ..._03 and on
YEU_CAU_THU_HOI_03: Final = "YEU_CAU_THU_HOI_03"  # 13 asked, recipient at 03 → DA_THU_HOI (15), TIEP_NHAN (16), ..._04
YEU_CAU_THU_HOI_04: Final = "YEU_CAU_THU_HOI_04"  # 13 asked, recipient at 04 → DA_THU_HOI (15), PHAN_CONG (16), ..._05
YEU_CAU_THU_HOI_05: Final = "YEU_CAU_THU_HOI_05"  # 13 asked, recipient at 05 → DA_THU_HOI (15), DANG_XU_LY (16), ..._06
YEU_CAU_THU_HOI_06: Final = "YEU_CAU_THU_HOI_06"  # 13 asked, then finished → DA_THU_HOI (15), HOAN_THANH (16)
DA_THU_HOI: Final = "DA_THU_HOI"  # 15, recalled with consent: final

STATES: Final = (
    DA_GUI,
    DUNG_GUI,
    DEN,
    TU_CHOI,
    TIEP_NHAN,
    PHAN_CONG,
    DANG_XU_LY,
    HOAN_THANH,
    YEU_CAU_THU_HOI,
    YEU_CAU_THU_HOI_03,
    YEU_CAU_THU_HOI_04,
    YEU_CAU_THU_HOI_05,
    YEU_CAU_THU_HOI_06,
    DA_THU_HOI,
)
FINAL: Final = frozenset({TU_CHOI, HOAN_THANH, DA_THU_HOI})


class Event(StrEnum):
    """What can happen to a document at one recipient; status events have their two-digit wire code as value."""

    ARRIVED = "01"
    REFUSED = "02"
    REGISTERED = "03"
    ASSIGNED = "04"
    STARTED = "05"
    FINISHED = "06"
    RECALL = "13"
    CONSENT = "15"
    DISSENT = "16"
    RECALL_DOCUMENT = "type 1"
    UPDATE_DOCUMENT = "type 2"
    REPLACE_DOCUMENT = "type 3"


class Party(StrEnum):
    """Who may cause an event."""

    SENDER = "sender"
    RECIPIENT = "recipient"


class Effect(StrEnum):
    """What the holder of the state must do besides recording the event."""

    MOVE = "move"  # keep the new state
    RECORD = "record"  # trace only: late, repeated, or an event that moves nothing
    STOP_UNDELIVERED = "stop-undelivered"  # take the document out of the recipient's mailbox; do not forward the 13
    ASK_RECALL = "ask-recall"  # hand the recall request to the recipient
    CANCEL_COPY = "cancel-copy"  # recipient: copy cancelled; sender: original frozen
    RESUME = "resume"  # the recall was refused, the document goes on
    FORBID = "forbid"  # refuse the event with `document.status-not-allowed`


class Outcome(msgspec.Struct, frozen=True):
    """The state after an event, and what has to be done about it."""

    state: State
    effect: Effect


SENDERS_EVENTS: Final = frozenset({Event.RECALL, Event.RECALL_DOCUMENT, Event.UPDATE_DOCUMENT, Event.REPLACE_DOCUMENT})

_LADDER: Final = (
    # event, state that it leads to, the same while a recall waits; the order is the only way forward
    (Event.ARRIVED, DEN, YEU_CAU_THU_HOI),
    (Event.REGISTERED, TIEP_NHAN, YEU_CAU_THU_HOI_03),
    (Event.ASSIGNED, PHAN_CONG, YEU_CAU_THU_HOI_04),
    (Event.STARTED, DANG_XU_LY, YEU_CAU_THU_HOI_05),
    (Event.FINISHED, HOAN_THANH, YEU_CAU_THU_HOI_06),
)


def _progress() -> dict[tuple[State, Event], Outcome]:
    """Forward steps, in normal life, while a recall waits, and from a stop that came too late."""
    table = {}
    for step, (event, state, waiting) in enumerate(_LADDER):
        table[DA_GUI, event] = Outcome(state, Effect.MOVE)
        table[DUNG_GUI, event] = Outcome(waiting, Effect.ASK_RECALL)
        for _, earlier, earlier_waiting in _LADDER[:step]:
            table[earlier, event] = Outcome(state, Effect.MOVE)
            table[earlier_waiting, event] = Outcome(waiting, Effect.MOVE)
    for state in (DA_GUI, DUNG_GUI, DEN, YEU_CAU_THU_HOI):
        table[state, Event.REFUSED] = Outcome(TU_CHOI, Effect.MOVE)
    return table


def _recall() -> dict[tuple[State, Event], Outcome]:
    """Asking for a document back, and the answers."""
    table = {}
    for event in (Event.RECALL, Event.RECALL_DOCUMENT):
        table[DA_GUI, event] = Outcome(DUNG_GUI, Effect.STOP_UNDELIVERED)
        for _, state, waiting in _LADDER[:-1]:
            table[state, event] = Outcome(waiting, Effect.ASK_RECALL)
    for _, state, waiting in _LADDER:
        table[waiting, Event.CONSENT] = Outcome(DA_THU_HOI, Effect.CANCEL_COPY)
        table[waiting, Event.DISSENT] = Outcome(state, Effect.RESUME)
    # the recipient held it after all, and answered before its 01 came
    table[DUNG_GUI, Event.CONSENT] = Outcome(DA_THU_HOI, Effect.CANCEL_COPY)
    table[DUNG_GUI, Event.DISSENT] = Outcome(DEN, Effect.RESUME)
    # too late: a refused or finished document cannot be asked back by status; a recall document is still delivered
    table[TU_CHOI, Event.RECALL] = Outcome(TU_CHOI, Effect.FORBID)
    table[HOAN_THANH, Event.RECALL] = Outcome(HOAN_THANH, Effect.FORBID)
    return table


TRANSITIONS: Final[dict[tuple[State, Event], Outcome]] = {**_progress(), **_recall()}
"""Every pair that does more than record. A pair that is not here is recorded and moves nothing."""


def apply(state: State, event: Event) -> Outcome:
    """The outcome of `event` in `state`.

    Raises `document.status-not-allowed` where the table forbids it, and `server.internal` for a state that is none.
    """
    if state not in STATES:
        raise ExchangeError(INTERNAL, state=state)
    outcome = TRANSITIONS.get((state, event), Outcome(state, Effect.RECORD))
    if outcome.effect is Effect.FORBID:
        raise ExchangeError(STATUS_NOT_ALLOWED, element="MessageHeader.StatusCode", state=state, event=event.value)
    return outcome


def event_of_status(status_code: int) -> Event:
    """The event of a wire status. Raises `document.status-not-allowed` for a code outside the list."""
    try:
        return Event(f"{status_code:02d}")
    except ValueError:
        raise ExchangeError(STATUS_NOT_ALLOWED, element="MessageHeader.StatusCode", status=status_code) from None


def event_of_document(doc_type: int) -> Event | None:
    """What a document of this BussinessDocType does to the document it points at; `None` for a new document."""
    return {
        BussinessDocType.RECALL: Event.RECALL_DOCUMENT,
        BussinessDocType.UPDATE: Event.UPDATE_DOCUMENT,
        BussinessDocType.REPLACE: Event.REPLACE_DOCUMENT,
    }.get(BussinessDocType(doc_type) if doc_type in set(BussinessDocType) else BussinessDocType.NEW)


def may_cause(event: Event) -> Party:
    """Which side of the document may cause this event."""
    return Party.SENDER if event in SENDERS_EVENTS else Party.RECIPIENT


def check_reporter(event: Event, reporter: str, *, sender: str, recipient: str) -> None:
    """Raise `document.status-not-yours` unless `reporter` is the side that may cause `event` (codes in any form)."""
    entitled = sender if may_cause(event) is Party.SENDER else recipient
    if not agency_codes.same(reporter, entitled):
        raise ExchangeError(STATUS_NOT_YOURS, element="MessageHeader.From.OrganId", event=event.value)


def diagram() -> str:
    """The table as a Mermaid state diagram, for the documentation."""
    arrows: dict[tuple[State, State], list[str]] = {}
    for (state, event), outcome in TRANSITIONS.items():
        if outcome.state != state:
            arrows.setdefault((state, outcome.state), []).append(event.value)
    lines = [f"    {source} --> {target}: {', '.join(events)}" for (source, target), events in arrows.items()]
    ends = [f"    {state} --> [*]" for state in STATES if state in FINAL]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {DA_GUI}", *lines, *ends]) + "\n"
