"""The element names of edXML against the fields of the model, misspellings in circulation included.

Keys are local names. Sources: QCVN 102:2016 with its 2022 amendment; the spellings `Business…` and `OrganInCharge` of
CV 512/2803 systems; `Organld`, `Signerlnfo` (a lower-case L for a capital I), which real senders copied from scans.
"""

from __future__ import annotations

from typing import Final

RECIPIENTS_MAX: Final = 5000
REFERENCES_MAX: Final = 1000
ITEMS_MAX: Final = 1000
"""The most of any other repeated element that is read."""

ORGANIZATION: Final = {
    "OrganId": "organ_id",
    "Organld": "organ_id",
    "OrganizationInCharge": "organization_in_charge",
    "OrganInCharge": "organization_in_charge",
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
OTHER_INFO: Final = {
    "Priority": "priority",
    "SphereOfPromulgation": "sphere_of_promulgation",
    "TyperNotation": "typer_notation",
    "PromulgationAmount": "promulgation_amount",
    "PageAmount": "page_amount",
    "Direction": "direction",
}
RESPONSE_FOR: Final = {
    "OrganId": "organ_id",
    "Organld": "organ_id",
    "Code": "code",
    "PromulgationDate": "promulgation_date",
    "DocumentId": "document_id",
    "Documentld": "document_id",
}
STAFF_INFO: Final = {
    "Department": "department",
    "DepartmentId": "department_id",
    "Staff": "staff",
    "StaffId": "staff_id",
    "Mobile": "mobile",
    "Email": "email",
}
RECEIVER: Final = {"OrganId": "organ_id", "Organld": "organ_id", "ReceiverType": "receiver_type"}
TRACE_HEADER: Final = {"OrganId": "organ_id", "Organld": "organ_id", "Timestamp": "timestamp"}
REFERENCE: Final = {
    "ContentId": "content_id",
    "Contentld": "content_id",
    "ContentType": "content_type",
    "Description": "description",
    "AttachmentName": "attachment_name",
    "DigestValue": "sha256",
    "Size": "size",
}

HEADER_ALIASES: Final = {"Signerlnfo": "SignerInfo", "Promulgationlnfo": "PromulgationInfo", "Otherlnfo": "OtherInfo"}
HEADER_ALIASES.update({"Documentld": "DocumentId", "Stafflnfo": "StaffInfo"})
BUSSINESS_ALIASES: Final = {
    "Business": "Bussiness",
    "BusinessDocType": "BussinessDocType",
    "BusinessDocReason": "BussinessDocReason",
    "BusinessDocumentInfo": "BussinessDocumentInfo",
    "Documentld": "DocumentId",
    "Stafflnfo": "StaffInfo",
}
