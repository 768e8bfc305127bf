"""The element names of edXML against the fields of the model, and the misspellings that senders really use.

Sources: QCVN 102:2016 with its 2022 amendment; the spellings `Business…` and `OrganInCharge` of CV 512/2803 systems;
`Organld`, `Signerlnfo` (a lower-case L for a capital I) of senders who copied the names from a scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from protocol.namespaces import EDOC, EXCHANGE, QCVN, XMLDSIG

RECIPIENTS_MAX: Final = 5000
REFERENCES_MAX: Final = 1000
ITEMS_MAX: Final = 1000
"""The most of any other repeated element that is read."""

ORGANIZATION: Final = {
    "OrganId": "organ_id",
    "OrganizationInCharge": "organization_in_charge",
    "OrganName": "organ_name",
    "OrganAdd": "organ_add",
    "Email": "email",
    "Telephone": "telephone",
    "Fax": "fax",
    "Website": "website",
}
CODE: Final = {"CodeNumber": "number", "CodeNotation": "notation"}
PROMULGATION_INFO: Final = {"Place": "place", "PromulgationDate": "date"}
DOCUMENT_TYPE: Final = {"Type": "type", "TypeDetail": "type_detail", "TypeName": "type_name"}
SIGNER_INFO: Final = {"Competence": "competence", "Position": "position", "FullName": "full_name"}
RESPONSE_FOR: Final = {
    "OrganId": "organ_id",
    "Code": "code",
    "PromulgationDate": "promulgation_date",
    "DocumentId": "document_id",
}
STAFF_INFO: Final = {
    "Department": "department",
    "DepartmentId": "department_id",
    "Staff": "staff",
    "StaffId": "staff_id",
    "Mobile": "mobile",
    "Email": "email",
}
RECEIVER: Final = {"OrganId": "organ_id", "ReceiverType": "receiver_type"}
TRACE_HEADER: Final = {"OrganId": "organ_id", "Timestamp": "timestamp"}
REFERENCE: Final = {
    "ContentId": "content_id",
    "ContentType": "content_type",
    "Description": "description",
    "AttachmentName": "attachment_name",
    "DigestValue": "sha256",
    "Size": "size",
}

_MISSPELT: Final = {
    "OrganInCharge": "OrganizationInCharge",
    "Business": "Bussiness",
    "BusinessDocType": "BussinessDocType",
    "BusinessDocReason": "BussinessDocReason",
    "BusinessDocumentInfo": "BussinessDocumentInfo",
    "Organld": "OrganId",
    "Documentld": "DocumentId",
    "Departmentld": "DepartmentId",
    "Staffld": "StaffId",
    "Contentld": "ContentId",
    "Signerlnfo": "SignerInfo",
    "Promulgationlnfo": "PromulgationInfo",
    "Otherlnfo": "OtherInfo",
    "Stafflnfo": "StaffInfo",
    "BussinessDocumentlnfo": "BussinessDocumentInfo",
    "Replacementlnfo": "ReplacementInfo",
    "ReplacementlnfoList": "ReplacementInfoList",
}
_GROUPS: Final = {
    *("edXMLHeader", "edXMLBody", "edXMLManifest", "MessageHeader", "TraceHeaderList", "TraceHeader", "Reference"),
    *("From", "To", "Subject", "Content", "SignerInfo", "DueDate", "ToPlaces", "OtherInfo", "Appendixes", "Appendix"),
    *("ResponseFor", "SteeringType", "StatusCode", "Bussiness", "BussinessDocType", "BussinessDocReason", "Paper"),
    *("StaffInfo", "DocumentType", "Priority", "SphereOfPromulgation", "TyperNotation", "PromulgationAmount"),
    *("PageAmount", "Direction"),
}
_FIELDS: Final[tuple[Mapping[str, str], ...]] = (
    *(ORGANIZATION, CODE, PROMULGATION_INFO, DOCUMENT_TYPE, SIGNER_INFO, RESPONSE_FOR, STAFF_INFO),
    *(RECEIVER, TRACE_HEADER, REFERENCE),
)


class _Names(dict[object, str]):
    """lxml tag → the regulation's local name, in whatever namespace and known misspelling; "" for a comment.

    The usual tags are found at the speed of a dictionary; others are worked out and not remembered, because a sender
    chooses them.
    """

    def __missing__(self, tag: object) -> str:
        if not isinstance(tag, str):
            return ""
        name = tag[tag.rfind("}") + 1 :]
        return _MISSPELT.get(name, name)


def _known_tags() -> dict[object, str]:
    known = {name: name for group in (*_FIELDS, _GROUPS) for name in group} | _MISSPELT
    tags: dict[object, str] = {
        f"{{{namespace}}}{name}": meant for name, meant in known.items() for namespace in (QCVN, EDOC)
    }
    tags |= {f"{{{XMLDSIG}}}{name}": name for name in ("DigestMethod", "DigestValue")}  # of a sealed manifest
    tags[f"{{{EXCHANGE}}}Size"] = "Size"
    return tags


NAMES: Final = _Names(_known_tags())
"""`NAMES[element.tag]`: by which name an element is read."""
