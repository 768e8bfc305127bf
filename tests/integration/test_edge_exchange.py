"""Documents and statuses between two agents through the real hub: whole, once, verified, in order of urgency."""

from __future__ import annotations

import socket
import tomllib
from datetime import timedelta

import msgspec
import pytest
from cryptography import x509
from edge_stage import NAMES, PDF, A, B, C, Edge, eventually, free_port, now, octets, province

from certs.verification import verify_receipt
from edge_agent import configuration
from edge_agent import join as joining
from protocol.package_a import AttachmentData, EnvelopeReady, PackageAReader
from runtime.config import ConfigError


def received_number(edge: Edge) -> str:
    return tomllib.loads(edge.arrived("trang-thai.toml")[-1].read_text("utf-8"))["StatusCode"]


async def test_a_document_arrives_byte_identical_with_a_receipt_that_verifies_offline():
    async with province() as gialai:
        sender, recipient = await gialai.edge(A), await gialai.edge(B)
        attachment = octets(300_000)
        sender.drop("văn bản số 123.pdf", attachment)
        (package,) = await eventually(lambda: recipient.arrived("van-ban.edxml"), "arrival")
        assert (package.parent / "văn bản số 123.pdf").read_bytes() == attachment
        receipt = (package.parent / "bien-nhan.tlog-proof").read_text()
        findings = verify_receipt(receipt, recipient.agent.beliefs.bundle, package.read_bytes(), now())
        assert findings
        assert [finding for finding in findings if not finding.ok] == []
        events = PackageAReader().feed(package.read_bytes())
        assert isinstance(events[0], EnvelopeReady)
        assert b"".join(event.data for event in events if isinstance(event, AttachmentData)) == attachment
        await eventually((sender.places.done / "văn bản số 123.pdf").exists, "moved to done")
        kept = (sender.places.done / "văn bản số 123.pdf.bien-nhan.tlog-proof").read_text()
        assert all(finding.ok for finding in verify_receipt(kept, sender.agent.beliefs.bundle, None, now()))
        assert list(sender.places.outgoing.iterdir()) == []


async def test_statuses_01_and_03_come_back_and_move_the_recipient():
    async with province() as gialai:
        sender, recipient = await gialai.edge(A), await gialai.edge(B)
        sender.drop("a.pdf", PDF)
        await eventually(lambda: sender.arrived("trang-thai.toml"), "the delivery event")
        assert received_number(sender) == "01"
        line = 'DocumentId = "H21.16,2026/11/20,123/SVDA-VP"\nStatusCode = 3\nDescription = "Số đến 45"\n'
        (recipient.places.outgoing / "nhan.status.toml").write_text(line, "utf-8")
        await eventually(lambda: len(sender.arrived("trang-thai.toml")) == 2, "status 03")
        assert received_number(sender) == "03"
        states = sender.agent.store.outbox.recipients(1)
        assert [(one.agency, one.state) for one in states] == [(B, "TIEP_NHAN")]
        await eventually((recipient.places.done / "nhan.status.toml").exists, "status moved to done")


async def test_an_outage_of_the_hub_loses_nothing_and_the_urgent_goes_first():
    async with province() as gialai:
        sender, recipient = await gialai.edge(A), await gialai.edge(B)
        await gialai.stop_hub()
        for number in (1, 2, 3):
            sender.drop(f"thuong{number}.pdf", PDF, CodeNumber=str(number))
        await eventually(lambda: len(sender.agent.store.outbox.latest(9)) == 3, "all in the outbox")
        sender.drop("khan.pdf", PDF, CodeNumber="9", Priority=3)
        await eventually(lambda: len(sender.agent.store.outbox.latest(9)) == 4, "the urgent in the outbox")
        await gialai.start_hub()
        await eventually(lambda: len(recipient.incoming()) == 4, "all four arrive")
        rows = sender.agent.store.outbox.latest(9)
        order = [row.document_id.split(",")[2] for row in sorted(rows, key=lambda row: row.hub_number or 0)]
        assert order[0] == "9/SVDA-VP"
        assert len(set(order)) == 4


