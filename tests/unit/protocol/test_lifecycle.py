"""The transition table, all of it: every state with every event, who may cause what, both styles of recall."""

from itertools import pairwise, permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import lifecycle
from protocol.errors import INTERNAL, STATUS_NOT_ALLOWED, STATUS_NOT_YOURS, ExchangeError
from protocol.lifecycle import Effect, Event

# One row per state, one column per event; "=" is recorded without a move, "!" is forbidden. Written by hand, not
# derived: the table of the module must agree with it cell by cell.
COLUMNS = ["01", "02", "03", "04", "05", "06", "13", "15", "16", "type-1", "type-2", "type-3"]
TABLE = """
DA_GUI              DEN  TU_CHOI TIEP_NHAN PHAN_CONG DANG_XU_LY HOAN_THANH DUNG_GUI = = DUNG_GUI = =
DUNG_GUI            W01  TU_CHOI W03 W04 W05 W06 = DA_THU_HOI DEN = = =
DEN                 =    TU_CHOI TIEP_NHAN PHAN_CONG DANG_XU_LY HOAN_THANH W01 = = W01 = =
TU_CHOI             =    =       = = = =  ! = = = = =
TIEP_NHAN           =    =       = PHAN_CONG DANG_XU_LY HOAN_THANH W03 = = W03 = =
PHAN_CONG           =    =       = = DANG_XU_LY HOAN_THANH W04 = = W04 = =
DANG_XU_LY          =    =       = = = HOAN_THANH W05 = = W05 = =
HOAN_THANH          =    =       = = = = ! = = = = =
YEU_CAU_THU_HOI     =    TU_CHOI W03 W04 W05 W06 = DA_THU_HOI DEN = = =
YEU_CAU_THU_HOI_03  =    =       = W04 W05 W06 = DA_THU_HOI TIEP_NHAN = = =
YEU_CAU_THU_HOI_04  =    =       = = W05 W06 = DA_THU_HOI PHAN_CONG = = =
YEU_CAU_THU_HOI_05  =    =       = = = W06 = DA_THU_HOI DANG_XU_LY = = =
YEU_CAU_THU_HOI_06  =    =       = = = = = DA_THU_HOI HOAN_THANH = = =
DA_THU_HOI          =    =       = = = = = = = = = =
"""
WAITING = {
    "W01": "YEU_CAU_THU_HOI",
    "W03": "YEU_CAU_THU_HOI_03",
    "W04": "YEU_CAU_THU_HOI_04",
    "W05": "YEU_CAU_THU_HOI_05",
    "W06": "YEU_CAU_THU_HOI_06",
}
CELLS = [
    (row.split()[0], Event(column.replace("-", " ")), WAITING.get(cell, cell))
    for row in TABLE.strip().splitlines()
    for column, cell in zip(COLUMNS, row.split()[1:], strict=True)
]


def test_the_table_covers_every_state_and_event():
    assert {(state, event) for state, event, _ in CELLS} == set(product(lifecycle.STATES, Event))


@pytest.mark.parametrize(("state", "event", "expected"), CELLS, ids=str)
def test_every_state_with_every_event(state: str, event: Event, expected: str):
    if expected == "!":
        with pytest.raises(ExchangeError) as refused:
            lifecycle.apply(state, event)
        assert refused.value.kind is STATUS_NOT_ALLOWED
        return
    outcome = lifecycle.apply(state, event)
    assert outcome.state == (state if expected == "=" else expected)
    assert (outcome.effect is Effect.RECORD) == (expected == "=")


def effects(effect: Effect):
    return {
        (state, event.value) for (state, event), outcome in lifecycle.TRANSITIONS.items() if outcome.effect is effect
    }


def test_recall_before_delivery_stops_the_hubs_copy_in_both_styles():
    assert effects(Effect.STOP_UNDELIVERED) == {("DA_GUI", "13"), ("DA_GUI", "type 1")}


def test_consent_cancels_the_copy_wherever_a_recall_waits():
    assert effects(Effect.CANCEL_COPY) == {(state, "15") for state in ("DUNG_GUI", *WAITING.values())}


def test_refusal_of_a_recall_resumes_where_the_recipient_was():
    for _, state, waiting in lifecycle._LADDER:
        assert lifecycle.apply(waiting, Event.DISSENT) == lifecycle.Outcome(state, Effect.RESUME)


