"""Documents and statuses that say the wrong thing under a true seal: each refused by its rule, none kept."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import pytest
import pytest_asyncio
from lxml import etree

from protocol import document_ids, errors, required
from protocol.edxml.writer import write_envelope
from protocol.errors import ErrorKind, ExchangeError
from protocol.model import (
    Bussiness,
    BussinessDocType,
    Code,
    Organization,
    OtherInfo,
    PromulgationInfo,
    SignerInfo,
)
from protocol.namespaces import QCVN
from protocol.required import HUB
from tests.support.agency import AgencyClient, Attached
from tests.support.refusals import CONTENT, Stage, events, held, stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILE = Attached("f1", b"%PDF-1.7")
TODAY = datetime.now(UTC).date()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("hub")) as ready:
        yield ready


def found(tree: etree._Element, path: str) -> etree._Element:
    """The element at `MessageHeader.To.OrganId`, at any depth."""
    element = tree.find(".//" + "/".join(f"{{{QCVN}}}{name}" for name in path.split(".")))
    assert element is not None, path
    return element


async def send(at: Stage, tree: etree._Element) -> None:
    await at.sender.send(at.sealed(tree), [FILE])


DEMANDED = [field.path for field in required.FIELDS if HUB in field.needed_by]
# what stands before DEMANDED here is refused by the reader already
MISSING_TOO = ["MessageHeader", "MessageHeader.From", "MessageHeader.To", "MessageHeader.PromulgationInfo"]


@pytest.mark.parametrize("path", [*MISSING_TOO, *DEMANDED])
async def test_document_without_a_required_element(at: Stage, path: str):
    tree = at.unsealed([FILE])
    element = found(tree, path)
    element.getparent().remove(element)
    error = await at.refused(send(at, tree), MISSING_AS.get(path, errors.ELEMENT_EMPTY))
    assert error.element.startswith(path)


MISSING_AS = {
    **dict.fromkeys([*MISSING_TOO, "MessageHeader.From.OrganId", "MessageHeader.To.OrganId"], errors.ELEMENT_MISSING),
    "edXMLManifest.Reference.ContentId": errors.ELEMENT_MISSING,
}


@pytest.mark.parametrize("text", ["", " \n "])
@pytest.mark.parametrize("path", DEMANDED)
async def test_document_with_an_empty_required_element(at: Stage, path: str, text: str):
    tree = at.unsealed([FILE])
    found(tree, path).text = text
    kind = errors.ELEMENT_MISSING if path == "edXMLManifest.Reference.ContentId" else errors.ELEMENT_EMPTY
    await at.refused(send(at, tree), kind, path)


@pytest.mark.parametrize("field", [field for field in required.FIELDS if field.limit], ids=lambda field: field.path)
async def test_over_long_field_is_refused_not_cut(at: Stage, field: required.Field):
    """One character more than the table allows; exactly as many pass."""
    values = {
        "MessageHeader.From.OrganizationInCharge": {
            "sender": Organization(organ_id="H21.16", organization_in_charge="a")
        },
        "MessageHeader.SignerInfo.Position": {"signer_info": SignerInfo(position="a", full_name="a")},
        "TraceHeaderList.Bussiness.BussinessDocReason": {"bussiness": Bussiness(reason="a")},
    }
    file = Attached("f1", b"%PDF-1.7")
    document = at.document([file], **values.get(field.path, {}))
    tree = etree.fromstring(write_envelope(document, envelope_id="id-1"))
    if field.path == "edXMLManifest.Reference.Description":
        etree.SubElement(found(tree, "edXMLManifest.Reference"), f"{{{QCVN}}}Description")
    path = field.path.replace("TraceHeaderList.Bussiness.", "Bussiness.")
    found(tree, path).text = "đ" * (field.limit + 1)
    if "OrganId" in field.path:  # a code that long is not even one
        found(tree, path).text = "A" * (field.limit + 1)
    kind = errors.NOT_THE_SENDER if "From.OrganId" in field.path else errors.ELEMENT_TOO_LONG
    await at.refused(send(at, tree), kind, field.path)


async def test_longest_subject_passes(at: Stage):
    longest = unicodedata.normalize("NFC", "ế" * 500)
    await at.sender.send(at.sealed(at.unsealed(subject=longest)))


@pytest.mark.parametrize("text", ["2026/02/30", "hôm qua", "20/11/26", "2026/13/01", "0000/00/00", "20261120"])
@pytest.mark.parametrize("path", ["MessageHeader.PromulgationInfo.PromulgationDate", "MessageHeader.DueDate"])
async def test_date_that_is_none(at: Stage, path: str, text: str):
    tree = at.unsealed([FILE], due_date=date(2026, 12, 1))
    found(tree, path).text = text
    await at.refused(send(at, tree), errors.ELEMENT_TYPE, path)


@pytest.mark.parametrize("text", ["20/11/2026", "2026-11-20", "20-11-2026", "2026/11/20 07:30:00"])
async def test_dates_that_other_systems_write_are_read(at: Stage, text: str):
    tree = at.unsealed()
    found(tree, "MessageHeader.PromulgationInfo.PromulgationDate").text = text
    await at.sender.send(at.sealed(tree))


async def test_document_of_tomorrow(at: Stage):
    """A day in Vietnam; two days ahead is tomorrow everywhere."""
    info = PromulgationInfo(place="Gia Lai", date=TODAY + timedelta(days=2))
    path = "MessageHeader.PromulgationInfo.PromulgationDate"
    await at.refused(send(at, at.unsealed([FILE], promulgation_info=info)), errors.DATE_IN_FUTURE, path)


NOT_NFC = {
    "combining marks": unicodedata.normalize("NFD", f"V/v nghỉ lễ {CONTENT}"),
    "tone before hat": f"e\u0301\u0302 {CONTENT}",
    "eth for Đ": f"\u00d0ề nghị {CONTENT}",
}


@pytest.mark.parametrize("text", NOT_NFC.values(), ids=NOT_NFC)
@pytest.mark.parametrize("path", ["MessageHeader.Subject", "Reference.AttachmentName", "MessageHeader.DocumentId"])
async def test_ac_3_2_2_text_that_is_not_nfc(at: Stage, path: str, text: str):
    tree = at.unsealed([FILE])
    found(tree, path).text = text[:90]
    await at.refused(send(at, tree), errors.NOT_NFC, path.rpartition(".")[2])


async def test_text_that_was_lost_before(at: Stage):
    await at.refused(send(at, at.unsealed([FILE], subject="V/v ngh\ufffd l\ufffd")), errors.UNDECODABLE_TEXT)


async def test_text_of_combining_marks_without_end(at: Stage):
    """An attack on the normaliser: 400 marks on one letter."""
    await at.refused(send(at, at.unsealed([FILE], subject="a" + "\u0301" * 400)), errors.NOT_NFC, "Subject")


def _to(*codes: str) -> dict[str, object]:
    return {"to": codes}


WRONG: dict[str, tuple[dict[str, object], ErrorKind, str]] = {
    "unknown recipient": (_to("H21.77"), errors.RECIPIENT_UNKNOWN, "MessageHeader.To.OrganId"),
    "one unknown among known": (_to("H21.23", "H21.77"), errors.RECIPIENT_UNKNOWN, "MessageHeader.To.OrganId"),
    "recipient of another province": (_to("H22.10"), errors.RECIPIENT_FOREIGN, "MessageHeader.To.OrganId"),
    "recipient of a ministry, old form": (_to("000.00.05.G09"), errors.RECIPIENT_FOREIGN, "MessageHeader.To.OrganId"),
    "the same recipient twice": (_to("H21.23", "H21.23"), errors.DUPLICATE_RECIPIENT, "MessageHeader.To.OrganId"),
    "the same in two forms": (_to("H21.23", "000.00.23.H21"), errors.DUPLICATE_RECIPIENT, "MessageHeader.To.OrganId"),
    "a code that is none": (_to("../../etc"), errors.ELEMENT_RANGE, "MessageHeader.To.OrganId"),
    "another sender": (
        {"sender": Organization(organ_id="H21.23")},
        errors.NOT_THE_SENDER,
        "MessageHeader.From.OrganId",
    ),
    "an unknown sender": (
        {"sender": Organization(organ_id="H21.78")},
        errors.NOT_THE_SENDER,
        "MessageHeader.From.OrganId",
    ),
    "priority of two digits": (
        {"other_info": OtherInfo(priority=10)},
        errors.ELEMENT_RANGE,
        "MessageHeader.OtherInfo.Priority",
    ),
    "a recall of nothing": (
        {"bussiness": Bussiness(doc_type=BussinessDocType.RECALL)},
        errors.ELEMENT_MISSING,
        "MessageHeader.ResponseFor.DocumentId",
    ),
    "an update of nothing": (
        {"bussiness": Bussiness(doc_type=BussinessDocType.UPDATE)},
        errors.ELEMENT_MISSING,
        "TraceHeaderList.Bussiness.DocumentId",
    ),
}


@pytest.mark.parametrize(("changes", "kind", "element"), WRONG.values(), ids=WRONG)
async def test_document_that_contradicts_itself_or_the_registry(
    at: Stage, changes: dict[str, object], kind: ErrorKind, element: str
):
    await at.refused(send(at, at.unsealed([FILE], **changes)), kind, element)


async def test_suspended_recipient(at: Stage):
    async with await at.hub.agency("H21.31"):
        await at.hub.hub.administration.suspend("H21.31")
        tree = at.unsealed([FILE], **_to("H21.23", "H21.31"))
        await at.refused(send(at, tree), errors.RECIPIENT_SUSPENDED, "MessageHeader.To.OrganId")


async def test_numbers_that_are_none(at: Stage):
    tree = at.unsealed([FILE], other_info=OtherInfo(priority=1))
    found(tree, "MessageHeader.OtherInfo.Priority").text = "khẩn"
    await at.refused(send(at, tree), errors.ELEMENT_TYPE, "MessageHeader.OtherInfo.Priority")


async def test_more_recipients_than_anybody_has(at: Stage):
    tree = at.unsealed([FILE])
    header, to = found(tree, "MessageHeader"), found(tree, "MessageHeader.To")
    for number in range(5000):
        copy = etree.fromstring(etree.tostring(to))
        copy[0].text = f"H21.{number + 100}"
        header.insert(header.index(to) + 1, copy)
    await at.refused(send(at, tree), errors.ELEMENT_RANGE, "MessageHeader.To")


@pytest.mark.parametrize("change", ["subject", "attachment", "recipient"])
async def test_same_document_id_with_other_bytes(at: Stage, change: str):
    """Refused whatever differs, and the first one stays as it was."""
    number = f"trung-{change}"[:11]
    changes = {
        "code": Code(number=number, notation="VD-VP"),
        "document_id": document_ids.compose("H21.16", date(2026, 11, 20), number),
    }
    first = await at.sender.send(at.sealed(at.unsealed([FILE], **changes)), [FILE])
    other = Attached("f1", b"%PDF-1.8") if change == "attachment" else FILE
    if change == "subject":
        changes["subject"] = f"V/v khác {CONTENT}"
    if change == "recipient":
        async with await at.hub.agency("H21.32"):
            changes |= _to("H21.32")
    tree = at.unsealed([other], **changes)
    await at.refused(at.sender.send(at.sealed(tree), [other]), errors.DOCUMENT_CONFLICT, "MessageHeader.DocumentId")
    numbers = {summary.number: summary.digest for summary in await at.recipient.pending(limit=1000)}
    assert first.number in numbers


async def report(at: Stage, agency: AgencyClient, **changes: object) -> None:
    """A status of this agency, spoilt by `changes` of its tree (path → text, or None to take the element away)."""
    status = agency.status(3, str(changes.pop("document_id", "H21.16,2026/11/20,1/VD-VP")), "H21.16", CONTENT)
    tree = etree.fromstring(write_envelope(status, envelope_id="id-1"))
    for name, text in changes.items():
        element = found(tree, name.replace("_", "."))
        if text is None:
            element.getparent().remove(element)
        else:
            element.text = str(text)
    await agency.report(at.sealed(tree))


STATUSES: dict[str, tuple[dict[str, object], ErrorKind, str]] = {
    "about nothing we know": ({}, errors.DOCUMENT_NOT_FOUND, "ResponseFor.DocumentId"),
    "about nothing": ({"ResponseFor": None}, errors.ELEMENT_MISSING, "MessageHeader.ResponseFor.DocumentId"),
    "a code that is a word": ({"StatusCode": "xong"}, errors.ELEMENT_TYPE, "MessageHeader.StatusCode"),
    "a code outside the list": ({"StatusCode": "99"}, errors.ELEMENT_RANGE, "MessageHeader.StatusCode"),
    "no code": ({"StatusCode": ""}, errors.ELEMENT_EMPTY, "MessageHeader.StatusCode"),
    "a reason too long": ({"Description": "đ" * 501}, errors.ELEMENT_TOO_LONG, "MessageHeader.Description"),
    "nobody reports": ({"From_OrganId": ""}, errors.ELEMENT_EMPTY, "MessageHeader.From.OrganId"),
    "in the name of another": ({"From_OrganId": "H21.23"}, errors.NOT_THE_SENDER, "MessageHeader.From.OrganId"),
    "a time that is none": ({"Timestamp": "chiều"}, errors.ELEMENT_TYPE, "MessageHeader.Timestamp"),
}


@pytest.mark.parametrize(("changes", "kind", "element"), STATUSES.values(), ids=STATUSES)
async def test_status_that_says_the_wrong_thing(at: Stage, changes: dict[str, object], kind: ErrorKind, element: str):
    await at.refused(report(at, at.sender, **changes), kind, element)


async def test_status_by_somebody_the_document_was_not_sent_to(at: Stage):
    """The sender itself may not say that it received its own document."""
    tree = at.unsealed()
    await at.sender.send(at.sealed(tree))
    name = found(tree, "MessageHeader.DocumentId").text
    await at.refused(report(at, at.sender, document_id=name), errors.STATUS_NOT_YOURS)


async def test_status_where_a_document_belongs_and_the_other_way_round(at: Stage):
    status = at.sender.sealed(at.sender.status(3, "H21.16,2026/11/20,1/VD-VP", "H21.16"))
    await at.refused(at.sender.send(status), errors.ELEMENT_MISMATCH, "MessageHeader.StatusCode")
    document = at.sealed(at.unsealed())
    await at.refused(at.sender.report(document), errors.ELEMENT_MISSING, "MessageHeader.StatusCode")


async def test_status_with_an_attachment_hides_a_document(at: Stage):
    tree = at.unsealed([FILE])
    header = found(tree, "MessageHeader")
    etree.SubElement(header, f"{{{QCVN}}}StatusCode").text = "3"
    for send_it in (at.sender.send, at.sender.report):
        await at.refused(send_it(at.sealed(tree)), errors.ELEMENT_MISMATCH, "MessageHeader.StatusCode")


async def test_refused_recall_leaves_the_document_alone(at: Stage):
    """A status 13 for a document that is confirmed already: the word says so, nothing moves."""
    tree = at.unsealed()
    await at.sender.send(at.sealed(tree))
    name = str(found(tree, "MessageHeader.DocumentId").text)
    status = at.recipient.sealed(at.recipient.status(13, name, "H21.16"))
    before, leaves = held(at.hub), at.hub.hub.ledger.log.size
    with pytest.raises(ExchangeError) as caught:
        await at.recipient.report(status)
    assert caught.value.kind in {errors.STATUS_NOT_YOURS, errors.STATUS_NOT_ALLOWED}
    assert held(at.hub) == before
    assert [leaf.agency for leaf in events(at.hub, leaves)] == ["H21.23"]
