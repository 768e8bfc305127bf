"""The one error vocabulary: what can be wrong, whose fault it is, whether trying again helps, and what a person is told.

The tree (a code's first part is its branch)::

    message     what arrived cannot be read            sender, permanent
    mime        the multipart/related around it        sender, permanent
    element     a required or malformed element        sender, permanent
    text        encoding of Vietnamese text            sender, permanent
    attachment  manifest and parts disagree            sender, permanent
    seal        signature or certificate               sender, permanent
    caller      who speaks, and whether they may       sender, permanent
    recipient   whom it is for                         sender, permanent
    document    identity, ownership, lifecycle         sender, permanent
    secrecy     state-secret marks (Điều 4.2a)         sender, permanent
    enrolment   one-time codes and requests            sender, permanent
    proof       a receipt, proof or checkpoint fails   receiver, permanent
    server      this machine cannot do it now          receiver, temporary

The public sentence is Vietnamese, leaks nothing of the document and says what to do; it may name an element.
`details` goes to the log only. An error that is not in this vocabulary is `server.internal`, and temporary.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec


class Fault(Enum):
    """Whose fault an error is; the value is the SOAP 1.2 fault code (SOAP 1.2 Part 1 §5.4.6)."""

    SENDER = "Sender"
    RECEIVER = "Receiver"


class ErrorKind(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the vocabulary.

    `report_code` is the package B `Report` code ("" when it is built from the element path, edxml.md 3.8),
    `axis_code` the package C `ErrorCode`, `http_status` what REST-like answers use.
    `sentence` is the Vietnamese text for people; it may contain `{element}`.
    """

    code: str
    fault: Fault = Fault.SENDER
    temporary: bool = False
    http_status: int = 400
    report_code: str = ""
    axis_code: str = "22"
    sentence: str

    @property
    def branch(self) -> str:
        """The first part of the code."""
        return self.code.split(".", 1)[0]


KINDS: Final[dict[str, ErrorKind]] = {}


def _kind(
    code: str,
    sentence: str,
    *,
    http: int = 400,
    report: str = "",
    axis: str = "22",
    fault: Fault = Fault.SENDER,
    temporary: bool = False,
) -> ErrorKind:
    kind = ErrorKind(
        code=code,
        fault=fault,
        temporary=temporary,
        http_status=http,
        report_code=report,
        axis_code=axis,
        sentence=sentence,
    )
    KINDS[code] = kind
    return kind


