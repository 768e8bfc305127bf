"""Draws and signs the sample letter of `demo/assets/`, once: `python -m demo.sample_letter`.

The demo only reads the finished PDF. Making it anew needs `pip install reportlab pyhanko` and DejaVu Serif (a font with
all Vietnamese letters; a subset of it is embedded). The signature's certificate is made here and signed by nobody.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

LETTER: Final = Path(__file__).parent / "assets" / "123-SVDA-VP.signed.pdf"
FONTS: Final = Path("/usr/share/fonts/truetype/dejavu")
FACES: Final = {"regular": "DejaVuSerif.ttf", "bold": "DejaVuSerif-Bold.ttf", "italic": "DejaVuSerif-Italic.ttf"}
MARK: Final = "VĂN BẢN MẪU"
WIDTH, HEIGHT, MILLIMETRE = 595.28, 841.89, 2.8346
LEFT, RIGHT = 30 * MILLIMETRE, WIDTH - 15 * MILLIMETRE
"""Margins of NĐ 30/2020 PL I: 30 mm left, 15 mm right."""

PARAGRAPHS: Final = (
    (
        "Thực hiện Quy chế gửi, nhận văn bản điện tử giữa các cơ quan nhà nước trên địa bàn tỉnh, Sở Ví dụ A đã kết"
        " nối hệ thống quản lý văn bản và điều hành với trục liên thông văn bản của tỉnh và bắt đầu gửi, nhận văn bản"
        " điện tử có ký số từ ngày 20 tháng 11 năm 2026."
    ),
    (
        "Sở Ví dụ A trân trọng đề nghị Sở Ví dụ B tiếp nhận văn bản này trên trục liên thông, kiểm tra chữ ký số, vào"
        " sổ văn bản đến và phản hồi trạng thái xử lý để hai cơ quan cùng theo dõi. Trường hợp văn bản nhận được không"
        " toàn vẹn hoặc sai nơi nhận, đề nghị thông báo ngay cho Văn phòng Sở để gửi lại."
    ),
    "Rất mong sự phối hợp của quý cơ quan./.",
)


def draw() -> bytes:
    """The unsigned page, laid out as NĐ 30/2020 PL I lays out a công văn."""
    metrics, fonts = import_module("reportlab.pdfbase.pdfmetrics"), import_module("reportlab.pdfbase.ttfonts")

    for face, file in FACES.items():
        metrics.registerFont(fonts.TTFont(face, str(FONTS / file)))
    octets = io.BytesIO()
    page = import_module("reportlab.pdfgen.canvas").Canvas(octets, pagesize=(WIDTH, HEIGHT), pageCompression=1)
    page.setTitle("Công văn 123/SVDA-VP (văn bản mẫu)")
    page.setAuthor("Sở Ví dụ A")
    page.setSubject("V/v gửi, nhận văn bản điện tử qua trục liên thông của tỉnh")
    _watermark(page)
    _heading(page)
    _body(page, HEIGHT - 235)
    _signature_block(page, HEIGHT - 500)
    page.save()
    return octets.getvalue()


def _watermark(page: Any) -> None:  # noqa: ANN401 -- reportlab has no types
    page.saveState()
    page.translate(WIDTH / 2, HEIGHT / 2)
    page.rotate(52)
    page.setFillGray(0.9)
    page.setFont("bold", 64)
    page.drawCentredString(0, 0, MARK)
    page.setFont("bold", 20)
    page.drawCentredString(0, -40, "không có giá trị pháp lý")
    page.restoreState()


def _heading(page: Any) -> None:  # noqa: ANN401 -- reportlab has no types
    agency, state, top = LEFT + 80, RIGHT - 140, HEIGHT - 60
    lines = (
        (agency, 0, "regular", 11, "UBND TỈNH GIA LAI"),
        (agency, 16, "bold", 11, "SỞ VÍ DỤ A"),
        (agency, 44, "regular", 11, "Số: 123/SVDA-VP"),
        (agency, 62, "regular", 9.5, "V/v gửi, nhận văn bản điện tử"),
        (agency, 75, "regular", 9.5, "qua trục liên thông của tỉnh"),
        (state, 0, "bold", 9.5, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM"),
        (state, 16, "bold", 11, "Độc lập - Tự do - Hạnh phúc"),
        (state, 44, "italic", 11, "Gia Lai, ngày 20 tháng 11 năm 2026"),
        (WIDTH / 2, 128, "regular", 12.5, "Kính gửi: Sở Ví dụ B"),
    )
    for x, down, face, size, text in lines:
        page.setFont(face, size)
        page.drawCentredString(x, top - down, text)
    page.setLineWidth(0.7)
    page.line(agency - 24, top - 21, agency + 24, top - 21)
    page.line(state - 84, top - 21, state + 84, top - 21)


def _body(page: Any, y: float) -> None:  # noqa: ANN401 -- reportlab has no types
    size, leading, indent = 12, 20, 28
    page.setFont("regular", size)
    for paragraph in PARAGRAPHS:
        line, x = "", LEFT + indent
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if x + page.stringWidth(longer, "regular", size) > RIGHT:
                page.drawString(x, y, line)
                line, x, y = word, LEFT, y - leading
            else:
                line = longer
        page.drawString(x, y, line)
        y -= leading + 6


def _signature_block(page: Any, y: float) -> None:  # noqa: ANN401 -- reportlab has no types
    signer = RIGHT - 100
    for down, face, size, text in (
        (0, "bold", 12, "KT. GIÁM ĐỐC"),
        (16, "bold", 12, "PHÓ GIÁM ĐỐC"),
        (58, "italic", 10, "(đã ký số – chữ ký mẫu)"),
        (100, "bold", 12, "Nguyễn Văn Mẫu"),
    ):
        page.setFont(face, size)
        page.drawCentredString(signer, y - down, text)
    for down, face, text in (
        (0, "italic", "Nơi nhận:"),
        (14, "regular", "- Như trên;"),
        (27, "regular", "- Giám đốc Sở (để báo cáo);"),
        (40, "regular", "- Lưu: VT, VP."),
    ):
        page.setFont(face, 10)
        page.drawString(LEFT, y - down, text)


def sign(unsigned: bytes) -> bytes:
    """The same page with an (invisible) PAdES signature over all of it: one changed octet breaks it."""
    writer, signers = import_module("pyhanko.pdf_utils.incremental_writer"), import_module("pyhanko.sign.signers")

    identity = _throw_away_identity()
    signer = signers.SimpleSigner.load_pkcs12_data(identity, other_certs=[], passphrase=b"sample")
    metadata = signers.PdfSignatureMetadata(
        field_name="ChuKyMau", reason="Văn bản mẫu", location="Gia Lai", name="Nguyễn Văn Mẫu"
    )
    signed: io.BytesIO = signers.sign_pdf(
        writer.IncrementalPdfFileWriter(io.BytesIO(unsigned)), metadata, signer=signer
    )
    return signed.getvalue()


def _throw_away_identity() -> bytes:
    """PKCS #12 of a key that exists only while this runs."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = ((NameOID.COUNTRY_NAME, "VN"), (NameOID.ORGANIZATION_NAME, "Sở Ví dụ A"))
    name = x509.Name(
        [*(x509.NameAttribute(oid, text) for oid, text in names), x509.NameAttribute(NameOID.COMMON_NAME, MARK)]
    )
    start = datetime(2026, 11, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_signing_only(), critical=True)
        .sign(key, hashes.SHA256())
    )
    encryption = serialization.BestAvailableEncryption(b"sample")  # of a value that is thrown away in a moment
    return pkcs12.serialize_key_and_certificates(b"sample", key, certificate, None, encryption)


def _signing_only() -> x509.KeyUsage:
    others = (
        "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign", "encipher_only",
        "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(digital_signature=True, content_commitment=True, **dict.fromkeys(others, False))


if __name__ == "__main__":
    LETTER.write_bytes(sign(draw()))
