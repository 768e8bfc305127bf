"""SendDocument envelopes for tests, written as text: complete, with places to spoil."""

from __future__ import annotations

from package_b_stage import TOKENS
from raw_http import envelope

DOCUMENT_ID = "H21.16,2026/11/20,123/SVDA-VP"
ADDRESS = "<edXML:OrganAdd/><edXML:Email/><edXML:Telephone/><edXML:Fax/><edXML:Website/>"
HEADER = f"""<edXML:MessageHeader>
<edXML:From><edXML:OrganId>H21.16</edXML:OrganId><edXML:OrganizationInCharge/>
<edXML:OrganName>Sở Ví dụ A</edXML:OrganName>{ADDRESS}</edXML:From>
<edXML:To><edXML:OrganId>H21.23</edXML:OrganId><edXML:OrganName>Sở Ví dụ B</edXML:OrganName>{ADDRESS}</edXML:To>
<edXML:Code><edXML:CodeNumber>123</edXML:CodeNumber><edXML:CodeNotation>SVDA-VP</edXML:CodeNotation></edXML:Code>
<edXML:PromulgationInfo><edXML:Place>Gia Lai</edXML:Place><edXML:PromulgationDate>2026/11/20</edXML:PromulgationDate>
</edXML:PromulgationInfo>
<edXML:DocumentType><edXML:Type>2</edXML:Type><edXML:TypeName>Công văn</edXML:TypeName></edXML:DocumentType>
<edXML:Subject>V/v thử nghiệm</edXML:Subject><edXML:Content/>
<edXML:SignerInfo><edXML:Competence/><edXML:Position/><edXML:FullName>Nguyễn Văn Mẫu</edXML:FullName></edXML:SignerInfo>
<edXML:DueDate/><edXML:ToPlaces/>
<edXML:OtherInfo><edXML:Priority>0</edXML:Priority><edXML:SphereOfPromulgation/><edXML:TyperNotation/>
<edXML:PromulgationAmount>1</edXML:PromulgationAmount><edXML:PageAmount>2</edXML:PageAmount><edXML:Appendixes/>
</edXML:OtherInfo>
<edXML:SteeringType>0</edXML:SteeringType><edXML:DocumentId>{DOCUMENT_ID}</edXML:DocumentId>
</edXML:MessageHeader>
<edXML:TraceHeaderList><edXML:TraceHeader><edXML:OrganId>H21.16</edXML:OrganId>
<edXML:Timestamp>2026/11/20 08:00:00</edXML:Timestamp></edXML:TraceHeader>
<edXML:Business><edXML:BusinessDocType>0</edXML:BusinessDocType><edXML:Paper>0</edXML:Paper></edXML:Business>
</edXML:TraceHeaderList><edXML:ErrorList/>"""


def signature(signer: str = "H21.16", token: str = TOKENS["H21.16"]) -> str:
    """The header block that says who asks."""
    return (
        f"<edXML:Signature><edXML:KeyInfo><edXML:OrganId>{signer}</edXML:OrganId><edXML:Token>{token}</edXML:Token>"
        "</edXML:KeyInfo></edXML:Signature>"
    )


def send_document(
    content_ids: list[str],
    *,
    signer: str = "H21.16",
    token: str = TOKENS["H21.16"],
    replace: tuple[str, str] = ("", ""),
) -> bytes:
    """The envelope of a SendDocument with these attachments; `replace` spoils one piece of its header."""
    assert replace[0] in HEADER
    references = "".join(
        f'<edXML:Reference xlink:href="cid:{content_id}" xlink:type="simple"><edXML:AttachmentName>{content_id}.pdf'
        "</edXML:AttachmentName><edXML:Description/></edXML:Reference>"
        for content_id in content_ids
    )
    header = HEADER.replace(*replace, 1) if replace[0] else HEADER
    return envelope(f"<edXML:Manifest>{references}</edXML:Manifest>", header + signature(signer, token))
