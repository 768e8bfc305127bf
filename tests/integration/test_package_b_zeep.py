"""Package B from the outside with zeep: a vendor's client sends, fetches, confirms and reports, from the WSDL alone."""

import asyncio
import secrets
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from foreign.zeep_client import EDocClient, Letter, Refused
from package_b_stage import ENDPOINTS, Endpoint

LOCAL = datetime.now(timezone(timedelta(hours=7)))
"""Local time of Vietnam, as it travels in package B."""


@pytest.fixture(params=ENDPOINTS)
async def endpoint(request: pytest.FixtureRequest, tmp_path: Path):
    async with ENDPOINTS[request.param](tmp_path) as served:
        yield served


def client_of(endpoint: Endpoint, organ_id: str, token: str, port: str = "Soap11") -> EDocClient:
    return EDocClient(endpoint.address, organ_id, token, port=port, trust=endpoint.trust)


def letter(endpoint: Endpoint, *files: Path, number: str = "123") -> Letter:
    return Letter(
        sender=endpoint.sender,
        sender_name="Sở Ví dụ A",
        recipients=(endpoint.recipient,),
        number=number,
        notation="SVDA-VP",
        subject="V/v thử nghiệm gửi nhận văn bản điện tử",
        files=files,
        date=LOCAL,
    )


def awkward_files(folder: Path) -> list[Path]:
    """Octets that careless MIME code changes: line ends at both ends, a boundary look-alike, nothing at all."""
    contents = {
        "Công văn số 123.signed.pdf": b"\r\n\r\n%PDF-1.4\n" + secrets.token_bytes(70_000) + b"\r\n",
        "phụ lục.docx": b"--Boundary\r\n--root--\r\n",
        "bản vẽ lớn.zip": secrets.token_bytes(3 << 20),  # is streamed out, not answered in one piece
        "trống.txt": b"",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


@pytest.mark.parametrize("port", ["Soap11", "Soap12"])
async def test_a_document_and_its_statuses_travel_both_ways(endpoint: Endpoint, tmp_path: Path, port: str):
    def run() -> None:
        sender = client_of(endpoint, endpoint.sender, endpoint.sender_token, port)
        recipient = client_of(endpoint, endpoint.recipient, endpoint.recipient_token, port)
        assert sender.check_permission()
        assert {endpoint.sender, endpoint.recipient} <= set(sender.organizations())

        files = awkward_files(tmp_path)
        sent = letter(endpoint, *files)
        number = sender.send(sent)

        assert recipient.pending() == [number]
        received = recipient.fetch(number)
        assert received.files == {path.name: path.read_bytes() for path in files}
        assert received.header.Subject == sent.subject
        assert received.header.DocumentId == sent.document_id
        recipient.confirm(number)
        assert recipient.pending() == []

        assert sender.statuses() == [(sent.document_id, 1)]
        recipient.report(received, "03", "Đã vào sổ", LOCAL)
        assert sender.statuses() == [(sent.document_id, 3)]
        assert sender.statuses() == []
        assert sender.statuses(since=LOCAL - timedelta(days=1)) == [(sent.document_id, 1), (sent.document_id, 3)]
        sender.close()
        recipient.close()

    await asyncio.to_thread(run)


async def test_a_repeated_document_is_taken_once(endpoint: Endpoint, tmp_path: Path):
    """After a lost answer a client sends again; its SOAP stack writes new Content-IDs, its clock a new hop."""

    def run() -> None:
        client = client_of(endpoint, endpoint.sender, endpoint.sender_token)
        sent = letter(endpoint, *awkward_files(tmp_path))
        number = client.send(sent)
        assert client.send(replace(sent, date=sent.date + timedelta(seconds=1))) == number
        recipient = client_of(endpoint, endpoint.recipient, endpoint.recipient_token)
        assert recipient.pending() == [number]
        client.close()
        recipient.close()

    await asyncio.to_thread(run)


async def test_a_wrong_token_is_refused_with_permission(endpoint: Endpoint):
    def run() -> None:
        client = client_of(endpoint, endpoint.sender, "guessed")
        for ask in (client.check_permission, client.organizations, client.pending, client.statuses):
            with pytest.raises(Refused) as refusal:
                ask()
            assert refusal.value.codes == ["Permission"]
        client.close()

    await asyncio.to_thread(run)


async def test_one_agency_cannot_send_as_another(endpoint: Endpoint, tmp_path: Path):
    """The token of B with A in From: hubs of today let it pass."""

    def run() -> None:
        client = client_of(endpoint, endpoint.recipient, endpoint.recipient_token)
        with pytest.raises(Refused) as refusal:
            client.send(letter(endpoint, *awkward_files(tmp_path)))
        assert refusal.value.codes == ["M.OrganId"]
        client.close()

    await asyncio.to_thread(run)


async def test_nobody_fetches_what_is_not_for_them(endpoint: Endpoint, tmp_path: Path):
    def run() -> None:
        client = client_of(endpoint, endpoint.sender, endpoint.sender_token)
        number = client.send(letter(endpoint, *awkward_files(tmp_path)))
        for ask in (client.fetch, client.confirm):
            with pytest.raises(Refused) as refusal:
                ask(number)
            assert refusal.value.codes == ["M.DocumentId"]
        client.close()

    await asyncio.to_thread(run)


async def test_same_id_with_other_octets_is_refused(endpoint: Endpoint, tmp_path: Path):
    def run() -> None:
        client = client_of(endpoint, endpoint.sender, endpoint.sender_token)
        (path,) = awkward_files(tmp_path)[:1]
        client.send(letter(endpoint, path))
        path.write_bytes(b"other")
        with pytest.raises(Refused) as refusal:
            client.send(letter(endpoint, path))
        assert refusal.value.codes == ["M.Exist"]
        client.close()

    await asyncio.to_thread(run)
