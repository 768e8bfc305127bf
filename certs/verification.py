"""Checks a receipt, and the document it is about, offline: one finding per question, each a sentence for a person.

The order is that of an argument: who vouches for the log's key, did that key sign the checkpoint, is the event under
it, and is this file the document of that event, sealed by the agency that the event names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Final, TypeVar

import msgspec

from certs import log_key, sealed_file
from certs.bundle import TrustBundle
from certs.path import Path
from certs.sealed_file import SealedFile
from certs.trust import Trust
from protocol import agency_codes, document_ids
from protocol.checkpoint import Checkpoint, read_checkpoint
from protocol.edxml.reader import read_message
from protocol.errors import PROOF_INVALID, ExchangeError
from protocol.merkle import leaf_hash, verify_inclusion
from protocol.model import Document
from protocol.receipts import Leaf, Receipt, decode_leaf
from protocol.seal import OpenedSeal, open_seal

T = TypeVar("T")

_VIETNAM: Final = timezone(timedelta(hours=7))
_SKEW: Final = timedelta(minutes=10)
_SENTENCES: Final[Mapping[str, str]] = {
    "accepted": "trục đã nhận {kind} {document_id} của {sender}",
    "refused": "trục đã từ chối {kind} {document_id} của {sender} (lý do: {reason})",
    "delivered": "{recipient} đã nhận {kind} {document_id} của {sender}",
    "status": "{sender} đã báo trạng thái {status} của văn bản {document_id}",
}
_KINDS: Final[Mapping[str, str]] = {"document": "văn bản", "status": "trạng thái", "notice": "thông báo"}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One question and its answer. `check` is a stable English name, `sentence` Vietnamese."""

    check: str
    ok: bool
    sentence: str


def verify_receipt(receipt: str, bundle: TrustBundle, document: bytes | None, at: datetime) -> list[Finding]:
    """Findings, in the order of the argument; the receipt is good when all of them are.

    `receipt` is the text of `protocol.receipts`, `document` the octets of a file, `at` the present time (aware).
    A certificate counts as it stood when the event happened (AC-5-4). A check that others rest on ends the list when
    it fails. Raises nothing for bad evidence; `ConfigError` for an unusable bundle.
    """
    examination = _Examination(Trust(bundle))
    leaf = examination.receipt(receipt, at)
    if leaf is not None and document is not None:
        examination.document(document, leaf)
    return examination.findings