# --- message branch, what arrived cannot be read
NOT_XML = _kind(
    "message.not-xml",
    "Nội dung gửi đến không phải XML hợp lệ. Kiểm tra lại phần mềm tạo gói tin.",
    report="M.SendDocument",
)
DOCTYPE = _kind(
    "message.doctype",
    "Gói tin chứa khai báo DOCTYPE, không được phép. Bỏ DOCTYPE rồi gửi lại.",
    report="M.SendDocument",
)
TOO_DEEP = _kind(
    "message.too-deep",
    "Gói tin lồng quá nhiều cấp phần tử. Kiểm tra lại phần mềm tạo gói tin.",
    report="M.SendDocument",
)
TOO_LARGE = _kind(
    "message.too-large", "Phần thông tin của gói tin vượt quá kích thước cho phép.", http=413, report="M.SendDocument"
)
MESSAGE_TRUNCATED = _kind(
    "message.truncated", "Gói tin bị cắt ngang, chưa đủ nội dung. Gửi lại toàn bộ gói tin.", report="M.SendDocument"
)
UNKNOWN_FORMAT = _kind(
    "message.unknown-format",
    "Không nhận ra định dạng gói tin. Hệ thống nhận edXML theo QCVN 102:2016 và CV 2803.",
    report="M.SendDocument",
)
NOT_SOAP = _kind("message.not-soap", "Yêu cầu không phải phong bì SOAP 1.1 hoặc 1.2 hợp lệ.", report="M.SendDocument")
UNKNOWN_OPERATION = _kind(
    "message.unknown-operation", "Không có thao tác được yêu cầu. Xem WSDL tại địa chỉ ?wsdl.", report="M.SendDocument"
)
MUST_UNDERSTAND = _kind(
    "message.must-understand",
    "Phong bì SOAP có phần đầu bắt buộc hiểu ({element}) mà hệ thống không hỗ trợ.",
    report="M.SendDocument",
)
# --- mime branch, the multipart/related around it
MIME_MALFORMED = _kind("mime.malformed", "Khối multipart/related sai cấu trúc.", report="R.AttachmentName")
MIME_TRUNCATED = _kind(
    "mime.truncated", "Dữ liệu gửi đến bị cắt ngang. Gửi lại toàn bộ gói tin.", report="R.AttachmentName"
)
MIME_TOO_MANY_PARTS = _kind(
    "mime.too-many-parts", "Gói tin có quá nhiều phần đính kèm.", http=413, report="R.AttachmentName"
)
MIME_PART_TOO_LARGE = _kind(
    "mime.part-too-large", "Một tệp đính kèm vượt quá kích thước cho phép.", http=413, report="R.AttachmentName"
)
MIME_TOTAL_TOO_LARGE = _kind(
    "mime.total-too-large", "Tổng kích thước gói tin vượt quá giới hạn cho phép.", http=413, report="R.AttachmentName"
)
MIME_HEADERS_TOO_LARGE = _kind(
    "mime.headers-too-large", "Phần đầu của một tệp đính kèm quá dài.", http=431, report="R.AttachmentName"
)
MIME_ROOT_NOT_FIRST = _kind(
    "mime.root-not-first", "Phần phong bì phải đứng trước các tệp đính kèm.", report="R.AttachmentName"
)
# --- element branch, a required or malformed element
ELEMENT_MISSING = _kind("element.missing", "Thiếu trường bắt buộc {element}. Bổ sung rồi gửi lại.")
ELEMENT_EMPTY = _kind("element.empty", "Trường {element} để trống. Điền giá trị rồi gửi lại.")
ELEMENT_RANGE = _kind("element.range", "Giá trị của {element} nằm ngoài phạm vi cho phép.")
ELEMENT_TYPE = _kind("element.type", "Giá trị của {element} sai kiểu dữ liệu (ngày viết yyyy/MM/dd).")
ELEMENT_TOO_LONG = _kind(
    "element.too-long", "Trường {element} dài quá quy định. Rút gọn rồi gửi lại; hệ thống không tự cắt."
)
ELEMENT_MISMATCH = _kind("element.mismatch", "Giá trị của {element} mâu thuẫn với phần khác của gói tin.")
DUPLICATE_RECIPIENT = _kind(
    "element.duplicate-recipient", "Nơi nhận bị lặp lại trong {element}.", report="MessageHeader.To.OrganId"
)
DATE_IN_FUTURE = _kind(
    "element.date-in-future",
    "Ngày ban hành ở tương lai. Kiểm tra lại ngày và đồng hồ máy.",
    report="M.MessageHeader.PromulgationDate",
)
# --- text branch, encoding of Vietnamese text
NOT_NFC = _kind(
    "text.not-nfc", "Trường {element} không theo TCVN 6909:2001 (Unicode dựng sẵn). Chuyển mã trước khi ký."
)
UNDECODABLE_TEXT = _kind(
    "text.undecodable", "Không xác định được bảng mã của {element}. Chọn cách đọc đúng rồi gửi lại."
)
# --- attachment branch, manifest and parts disagree
ATTACHMENT_MISSING = _kind(
    "attachment.missing", "Thiếu tệp đính kèm được khai trong danh mục ({element}).", report="R.AttachmentName"
)
ATTACHMENT_DOUBLED = _kind("attachment.doubled", "Tệp đính kèm {element} xuất hiện hai lần.", report="R.AttachmentName")
ATTACHMENT_EXTRA = _kind(
    "attachment.extra", "Có tệp không được khai trong danh mục ({element}).", report="R.AttachmentName"
)
ATTACHMENT_DIGEST = _kind(
    "attachment.digest",
    "Tệp đính kèm {element} không khớp mã băm đã ký. Gửi lại từ bản gốc.",
    report="R.AttachmentName",
)
ATTACHMENT_DAMAGED = _kind(
    "attachment.damaged",
    "Tệp đính kèm {element} bị hỏng khi mã hóa. Gửi lại từ bản gốc.",
    report="M.Attachment-Encoding",
)
ATTACHMENT_AMBIGUOUS = _kind(
    "attachment.ambiguous",
    "Không rõ tệp trường và tệp chính nào đi với nhau. Ghi khóa File vào tệp trường, hoặc để lại đúng một tệp mỗi loại.",
)
NOT_A_FILE = _kind(
    "attachment.not-a-file",
    "Đây là liên kết hoặc không phải tệp thường nên không được gửi. Chép chính tệp đó vào thư mục.",
)
# --- seal branch, signature or certificate
SEAL_MISSING = _kind(
    "seal.missing", "Gói tin chưa được ký số. Cơ quan này bắt buộc ký.", http=403, report="CheckSignature"
)
SEAL_MALFORMED = _kind("seal.malformed", "Chữ ký số không đúng khuôn dạng quy định.", http=403, report="CheckSignature")
SEAL_ALGORITHM = _kind(
    "seal.algorithm",
    "Thuật toán ký không được chấp nhận (cần RSA-SHA256 từ 2048 bit hoặc ECDSA P-256).",
    http=403,
    report="CheckSignature",
)
SEAL_INVALID = _kind(
    "seal.invalid", "Chữ ký số không hợp lệ: nội dung đã bị thay đổi sau khi ký.", http=403, report="CheckSignature"
)
SEAL_UNTRUSTED = _kind(
    "seal.certificate-untrusted", "Chứng thư số không do cơ quan được tin cậy cấp.", http=403, report="CheckSignature"
)
SEAL_EXPIRED = _kind(
    "seal.certificate-expired", "Chứng thư số đã hết hạn. Gia hạn rồi gửi lại.", http=403, report="CheckSignature"
)
SEAL_NOT_YET_VALID = _kind(
    "seal.certificate-not-yet-valid",
    "Chứng thư số chưa có hiệu lực. Kiểm tra đồng hồ máy.",
    http=403,
    report="CheckSignature",
)
SEAL_REVOKED = _kind(
    "seal.certificate-revoked",
    "Chứng thư số đã bị thu hồi. Liên hệ Trung tâm tích hợp dữ liệu.",
    http=403,
    report="CheckSignature",
)
SEAL_OTHER_AGENCY = _kind(
    "seal.other-agency", "Chứng thư số không thuộc cơ quan gửi.", http=403, report="CheckSignature"
)
# --- caller branch, who speaks, and whether they may
UNAUTHENTICATED = _kind(
    "caller.unauthenticated",
    "Chưa xác thực được cơ quan gọi. Kiểm tra chứng thư số hoặc mã truy cập.",
    http=401,
    report="Permission",
    axis="15",
)
CERTIFICATE_REVOKED = _kind(
    "caller.certificate-revoked",
    "Chứng thư số của cơ quan đã bị thu hồi. Liên hệ Trung tâm tích hợp dữ liệu.",
    http=403,
    report="Permission",
    axis="15",
)
CERTIFICATE_EXPIRED = _kind(
    "caller.certificate-expired",
    "Chứng thư số của cơ quan đã hết hạn hoặc chưa có hiệu lực.",
    http=403,
    report="Permission",
    axis="15",
)
NOT_REGISTERED = _kind(
    "caller.not-registered", "Cơ quan chưa đăng ký trên trục liên thông.", http=403, report="Permission", axis="19"
)
SUSPENDED = _kind(
    "caller.suspended",
    "Cơ quan đang bị tạm dừng trao đổi trên trục. Liên hệ Trung tâm tích hợp dữ liệu.",
    http=403,
    report="Permission",
    axis="23",
)
NOT_THE_SENDER = _kind(
    "caller.not-the-sender",
    "Cơ quan gửi ({element}) không phải cơ quan đã xác thực.",
    http=403,
    report="M.OrganId",
    axis="19",
)
FORBIDDEN = _kind(
    "caller.forbidden", "Cơ quan không có quyền thực hiện thao tác này.", http=403, report="CheckPermission", axis="15"
)
# --- recipient branch, whom it is for
RECIPIENT_UNKNOWN = _kind(
    "recipient.unknown",
    "Nơi nhận {element} chưa đăng ký trên trục liên thông.",
    report="MessageHeader.To.OrganId",
    axis="18",
)
RECIPIENT_SUSPENDED = _kind(
    "recipient.suspended", "Nơi nhận {element} đang tạm dừng trao đổi.", report="MessageHeader.To.OrganId", axis="23"
)
RECIPIENT_FOREIGN = _kind(
    "recipient.foreign",
    "Nơi nhận {element} ở ngoài tỉnh; trục chưa mở kết nối ra ngoài.",
    report="MessageHeader.To.OrganId",
    axis="18",
)
# --- document branch, identity, ownership, lifecycle
DOCUMENT_CONFLICT = _kind(
    "document.conflict",
    "Mã định danh văn bản đã được dùng cho nội dung khác. Không gửi đè; dùng cập nhật hoặc thay thế.",
    http=409,
    report="M.Exist",
)
DOCUMENT_NOT_FOUND = _kind(
    "document.not-found", "Không tìm thấy văn bản trong hộp thư của cơ quan.", http=404, report="M.DocumentId"
)
STATUS_NOT_ALLOWED = _kind(
    "document.status-not-allowed", "Trạng thái này không được phép đối với văn bản.", http=409, report="M.UpdateStatus"
)
STATUS_NOT_YOURS = _kind(
    "document.status-not-yours",
    "Cơ quan không phải nơi nhận (hoặc nơi gửi) của văn bản nên không được báo trạng thái này.",
    http=403,
    report="M.UpdateStatusDoc",
)
# --- secrecy branch, state-secret marks
SECRET_MARK = _kind(
    "secrecy.refused",
    "Văn bản có dấu hiệu bí mật nhà nước: không được gửi qua hệ thống này (Điều 4.2a). Không có nội dung nào được lưu lại.",
    http=403,
    report="CheckPermission",
)
# --- enrolment branch, one-time codes and requests
ENROLMENT_CODE = _kind(
    "enrolment.code",
    "Mã tham gia không đúng, đã dùng hoặc đã hết hạn. Xin mã mới ở Trung tâm tích hợp dữ liệu.",
    http=403,
)
ENROLMENT_HUB = _kind(
    "enrolment.hub",
    "Máy chủ ở địa chỉ này không phải trục liên thông đã cấp mã tham gia. Kiểm tra lại địa chỉ và mã; chưa gửi gì đi.",
    http=403,
)
ENROLMENT_REQUEST = _kind(
    "enrolment.request", "Yêu cầu cấp chứng thư không hợp lệ (khóa yếu hoặc chữ ký sai).", http=400
)
# --- proof branch, a receipt, proof or checkpoint fails
PROOF_INVALID = _kind(
    "proof.invalid", "Giấy biên nhận không kiểm chứng được: {element}.", fault=Fault.RECEIVER, http=502
)
# --- server branch, this machine cannot do it now
BUSY = _kind(
    "server.busy",
    "Trục đang quá tải. Hệ thống sẽ tự gửi lại.",
    fault=Fault.RECEIVER,
    temporary=True,
    http=503,
    report="M.SendDocument",
    axis="20",
)
DISK_FULL = _kind(
    "server.disk-full",
    "Máy chủ hết dung lượng lưu trữ. Chưa nhận văn bản; hệ thống sẽ tự gửi lại.",
    fault=Fault.RECEIVER,
    temporary=True,
    http=507,
    report="M.SendDocument",
    axis="20",
)
CLOCK = _kind(
    "server.clock",
    "Đồng hồ của hai máy lệch quá giới hạn. Chỉnh đồng hồ rồi gửi lại.",
    fault=Fault.RECEIVER,
    temporary=True,
    http=503,
    report="M.SendDocument",
    axis="20",
)
STOPPING = _kind(
    "server.stopping",
    "Máy chủ đang dừng để bảo trì. Hệ thống sẽ tự gửi lại.",
    fault=Fault.RECEIVER,
    temporary=True,
    http=503,
    report="M.SendDocument",
    axis="20",
)
TRUST_STALE = _kind(
    "server.trust-stale",
    "Danh sách thu hồi chứng thư của máy này đã quá hạn nên chưa kiểm tra được chữ ký. Hệ thống sẽ tự gửi lại.",
    fault=Fault.RECEIVER,
    temporary=True,
    http=503,
    report="M.SendDocument",
    axis="20",
)
UNREACHABLE = _kind(
    "server.unreachable",
    "Không kết nối được tới máy chủ. Hệ thống sẽ tự gửi lại.",
    fault=Fault.RECEIVER,
    temporary=True,
    http=503,
    report="M.SendDocument",
    axis="20",
)
BAD_ANSWER = _kind(
    "server.bad-answer",
    "Máy chủ trả lời không đúng giao thức. Hệ thống sẽ tự gửi lại; nếu kéo dài, liên hệ quản trị.",
    fault=Fault.RECEIVER,
    temporary=True,
    http=502,
    report="M.SendDocument",
    axis="20",
)
TOO_SLOW = _kind(
    "server.too-slow",
    "Dữ liệu gửi đến quá chậm nên máy chủ thôi chờ. Kiểm tra đường truyền; hệ thống sẽ tự gửi lại.",
    fault=Fault.RECEIVER,
    temporary=True,
    http=503,
    report="M.SendDocument",
    axis="20",
)
INTERNAL = _kind(
    "server.internal",
    "Lỗi nội bộ của máy chủ. Hệ thống sẽ tự gửi lại; nếu kéo dài, liên hệ quản trị.",
    fault=Fault.RECEIVER,
    temporary=True,
    http=500,
    report="M.SendDocument",
    axis="20",
)


