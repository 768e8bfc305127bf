"""Package A, the `.edxml` file of QCVN 102:2016: an envelope, then its attachments in base64.

Reading is a stream of events in bounded memory, writing a stream of chunks. Reading forgives what real systems get
wrong; writing does not. The octets of an attachment are the octets that the sender put in.
"""

from protocol.package_a.events import AttachmentData, AttachmentEnd, AttachmentStart, EnvelopeReady, Event, Limits
from protocol.package_a.reader import PackageAReader
from protocol.package_a.writer import PackageAWriter, write_package_a

__all__ = [
    "AttachmentData",
    "AttachmentEnd",
    "AttachmentStart",
    "EnvelopeReady",
    "Event",
    "Limits",
    "PackageAReader",
    "PackageAWriter",
    "write_package_a",
]