class _Examination:
    """Collects findings; a method returns `None` when there is nothing to go on with."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self.findings: list[Finding] = []

    def receipt(self, text: str, at: datetime) -> Leaf | None:
        """The event, once everything that vouches for it was checked."""
        receipt = self._try("form", "Giấy biên nhận đúng khuôn dạng.", lambda: Receipt.from_text(text))
        claimed = None if receipt is None else self._try("event", None, lambda: decode_leaf(receipt.leaf))
        if receipt is None or claimed is None:
            return None
        self._note("event", ok=True, sentence=_story(claimed))
        self._note(
            "time",
            ok=claimed.moment <= at + _SKEW,
            sentence=f"Thời điểm ghi nhận: {_local(claimed.moment)} (giờ Việt Nam), không ở tương lai.",
        )
        vkeys = self._log_keys(claimed.moment)
        checkpoint = self._checkpoint(receipt, vkeys) if vkeys else None
        included = checkpoint is not None and self._included(receipt, checkpoint)
        return claimed if included else None

    def document(self, data: bytes, leaf: Leaf) -> None:
        """Whether the file is the document of the event."""
        file = self._try("file", "Đọc được phong bì văn bản trong tệp.", lambda: sealed_file.read(data))
        if file is None:
            return
        opened = self._try(
            "seal", "Chữ ký số trên văn bản đúng; nội dung không bị sửa.", lambda: open_seal(file.envelope)
        )
        if opened is None:
            return
        same = opened.digest == leaf.digest
        self._note(
            "digest",
            ok=same,
            sentence="Mã băm của văn bản trùng với mã băm trong giấy biên nhận."
            if same
            else "Văn bản trong tệp KHÔNG phải văn bản của giấy biên nhận (mã băm khác nhau).",
        )
        certificate = self._try(
            "certificate",
            "Chứng thư ký văn bản do tỉnh cấp, còn hiệu lực và chưa bị thu hồi lúc ghi nhận.",
            lambda: self._trust.check_certificate(opened.certificate, leaf.moment, purpose="seal", historical=True),
        )
        if certificate is not None:
            self._sender(certificate, leaf)
        self._content(opened, file, leaf)

    def _log_keys(self, at: datetime) -> list[str]:
        """Keys that a hub certificate, good at that time, vouches for; one is enough, none is a finding."""
        keys, refusals = [], []
        for statement in self._trust.bundle.log_keys:
            try:
                keys.append(log_key.verify_statement(statement, self._trust, at))
            except ExchangeError as error:
                refusals.append(f"{error.kind.code}: {error.sentence}")
        if keys:
            self._note("log-key", ok=True, sentence="Khóa của sổ bằng chứng được chứng thư của trục xác nhận.")
        else:
            why = "; ".join(refusals) or "gói tin cậy không có xác nhận nào"
            self._note("log-key", ok=False, sentence=f"Khóa của sổ bằng chứng không được xác nhận ({why}).")
        return keys

    def _checkpoint(self, receipt: Receipt, vkeys: list[str]) -> Checkpoint | None:
        return self._try(
            "checkpoint",
            "Chữ ký trên điểm chốt của sổ bằng chứng đúng.",
            lambda: read_checkpoint(receipt.checkpoint, vkeys),
        )

    def _included(self, receipt: Receipt, checkpoint: Checkpoint) -> bool:
        def verify() -> bool:
            verify_inclusion(leaf_hash(receipt.leaf), receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
            return True

        sentence = f"Sự kiện là mục số {receipt.index} trong sổ bằng chứng {checkpoint.size} mục."
        return bool(self._try("inclusion", sentence, verify))

    def _sender(self, certificate: Path, leaf: Leaf) -> None:
        if certificate.hub:
            sentence = (
                f"Trục {certificate.hub} ký thay cho cơ quan gửi {leaf.sender} (căn cứ: {leaf.basis or 'không ghi'})."
            )
            self._note("signer", ok=bool(leaf.basis), sentence=sentence)
            return
        same = agency_codes.same(certificate.agency, leaf.sender)
        sentence = f"Người ký là {certificate.agency}, cơ quan gửi trong giấy biên nhận là {leaf.sender}."
        self._note("signer", ok=same, sentence=sentence)

    def _content(self, opened: OpenedSeal, file: SealedFile, leaf: Leaf) -> None:
        message = self._try("content", "Đọc được nội dung đã ký.", lambda: read_message(opened.root))
        if not isinstance(message, Document):
            return
        if leaf.document_id:
            same = document_ids.key(message.header.document_id) == document_ids.key(leaf.document_id)
            self._note("document-id", ok=same, sentence=f"Mã định danh trong văn bản: {message.header.document_id}.")
        if not message.references:
            return
        if not file.attachments:
            names = f"Tệp không kèm {len(message.references)} tệp đính kèm; mã băm của chúng nằm trong phần đã ký."
            self._note("attachments", ok=True, sentence=names)
            return
        signed = {one.content_id: (one.sha256, one.size) for one in message.references}
        wrong = sorted(key for key in signed.keys() | file.attachments if signed.get(key) != file.attachments.get(key))
        sentence = f"Cả {len(signed)} tệp đính kèm khớp mã băm đã ký."
        if wrong:
            sentence = f"Tệp đính kèm không khớp phần đã ký: {', '.join(wrong)}."
        self._note("attachments", ok=not wrong, sentence=sentence)

    def _try(self, check: str, sentence: str | None, work: Callable[[], T]) -> T | None:
        """Do one check: its result, or `None` and a finding that says why not. Without a sentence success is silent."""
        try:
            result = work()
        except ExchangeError as error:
            element = f" [{error.element}]" if error.element and error.kind is not PROOF_INVALID else ""
            self._note(check, ok=False, sentence=f"{error.sentence}{element}")
            return None
        if sentence is not None:
            self._note(check, ok=True, sentence=sentence)
        return result

    def _note(self, check: str, *, ok: bool, sentence: str) -> None:
        self.findings.append(Finding(check=check, ok=ok, sentence=sentence))


def _story(leaf: Leaf) -> str:
    fields = {name: getattr(leaf, name) for name in leaf.__struct_fields__}
    fields["kind"] = _KINDS.get(leaf.kind, "thông điệp")
    told = _SENTENCES.get(leaf.type, "sự kiện loại {type}").format_map(fields)
    number = f" (số thứ tự ở trục: {leaf.number})" if leaf.number else ""
    recipients = f", gửi tới {', '.join(leaf.recipients)}" if leaf.recipients else ""
    return f"Giấy biên nhận nói: {told}{recipients}{number}."


def _local(moment: datetime) -> str:
    return moment.astimezone(_VIETNAM).strftime("%d/%m/%Y %H:%M:%S")