class ExchangeError(Exception):
    """An error of the vocabulary, raised anywhere and rendered at the edge of the program in the peer's own form.

    `element` names the element or file concerned (a path such as `MessageHeader.To.OrganId`), never its content.
    `details` are structured fields for the log; they never reach the peer and never hold document content.
    """

    def __init__(self, kind: ErrorKind, *, element: str = "", **details: object) -> None:
        super().__init__(kind.code if not element else f"{kind.code} ({element})")
        self.kind = kind
        self.element = element
        self.details = details

    @property
    def sentence(self) -> str:
        """The Vietnamese sentence for a person."""
        return self.kind.sentence.replace("{element}", self.element or "—")

    @property
    def report_code(self) -> str:
        """The package B `Report` code: fixed, or built from the element path as the hubs of today do."""
        if self.kind.report_code:
            return self.kind.report_code
        prefix = {"element.missing": "N", "element.empty": "N", "element.range": "R", "element.too-long": "R"}
        letter = {**prefix, "element.type": "T"}.get(self.kind.code, "M")
        return f"{letter}.{self.element}" if self.element else letter


def kind_of(code: str) -> ErrorKind:
    """The kind with this code; an unknown code is `server.internal` (unknown errors are temporary)."""
    return KINDS.get(code, INTERNAL)
