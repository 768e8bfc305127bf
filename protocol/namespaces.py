"""The XML namespaces on the wire, by the names that the rest of the code uses."""

from __future__ import annotations

from typing import Final

QCVN: Final = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
"""Package A and the sealed envelope (QCVN 102:2016)."""
EDOC: Final = "http://www.e-doc.vn/Schema/"
"""Package B: header blocks, manifest and answers (CV 512, CV 2803)."""
EXCHANGE: Final = "urn:lienthong:exchange:1"
"""The native package and our own additions to a manifest."""
XMLDSIG: Final = "http://www.w3.org/2000/09/xmldsig#"
XLINK: Final = "http://www.w3.org/1999/xlink"
SHA256: Final = "http://www.w3.org/2001/04/xmlenc#sha256"
"""The algorithm identifier of SHA-256 in a `ds:DigestMethod` (XML Encryption §5.7)."""
SOAP_11: Final = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12: Final = "http://www.w3.org/2003/05/soap-envelope"

KNOWN_PREFIXES: Final[dict[bytes, bytes]] = {
    b"edXML": QCVN.encode(),
    b"xlink": XLINK.encode(),
    b"ds": XMLDSIG.encode(),
    b"lt": EXCHANGE.encode(),
    b"soap": SOAP_11.encode(),
    b"soapenv": SOAP_11.encode(),
    b"xsi": b"http://www.w3.org/2001/XMLSchema-instance",
    b"xsd": b"http://www.w3.org/2001/XMLSchema",
}
"""What these prefixes mean when a sender forgets to declare them (some samples in circulation do)."""
