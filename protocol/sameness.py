"""A plain submission in settled form, so that the same document sent twice gives the same octets.

Systems that cannot seal repeat a request after a lost answer, and their SOAP stacks then write new Content-IDs and a
new hop. Whoever takes such a message into its own envelope settles both; a sealed message is never touched.
"""

from __future__ import annotations

import msgspec

from protocol.model import Message, StatusMessage


def settled(message: Message) -> Message:
    """`message` without hops and with its attachments named `f1`, `f2` … in the order of the manifest.

    Whoever calls it joins the attachments to their references first; the original octets keep what is dropped here.
    """
    if isinstance(message, StatusMessage):
        return message
    references = tuple(
        msgspec.structs.replace(reference, content_id=f"f{position}")
        for position, reference in enumerate(message.references, 1)
    )
    return msgspec.structs.replace(message, trace_headers=(), references=references)
