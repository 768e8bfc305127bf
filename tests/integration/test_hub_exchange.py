"""A document's whole way through a real hub: custody, mailbox, confirmation, notice, statuses."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from certs.log_key import verify_statement
from certs.trust import Trust
from protocol import errors
from protocol.edxml.reader import read_message
from protocol.errors import ExchangeError
from protocol.exchange import Caller
from protocol.http.mailbox_views import StatusReader
from protocol.receipts import Receipt, verify
from protocol.seal import open_seal
from tests.support.agency import Attached
from tests.support.running_hub import RunningHub


@pytest.fixture
async def hub(tmp_path: Path):
    async with RunningHub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
async def pair(hub: RunningHub):
    async with await hub.agency("H21.16") as sender, await hub.agency("H21.23") as recipient:
        yield sender, recipient


async def test_document_arrives_byte_identical_and_statuses_come_back(hub: RunningHub, pair) -> None:
    sender, recipient = pair
    attachments = [Attached("f1", b"%PDF-1.7 \r\n\r\n"), Attached("f2", bytes(range(256)) * 4000, name="phụ lục.bin")]
    document = sender.document(["H21.23"], "123", attachments)
    accepted = await sender.send(sender.sealed(document), attachments)
    assert not accepted.repeated
    vkey = hub.hub.statement
    key = verify_statement(vkey, Trust(sender.trust), hub.hub._now())
    leaf = verify(Receipt.from_text(accepted.receipt), [key])
    assert leaf.type == "accepted"
    assert leaf.recipients == ("H21.23",)

    (waiting,) = await recipient.pending(wait=5)
    assert (waiting.kind, waiting.sender, waiting.document_id) == ("document", "H21.16", document.header.document_id)
    fetched = await recipient.fetch(waiting.number)
    opened = open_seal(fetched.envelope)
    assert opened.digest == waiting.digest == leaf.digest
    assert read_message(opened.root) == document
    assert fetched.parts == {one.content_id: one.data for one in attachments}
    assert fetched.receipt == accepted.receipt

    assert [one.outcome for one in await recipient.confirm(waiting.number, 999)] == ["delivered", "unknown"]
    assert [one.outcome for one in await recipient.confirm(waiting.number)] == ["already"]
    assert await recipient.pending() == ()
    (notice,) = await sender.pending(wait=5)
    assert notice.kind == "notice"
    delivered = verify(Receipt.from_text(notice.receipt), [key])
    assert (delivered.type, delivered.recipient, delivered.digest) == ("delivered", "H21.23", leaf.digest)
    await sender.confirm(notice.number)

    status = recipient.sealed(recipient.status(3, document.header.document_id, "H21.16"))
    await recipient.report(status)
    assert (await recipient.report(status)).repeated
    (back,) = await sender.pending(wait=5)
    assert back.kind == "status"
    got = await sender.fetch(back.number)
    assert read_message(open_seal(got.envelope).root).status_code == 3
    await sender.confirm(back.number)
    assert await sender.pending() == ()


async def test_same_document_again_gives_the_same_receipt(pair) -> None:
    sender, _ = pair
    file = Attached("f1", b"x" * 1000)
    envelope = sender.sealed(sender.document(["H21.23"], "7", [file]))
    first = await sender.send(envelope, [file])
    again = await sender.send(envelope, [file])
    assert again.repeated
    assert (again.number, again.receipt) == (first.number, first.receipt)


async def test_receipts_are_the_same_after_a_restart(hub: RunningHub, pair) -> None:
    sender, _ = pair
    envelopes = [sender.sealed(sender.document(["H21.23"], str(n))) for n in range(5)]
    receipts = [(await sender.send(one)).receipt for one in envelopes]
    port = hub.hub.port
    await hub.stop()
    await hub.start(port)
    assert [(await sender.send(one)).receipt for one in envelopes] == receipts


async def test_same_document_id_with_other_bytes_is_refused(pair) -> None:
    sender, _ = pair
    await sender.send(sender.sealed(sender.document(["H21.23"], "8")))
    with pytest.raises(ExchangeError) as caught:
        await sender.send(sender.sealed(sender.document(["H21.23"], "8", subject="Nội dung khác")))
    assert caught.value.kind is errors.DOCUMENT_CONFLICT


async def test_urgent_documents_are_handed_out_first(pair) -> None:
    sender, recipient = pair
    for number, priority in (("1", 0), ("2", 3), ("3", 0), ("4", 1)):
        await sender.send(sender.sealed(sender.document(["H21.23"], number, priority=priority)))
    assert [one.document_id.rpartition(",")[2] for one in await recipient.pending()] == [
        "2/VD-VP",
        "4/VD-VP",
        "1/VD-VP",
        "3/VD-VP",
    ]


async def test_large_attachment_resumes_after_a_broken_line(pair) -> None:
    sender, recipient = pair
    data = hashlib.shake_256(b"seed").digest(9 << 20)
    file = Attached("f1", data)
    url = f"{sender.url}/lienthong/v1/payloads/{hashlib.sha256(data).hexdigest()}"
    async with sender.session.head(url) as response:
        assert (response.status, response.headers["Upload-Offset"]) == (404, "0")
    for start, end in ((0, 4 << 20), (4 << 20, len(data))):
        headers = {"Upload-Offset": str(start), "Upload-Length": str(len(data))}
        async with sender.session.patch(url, data=io.BytesIO(data[start:end]), headers=headers) as response:
            assert (response.status, response.headers["Upload-Offset"]) == (204, str(end))
    await sender.send(sender.sealed(sender.document(["H21.23"], "9", [file])))
    (waiting,) = await recipient.pending()
    assert (await recipient.fetch(waiting.number)).parts == {"f1": data}


async def test_resumed_upload_whose_first_part_was_damaged_here_starts_anew(hub: RunningHub, pair) -> None:
    """A power cut can tear the part that was not yet acknowledged: that is no fault of the agency."""
    sender, _ = pair
    data = hashlib.shake_256(b"torn").digest(300_000)
    name = hashlib.sha256(data).hexdigest()
    url = f"{sender.url}/lienthong/v1/payloads/{name}"

    async def patch(start: int, end: int) -> tuple[int, str]:
        headers = {"Upload-Offset": str(start), "Upload-Length": str(len(data))}
        async with sender.session.patch(url, data=data[start:end], headers=headers) as response:
            return response.status, response.headers["Upload-Offset"]

    assert await patch(0, 100_000) == (204, "100000")
    (partial,) = (hub.folder / "data/payloads/uploads").iterdir()
    partial.write_bytes(bytes(100_000))
    assert await patch(100_000, 300_000) == (409, "0")
    assert await patch(0, 300_000) == (204, "300000")


async def test_upload_that_was_whole_when_the_hub_died_is_found_whole(hub: RunningHub, pair) -> None:
    sender, _ = pair
    data = hashlib.shake_256(b"whole").digest(300_000)
    file = Attached("f1", data)
    name = hashlib.sha256(data).hexdigest()
    (hub.folder / f"data/payloads/uploads/H21.16-{name}.part").write_bytes(data)
    async with sender.session.head(f"{sender.url}/lienthong/v1/payloads/{name}") as response:
        assert response.headers["Upload-Offset"] == "300000"
    assert (await sender.send(sender.sealed(sender.document(["H21.23"], "77", [file])))).number == 1


async def test_an_agency_sees_nothing_of_another(hub: RunningHub, pair) -> None:
    sender, _ = pair
    accepted = await sender.send(sender.sealed(sender.document(["H21.23"], "10")))
    async with await hub.agency("H21.99") as stranger:
        for number in (accepted.number, accepted.number + 1):
            with pytest.raises(ExchangeError) as caught:
                await stranger.fetch(number)
            assert caught.value.kind is errors.DOCUMENT_NOT_FOUND
        assert (await stranger.confirm(accepted.number))[0].outcome == "unknown"
        assert await stranger.pending() == ()


async def test_notices_get_their_receipts_only_where_the_answer_carries_them(
    hub: RunningHub, pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Package B has no place for them: `GetTraces` made five hundred for nothing."""
    sender, recipient = pair
    for number in ("21", "22"):
        await recipient.confirm((await sender.send(sender.sealed(sender.document(["H21.23"], number)))).number)
    assert all(one.receipt for one in await sender.pending())
    made: list[int] = []
    real = hub.hub.ledger.receipt
    monkeypatch.setattr(hub.hub.ledger, "receipt", lambda leaf: made.append(leaf) or real(leaf))
    read = await StatusReader(hub.hub.exchange).read(Caller(agency="H21.16", proof="token"))
    assert [one.status.status_code for one in read] == [1, 1]
    assert made == []
