"""Package B, the SOAP interface of the CV 512 and CV 2803 generation: requests, answers, and the calls of a client.

Everything is octets and elements; SOAP envelopes, MIME and HTTP are put around it elsewhere. Requests are read in any
namespace (hubs of that generation want the operations' own elements in none), answers stand in the e-doc namespace.
"""

from protocol.package_b.answers import (
    write_document,
    write_organizations,
    write_pending_ids,
    write_report,
    write_traces,
)
from protocol.package_b.calls import read_report, write_send_document, write_update_traces
from protocol.package_b.requests import (
    CheckPermission,
    ConfirmReceived,
    GetDocument,
    GetOrganizations,
    GetPendingDocumentIds,
    GetTraces,
    Operation,
    Request,
    SendDocument,
    UpdateTraces,
    operation_of,
    read_request,
)
from protocol.package_b.structure import missing_tags

__all__ = [
    "CheckPermission",
    "ConfirmReceived",
    "GetDocument",
    "GetOrganizations",
    "GetPendingDocumentIds",
    "GetTraces",
    "Operation",
    "Request",
    "SendDocument",
    "UpdateTraces",
    "missing_tags",
    "operation_of",
    "read_report",
    "read_request",
    "write_document",
    "write_organizations",
    "write_pending_ids",
    "write_report",
    "write_send_document",
    "write_traces",
    "write_update_traces",
]
