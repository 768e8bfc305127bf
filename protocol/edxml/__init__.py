"""The edXML data model in XML (QCVN 102:2016): tolerant reading, strict writing, dates of the wire."""
