"""Recalls through a real hub, in both styles: status 13, and a document of BussinessDocType 1 (edxml.md 3.5).

Whatever the style and whatever crosses it on the way, a recipient without the document never hears of it, one that has
it is asked, and nothing is taken back that its sender did not send (NĐ 30/2020 PL VI, AC-12.2-1).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol import errors, lifecycle
from protocol.errors import ExchangeError
from protocol.exchange import Accepted, Caller
from protocol.http.mailbox_views import StatusReader, statuses_since
from protocol.model import Bussiness, BussinessDocType, Document, ResponseFor
from protocol.receipts import decode_leaf
from tests.support.agency import AgencyClient
from tests.support.running_hub import RunningHub

STYLES = ["status", "document"]


@pytest.fixture
async def hub(tmp_path: Path):
    async with RunningHub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
async def three(hub: RunningHub):
    async with (
        await hub.agency("H21.16") as sender,
        await hub.agency("H21.23") as first,
        await hub.agency("H21.24") as second,
    ):
        yield sender, first, second


def recalling(sender: AgencyClient, number: str, to: list[str], *names: str, **changes: object) -> Document:
    """A document that recalls those of these names."""
    return sender.document(
        to,
        number,
        bussiness=Bussiness(doc_type=BussinessDocType.RECALL, reason="gửi nhầm"),
        response_for=tuple(ResponseFor(organ_id=sender.code, document_id=name) for name in names),
        **changes,
    )


async def recall(sender: AgencyClient, style: str, name: str, to: list[str], number: str = "900") -> Accepted:
    if style == "status":
        return await sender.report(sender.sealed(sender.status(13, name, sender.code, f"gửi nhầm {number}")))
    return await sender.send(sender.sealed(recalling(sender, number, to, name)))


async def sent(sender: AgencyClient, to: list[str], number: str = "1") -> tuple[int, str]:
    document = sender.document(to, number)
    return (await sender.send(sender.sealed(document))).number, document.header.document_id


async def refusal_of(attempt: object) -> errors.ErrorKind:
    with pytest.raises(ExchangeError) as caught:
        await attempt  # type: ignore[misc] # an awaitable of any result
    return caught.value.kind


def states(hub: RunningHub, number: int) -> dict[str, tuple[str, str]]:
    return {row.recipient: (row.state, row.handling) for row in hub.hub.ledger.recipients(number)}


async def numbers(client: AgencyClient) -> list[int]:
    return [one.number for one in await client.pending()]


@pytest.mark.parametrize("style", STYLES)
async def test_both_styles_stop_the_undelivered_and_ask_who_has_it(hub: RunningHub, three, style: str) -> None:
    sender, first, second = three
    number, name = await sent(sender, ["H21.23", "H21.24"])
    await first.confirm(number)
    asked = await recall(sender, style, name, ["H21.23", "H21.24"])
    assert await numbers(first) == [asked.number]
    assert await numbers(second) == []
    assert states(hub, number) == {
        "H21.23": ("delivered", lifecycle.YEU_CAU_THU_HOI),
        "H21.24": ("withdrawn", lifecycle.DUNG_GUI),
    }
    await first.report(first.sealed(first.status(15, name, "H21.16")))
    assert states(hub, number)["H21.23"] == ("delivered", lifecycle.DA_THU_HOI)


@pytest.mark.parametrize("style", STYLES)
async def test_recall_that_crosses_a_fetch_reaches_who_fetched(hub: RunningHub, three, style: str) -> None:
    sender, first, _ = three
    number, name = await sent(sender, ["H21.23"])
    await first.fetch(number)
    asked = await recall(sender, style, name, ["H21.23"])
    assert await numbers(first) == []
    assert (await first.confirm(number))[0].outcome == "delivered"
    assert states(hub, number) == {"H21.23": ("delivered", lifecycle.YEU_CAU_THU_HOI)}
    assert await numbers(first) == [asked.number]
    assert "notice" in [one.kind for one in await sender.pending()]
    assert (await first.confirm(number))[0].outcome == "already"
    await first.report(first.sealed(first.status(16, name, "H21.16", "đã xử lý")))
    assert states(hub, number) == {"H21.23": ("delivered", lifecycle.DEN)}


@pytest.mark.parametrize("style", STYLES)
async def test_ac_12_2_1_a_stopped_copy_is_in_the_evidence(hub: RunningHub, three, style: str) -> None:
    sender, first, _ = three
    number, name = await sent(sender, ["H21.23", "H21.24"])
    await first.confirm(number)
    size = hub.hub.ledger.log.size
    asked = await recall(sender, style, name, ["H21.23", "H21.24"])
    leaves = [decode_leaf(hub.hub.ledger.receipt(index).leaf) for index in range(size, hub.hub.ledger.log.size)]
    stopped = [leaf for leaf in leaves if leaf.type == "recall"]
    assert [(one.number, one.document_id, one.recipient, one.detail) for one in stopped] == [
        (number, name, "H21.24", f"stopped by {asked.number}")
    ]


async def test_claiming_a_withdrawn_document_does_not_open_it(three) -> None:
    sender, first, _ = three
    number, name = await sent(sender, ["H21.23"])
    await recall(sender, "status", name, ["H21.23"])
    await first.confirm(number)
    assert await refusal_of(first.fetch(number)) is errors.DOCUMENT_NOT_FOUND


@pytest.mark.parametrize("style", STYLES)
async def test_report_before_the_confirmation_also_asks_for_the_recall(hub: RunningHub, three, style: str) -> None:
    sender, first, _ = three
    number, name = await sent(sender, ["H21.23"])
    await first.fetch(number)
    asked = await recall(sender, style, name, ["H21.23"])
    await first.report(first.sealed(first.status(3, name, "H21.16")))
    assert await numbers(first) == [asked.number]
    assert (await first.confirm(number))[0].outcome == "delivered"
    assert await numbers(first) == [asked.number]
    assert states(hub, number) == {"H21.23": ("delivered", lifecycle.YEU_CAU_THU_HOI_03)}


@pytest.mark.parametrize("style", STYLES)
async def test_repeated_recall_is_recorded_and_not_shown_to_who_never_saw_the_document(
    hub: RunningHub, three, style: str
) -> None:
    sender, first, second = three
    number, name = await sent(sender, ["H21.23", "H21.24"])
    await first.confirm(number)
    await recall(sender, style, name, ["H21.23", "H21.24"], "901")
    before = states(hub, number)
    again = await recall(sender, style, name, ["H21.23", "H21.24"], "902")
    assert not again.repeated
    assert states(hub, number) == before
    assert await numbers(second) == []
    assert again.number in await numbers(first)


async def test_the_same_recall_document_again_is_a_repeat(three) -> None:
    sender, _, _ = three
    _, name = await sent(sender, ["H21.23"])
    envelope = sender.sealed(recalling(sender, "903", ["H21.23"], name))
    first = await sender.send(envelope)
    again = await sender.send(envelope)
    assert (again.number, again.repeated) == (first.number, True)


async def test_recall_document_concerns_its_own_recipients_only(hub: RunningHub, three) -> None:
    sender, _, second = three
    number, name = await sent(sender, ["H21.23", "H21.24"])
    await recall(sender, "document", name, ["H21.23"])
    assert states(hub, number) == {
        "H21.23": ("withdrawn", lifecycle.DUNG_GUI),
        "H21.24": ("waiting", lifecycle.DA_GUI),
    }
    assert await numbers(second) == [number]


async def test_recall_document_of_two_documents_comes_once(hub: RunningHub, three) -> None:
    sender, first, _ = three
    (one, its), (other, others) = await sent(sender, ["H21.23"], "1"), await sent(sender, ["H21.23"], "2")
    await first.confirm(one)
    await first.fetch(other)
    asked = await sender.send(sender.sealed(recalling(sender, "904", ["H21.23"], its, others)))
    assert (await first.confirm(other))[0].outcome == "delivered"
    assert await numbers(first) == [asked.number]
    assert {states(hub, number)["H21.23"][1] for number in (one, other)} == {lifecycle.YEU_CAU_THU_HOI}


async def test_nobody_recalls_what_another_agency_sent(hub: RunningHub, three) -> None:
    sender, first, second = three
    number, name = await sent(sender, ["H21.23"])
    for thief in (first, second):
        forged = thief.sealed(recalling(thief, "905", ["H21.23" if thief is second else "H21.24"], name))
        assert await refusal_of(thief.send(forged)) is errors.DOCUMENT_NOT_FOUND
    assert states(hub, number) == {"H21.23": ("waiting", lifecycle.DA_GUI)}


async def test_recall_document_that_names_no_document_id_is_refused(three) -> None:
    sender, _, _ = three
    document = recalling(sender, "906", ["H21.23"])
    named = Document(
        header=document.header,
        bussiness=document.bussiness,
        trace_headers=document.trace_headers,
    )
    assert await refusal_of(sender.send(sender.sealed(named))) is errors.ELEMENT_MISSING


async def test_every_recipient_reads_the_recall_through_package_b(hub: RunningHub, three) -> None:
    sender, first, second = three
    number, name = await sent(sender, ["H21.23", "H21.24"])
    await first.confirm(number)
    await second.confirm(number)
    asked = await recall(sender, "status", name, ["H21.23", "H21.24"])
    for client in (first, second):
        caller = Caller(agency=client.code, proof="token")
        assert [one.number for one in await hub.hub.exchange.traces(caller)] == [asked.number]
        (read,) = await StatusReader(hub.hub.exchange).read(caller)
        assert (read.number, read.status.status_code) == (asked.number, 13)
        since = read.status.timestamp
        assert since is not None
        assert [one.number for one in await statuses_since(hub.hub.exchange, caller, since)] == [asked.number]
    own = await hub.hub.exchange.traces(Caller(agency="H21.16", proof="token"))
    assert [one.status.status_code for one in own] == [1, 1]


async def test_statuses_and_traces_of_an_update_with_its_own_name(hub: RunningHub, three) -> None:
    sender, first, _ = three
    _, name = await sent(sender, ["H21.23"])
    update = sender.document(["H21.23"], "7", bussiness=Bussiness(doc_type=BussinessDocType.UPDATE, document_id=name))
    accepted = await sender.send(sender.sealed(update))
    reported = await first.report(first.sealed(first.status(3, update.header.document_id, "H21.16")))
    assert states(hub, accepted.number) == {"H21.23": ("waiting", lifecycle.TIEP_NHAN)}
    caller = Caller(agency="H21.16", proof="token")
    traces = await hub.hub.exchange.traces(caller, document_id=update.header.document_id)
    assert [one.number for one in traces] == [reported.number]


async def test_status_of_who_got_only_the_update_is_about_the_update(hub: RunningHub, three) -> None:
    """An update may reuse the name of what it updates (edxml.md 4.3) and go to further recipients."""
    sender, _, second = three
    original, name = await sent(sender, ["H21.23"])
    changes = Bussiness(doc_type=BussinessDocType.UPDATE, document_id=name)
    update = sender.document(["H21.23", "H21.24"], "1", bussiness=changes)
    assert update.header.document_id == name
    accepted = await sender.send(sender.sealed(update))
    reported = await second.report(second.sealed(second.status(3, name, "H21.16")))
    assert states(hub, accepted.number)["H21.24"] == ("waiting", lifecycle.TIEP_NHAN)
    assert states(hub, original) == {"H21.23": ("waiting", lifecycle.DA_GUI)}
    traces = await hub.hub.exchange.traces(Caller(agency="H21.16", proof="token"), document_id=name)
    assert [one.number for one in traces] == [reported.number]


async def test_status_about_several_documents_is_refused_whole(hub: RunningHub, three) -> None:
    sender, first, _ = three
    documents = [await sent(sender, ["H21.23"], str(number)) for number in (1, 2)]
    answered = tuple(ResponseFor(organ_id="H21.16", document_id=name) for _, name in documents)
    status = first.status(3, documents[0][1], "H21.16")
    several = type(status)(
        sender=status.sender, response_for=answered, status_code=3, description="", timestamp=status.timestamp
    )
    assert await refusal_of(first.report(first.sealed(several))) is errors.ELEMENT_RANGE
    assert [states(hub, number)["H21.23"][1] for number, _ in documents] == [lifecycle.DA_GUI] * 2


async def test_two_agencies_may_use_the_same_name(hub: RunningHub, three) -> None:
    """The DocumentId of many systems is a plain number: who ResponseFor names says whose document is meant."""
    sender, first, _ = three
    one = (await sender.send(sender.sealed(sender.document(["H21.23"], "1", document_id="123")))).number
    other = (await first.send(first.sealed(first.document(["H21.16"], "2", document_id="123")))).number
    await first.report(first.sealed(first.status(3, "123", "H21.16")))
    assert states(hub, one) == {"H21.23": ("waiting", lifecycle.TIEP_NHAN)}
    assert states(hub, other) == {"H21.16": ("waiting", lifecycle.DA_GUI)}
    await sender.report(sender.sealed(sender.status(13, "123", "H21.23", "gửi nhầm")))
    assert states(hub, one) == {"H21.23": ("waiting", lifecycle.YEU_CAU_THU_HOI_03)}


async def test_a_stranger_cannot_tell_which_documents_exist(three) -> None:
    sender, _, second = three
    _, name = await sent(sender, ["H21.23"])
    for asked in (name, "không có"):
        for code in (3, 13, 15):
            status = second.sealed(second.status(code, asked, "H21.16", "lý do"))
            assert await refusal_of(second.report(status)) is errors.DOCUMENT_NOT_FOUND