async def test_the_same_file_again_is_the_same_document():
    async with province() as gialai:
        sender, recipient = await gialai.edge(A), await gialai.edge(B)
        sender.drop("a.pdf", PDF)
        await eventually((sender.places.done / "a.pdf").exists)
        sender.drop("a.pdf", PDF)
        await eventually((sender.places.done / "a (2).pdf").exists, "taken again")
        assert len(sender.agent.store.outbox.latest(9)) == 1
        sender.drop("dau.pdf", PDF, CodeNumber="124")
        await eventually(lambda: len(recipient.incoming()) == 2)
        assert len(recipient.arrived("van-ban.edxml")) == 2


async def test_other_octets_under_the_same_document_id_are_a_conflict():
    async with province() as gialai:
        sender = await gialai.edge(A)
        await gialai.join(B)
        sender.drop("a.pdf", PDF)
        await eventually((sender.places.done / "a.pdf").exists)
        sender.drop("b.pdf", PDF + b"changed")
        reason = sender.places.failed / "b.pdf.reason.txt"
        await eventually((sender.places.failed / "b.json").exists, "refused")
        assert "document.conflict" in reason.read_text("utf-8")
        assert (sender.places.failed / "b.pdf").read_bytes() == PDF + b"changed"


async def test_what_the_hub_refuses_lies_in_failed_with_the_reason():
    async with province() as gialai:
        sender = await gialai.edge(A)
        sender.drop("a.pdf", PDF, To=["H21.99"])
        reason = sender.places.failed / "a.pdf.reason.txt"
        await eventually((sender.places.failed / "a.json").exists, "refused by the hub")
        assert "recipient.unknown" in reason.read_text("utf-8")
        (row,) = sender.agent.store.outbox.latest(9)
        assert (row.state, row.error_code) == ("GUI_LOI", "recipient.unknown")
        # put right and sent again under the same DocumentId: the hub never had it
        await gialai.join(B)
        sender.drop("a.pdf", PDF)
        await eventually((sender.places.done / "a.pdf").exists, "sent after the correction")


async def test_a_suspended_agency_gives_up_nothing_and_sends_when_it_is_back():
    async with province() as gialai:
        sender, recipient = await gialai.edge(A), await gialai.edge(B)
        await gialai.hub.administration.suspend(A)
        sender.drop("a.pdf", PDF)
        await eventually(lambda: [a for a in sender.agent.store.watch.alarms() if a.kind == "agency"], "the alarm")
        (row,) = await eventually(lambda: sender.agent.store.outbox.due(now() + timedelta(days=1), 9), "in the outbox")
        await eventually(lambda: sender.agent.store.outbox.latest(1)[0].error_code == "caller.suspended", "one try")
        assert sender.agent.store.outbox.latest(1)[0].state == row.state == "CHO_GUI"
        await gialai.hub.administration.resume(A)
        await eventually(recipient.incoming, "sent after the suspension")
        await eventually(lambda: not sender.agent.store.watch.alarms(), "the alarm is over")


async def test_large_attachments_travel_too_and_to_several_recipients():
    async with province() as gialai:
        sender, first, second = await gialai.edge(A), await gialai.edge(B), await gialai.edge(C)
        large = octets(9 << 20)
        sender.places.outgoing.joinpath("phụ lục.xlsx").write_bytes(PDF)
        sender.drop("lon.pdf", large, To=[B, {"OrganId": C, "OrganName": NAMES[C]}], Attachments=["phụ lục.xlsx"])
        for edge in (first, second):
            (package,) = await eventually(lambda edge=edge: edge.arrived("van-ban.edxml"), "arrival")
            assert (package.parent / "lon.pdf").read_bytes() == large
            assert (package.parent / "phụ lục.xlsx").read_bytes() == PDF
        await eventually(lambda: len(sender.arrived("trang-thai.toml")) == 2, "both delivery events")


async def test_the_checkpoints_that_pass_by_are_proved_consistent():
    async with province() as gialai:
        sender, recipient = await gialai.edge(A), await gialai.edge(B)
        for number in (1, 2, 3):
            sender.drop("a.pdf", PDF, CodeNumber=str(number))
            await eventually(lambda number=number: len(recipient.incoming()) == number)
        await sender.agent.watchman.round()
        await sender.agent.watchman.round()
        watch = sender.agent.store.watch
        latest = watch.latest_checkpoint()
        assert latest is not None
        assert latest.size == gialai.hub.ledger.log.size
        assert watch.unproved_checkpoints() == []
        assert watch.alarms() == []