def test_a_stop_that_came_too_late_asks_the_recipient():
    outcome = lifecycle.apply("DUNG_GUI", Event.ARRIVED)
    assert outcome == lifecycle.Outcome("YEU_CAU_THU_HOI", Effect.ASK_RECALL)


RANK = {
    "DA_GUI": 0,
    "DEN": 1,
    "TIEP_NHAN": 3,
    "PHAN_CONG": 4,
    "DANG_XU_LY": 5,
    "HOAN_THANH": 6,
    "TU_CHOI": 6,
    "DUNG_GUI": 0,
}
RANK |= {waiting: RANK[state] for _, state, waiting in lifecycle._LADDER}


def run(events: list[Event], state: str = "DA_GUI"):
    states = [state]
    for event in events:
        try:
            states.append(lifecycle.apply(states[-1], event).state)
        except ExchangeError:
            states.append(states[-1])
    return states


@given(st.lists(st.sampled_from(Event), max_size=12))
def test_no_sequence_of_events_moves_a_document_backwards(events: list[Event]):
    states = run(events)
    for before, after in pairwise(states):
        if "DA_THU_HOI" in (before, after):
            assert after == "DA_THU_HOI"
        else:
            assert RANK[after] >= RANK[before]


@given(st.lists(st.sampled_from(Event), max_size=8))
def test_a_repeated_event_is_recorded_and_moves_nothing(events: list[Event]):
    state = run(events)[-1]
    for event in Event:
        once = run([event], state)[-1]
        if event not in {Event.ARRIVED, Event.DISSENT, Event.RECALL, Event.RECALL_DOCUMENT}:
            assert run([event, event], state)[-1] == once


def test_progress_in_any_order_ends_at_the_furthest_report():
    for order in permutations(["01", "03", "04", "05", "06"]):
        assert run(map(Event, order))[-1] == "HOAN_THANH"


def test_final_states_move_no_more():
    for state, event in product(lifecycle.FINAL, Event):
        assert run([event], state)[-1] == state


def test_wire_codes_are_integers_and_unknown_ones_are_refused():
    assert [lifecycle.event_of_status(code).value for code in (1, 2, 3, 4, 5, 6, 13, 15, 16)] == COLUMNS[:9]
    for code in (0, 7, 14, 103, 999, -1):
        with pytest.raises(ExchangeError) as refused:
            lifecycle.event_of_status(code)
        assert refused.value.kind is STATUS_NOT_ALLOWED


def test_business_types_are_events_of_the_document_they_name():
    assert lifecycle.event_of_document(0) is None
    assert lifecycle.event_of_document(1) is Event.RECALL_DOCUMENT
    assert lifecycle.event_of_document(2) is Event.UPDATE_DOCUMENT
    assert lifecycle.event_of_document(3) is Event.REPLACE_DOCUMENT
    assert lifecycle.event_of_document(9) is None


@pytest.mark.parametrize("event", Event)
def test_only_the_entitled_side_reports_in_either_form_of_its_code(event: Event):
    senders = event.value == "13" or event.value.startswith("type")
    entitled, other = ("000.00.16.H21", "H21.23") if senders else ("000.00.23.H21", "H21.16")
    lifecycle.check_reporter(event, entitled, sender="H21.16", recipient="H21.23")
    for stranger in (other, "H21.99"):
        with pytest.raises(ExchangeError) as refused:
            lifecycle.check_reporter(event, stranger, sender="H21.16", recipient="H21.23")
        assert refused.value.kind is STATUS_NOT_YOURS


def test_a_state_that_is_none_is_an_internal_error_of_the_vocabulary():
    with pytest.raises(ExchangeError) as refused:
        lifecycle.apply("MAT_TICH", Event.ARRIVED)
    assert refused.value.kind is INTERNAL


def test_the_diagram_has_every_move_and_every_state():
    diagram = lifecycle.diagram()
    assert diagram.startswith("stateDiagram-v2\n    [*] --> DA_GUI\n")
    for (state, event), outcome in lifecycle.TRANSITIONS.items():
        arrow = next((line for line in diagram.splitlines() if f"    {state} --> {outcome.state}: " in line), "")
        assert outcome.state == state or event.value in arrow
    assert all(state in diagram for state in lifecycle.STATES)
