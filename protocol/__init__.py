"""What travels between agencies, without I/O: edXML packages, SOAP, MIME, seal, receipts, lifecycle, legacy text."""