@pytest.mark.parametrize("lost", ["before the receipt is noted", "before anything"])
async def test_a_stop_in_the_middle_repeats_nothing(lost: str):
    async with province() as gialai:
        sender, recipient = await gialai.edge(A), await gialai.edge(B)
        if lost == "before anything":
            await gialai.stop_hub()
        sender.drop("a.pdf", PDF)
        await eventually(lambda: sender.agent.store.outbox.latest(1), "in the outbox")
        await sender.stop()
        if lost == "before anything":
            await gialai.start_hub()
        await sender.start()
        await eventually((sender.places.done / "a.pdf").exists, "done after the restart")
        await eventually(recipient.incoming)
        assert len(recipient.incoming()) == 1
        assert len(sender.agent.store.outbox.latest(9)) == 1


async def test_a_recall_and_its_answer_move_the_recipient():
    async with province() as gialai:
        sender, recipient = await gialai.edge(A), await gialai.edge(B)
        sender.drop("a.pdf", PDF)
        states = sender.agent.store.outbox.recipients
        await eventually(lambda: [one.state for one in states(1)] == ["DEN"], "delivered")
        line = 'DocumentId = "H21.16,2026/11/20,123/SVDA-VP"\nStatusCode = {}\nDescription = "Gửi nhầm"\n'
        (sender.places.outgoing / "thu-hoi.status.toml").write_text(line.format(13), "utf-8")
        await eventually(lambda: [one.state for one in states(1)] == ["YEU_CAU_THU_HOI"], "asked back")
        await eventually(lambda: recipient.arrived("trang-thai.toml"), "the request arrives")
        (recipient.places.outgoing / "dong-y.status.toml").write_text(line.format(15), "utf-8")
        await eventually(lambda: [one.state for one in states(1)] == ["DA_THU_HOI"], "consented")


async def test_what_was_sealed_before_the_certificate_was_renewed_goes_out_under_the_new_one():
    async with province() as gialai:
        sender, recipient = await gialai.edge(A), await gialai.edge(B)
        await gialai.stop_hub()
        sender.drop("a.pdf", PDF)
        (row,) = await eventually(lambda: sender.agent.store.outbox.latest(9), "in the outbox")
        await sender.stop()
        old = x509.load_pem_x509_certificates(sender.places.identity.read_bytes())[0]
        await gialai.start_hub()
        code = await gialai.hub.administration.invite(A)
        await joining.join(sender.places, gialai.url, code, now=now(), anew=True)
        gialai.hub.authority.revoke(old.serial_number, at=now())
        await sender.start()
        await eventually((sender.places.done / "a.pdf").exists, "sent under the new seal")
        assert sender.agent.store.outbox.one(row.number).digest == row.digest
        await eventually(recipient.incoming, "arrival")
        assert sender.agent.store.watch.alarms() == []


async def test_a_second_agent_in_the_same_directory_does_not_start():
    """The port is no lock: with `port = 0`, or an edited port, two agents used to work on one directory."""
    async with province() as gialai:
        first = await gialai.edge(A)
        for port in (0, free_port()):
            second = Edge(first.places, msgspec.structs.replace(first.config, local=configuration.Local(port=port)))
            with pytest.raises(ConfigError, match="tác vụ liên thông khác"):
                await second.start()
        first.drop("a.pdf", PDF)
        await gialai.join(B)
        await eventually((first.places.done / "a.pdf").exists, "the first one works on")


async def test_an_agent_that_does_not_start_leaves_the_directory_free():
    async with province() as gialai:
        edge = await gialai.join(A)
        bundle = edge.places.trust_bundle.read_bytes()
        edge.places.trust_bundle.write_text("{")
        with pytest.raises(ConfigError):
            await edge.start()
        edge.places.trust_bundle.write_bytes(bundle)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            local = configuration.Local(port=taken.getsockname()[1])
            with pytest.raises(OSError, match="address already in use"):
                await Edge(edge.places, msgspec.structs.replace(edge.config, local=local)).start()
        await edge.start()
