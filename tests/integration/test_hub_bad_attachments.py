"""Manifest and parts that disagree, bodies that break off, uploads that are not what they say."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from yarl import URL

from hub.payloads.store import UPLOAD_KEPT
from protocol import errors, native, soap
from protocol.errors import ErrorKind, ExchangeError
from protocol.soap import SoapVersion
from tests.support.agency import Attached, multipart
from tests.support.refusals import CONTENT, Stage, half_stored, held, stage, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = Attached("f1", f"%PDF-1.7 {CONTENT}".encode())
LARGE = Attached("f2", hashlib.shake_256(b"seed").digest(1 << 20))
"""Above what the hub keeps in memory: it goes through a file."""
PART_LIMIT = 3 << 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    settings = {"attachment": str(PART_LIMIT), "message": str(3 * PART_LIMIT), "attachments": "20"}
    async with stage(tmp_path_factory.mktemp("hub"), settings=settings) as ready:
        yield ready


async def send(at: Stage, declared: list[Attached], sent: list[Attached]) -> None:
    await at.sender.send(at.sealed(at.unsealed(declared)), sent)


def other(attached: Attached, data: bytes) -> Attached:
    return Attached(attached.content_id, data)


DISAGREEING: dict[str, tuple[list[Attached], list[Attached], ErrorKind, str]] = {
    "another digest": ([SMALL], [other(SMALL, b"%PDF-1.8" + SMALL.data[8:])], errors.ATTACHMENT_DIGEST, "f1"),
    "another digest, large": ([LARGE], [other(LARGE, b"x" + LARGE.data[1:])], errors.ATTACHMENT_DIGEST, "f2"),
    "an octet more": ([SMALL], [other(SMALL, SMALL.data + b"\n")], errors.ATTACHMENT_DIGEST, "f1"),
    "an octet less, large": ([LARGE], [other(LARGE, LARGE.data[:-1])], errors.ATTACHMENT_DIGEST, "f2"),
    "an empty one": ([SMALL], [other(SMALL, b"")], errors.ATTACHMENT_DIGEST, "f1"),
    "missing": ([SMALL], [], errors.ATTACHMENT_MISSING, "f1"),
    "one of two missing": ([SMALL, LARGE], [LARGE], errors.ATTACHMENT_MISSING, "f1"),
    "large missing": ([SMALL, LARGE], [SMALL], errors.ATTACHMENT_MISSING, "f2"),
    "doubled": ([SMALL], [SMALL, SMALL], errors.ATTACHMENT_DOUBLED, "f1"),
    "large doubled": ([LARGE], [LARGE, LARGE], errors.ATTACHMENT_DOUBLED, "f2"),
    "extra": ([SMALL], [SMALL, Attached("f9", b"x")], errors.ATTACHMENT_EXTRA, "f9"),
    "extra behind a large one": ([LARGE], [LARGE, Attached("f9", b"x")], errors.ATTACHMENT_EXTRA, "f9"),
    "extra without a manifest": ([], [SMALL], errors.ATTACHMENT_EXTRA, "f1"),
    "named twice in the manifest": (
        [SMALL, SMALL],
        [SMALL],
        errors.ATTACHMENT_DOUBLED,
        "edXMLManifest.Reference.ContentId",
    ),
    "too large": (
        [Attached("f3", b"\0" * (PART_LIMIT + 1))],
        [Attached("f3", b"\0" * (PART_LIMIT + 1))],
        errors.MIME_PART_TOO_LARGE,
        "f3",
    ),
}


@pytest.mark.parametrize(("declared", "sent", "kind", "element"), DISAGREEING.values(), ids=DISAGREEING)
async def test_manifest_and_parts_disagree(
    at: Stage, declared: list[Attached], sent: list[Attached], kind: ErrorKind, element: str
):
    await at.refused(send(at, declared, sent), kind, element)


@pytest.mark.parametrize("name", ["DigestValue", "Size"])
async def test_sealed_manifest_without_digest_or_size(at: Stage, name: str):
    """A seal covers an attachment by its digest; without one it covers nothing."""
    tree = at.unsealed([SMALL])
    (element,) = [one for one in tree.iter() if one.tag.endswith(f"}}{name}")]
    element.getparent().remove(element)
    attempt = at.sender.send(at.sealed(tree), [SMALL])
    await at.refused(attempt, errors.ELEMENT_MISSING, "edXMLManifest.Reference.DigestValue")


@pytest.mark.parametrize("text", ["", "*", "QQ=="])
async def test_digest_that_is_none(at: Stage, text: str):
    tree = at.unsealed([SMALL])
    (element,) = [one for one in tree.iter() if one.tag.endswith("}DigestValue")]
    element.text = text
    kind = errors.ELEMENT_TYPE if text else errors.ELEMENT_MISSING
    await at.refused(at.sender.send(at.sealed(tree), [SMALL]), kind, "edXMLManifest.Reference.DigestValue")


async def test_too_many_parts(at: Stage):
    """One more than the hub's limit, refused without reading the rest; a document with as many passes."""
    files = [Attached(f"f{number}", b"x" * number) for number in range(21)]
    await at.refused(send(at, files, files), errors.MIME_TOO_MANY_PARTS)
    await send(at, files[:20], files[:20])


async def test_message_too_large_in_all(at: Stage):
    files = [Attached(f"f{number}", bytes(PART_LIMIT)) for number in range(4)]
    await at.refused(send(at, files, files), errors.MIME_TOTAL_TOO_LARGE)


async def test_more_references_than_a_manifest_may_have(at: Stage):
    files = [Attached(f"f{number}", b"") for number in range(1001)]
    await at.refused(send(at, files, []), errors.ELEMENT_RANGE, "edXMLManifest.Reference")


async def post(at: Stage, body: bytes, content_type: str) -> None:
    async with at.sender.session.post(
        f"{at.hub.url}/lienthong/v1", data=io.BytesIO(body), headers={"Content-Type": content_type}
    ) as response:
        error = soap.read_fault(soap.read_envelope(await response.read()))
    assert error is not None
    raise error


def message(at: Stage, attachments: list[Attached]) -> tuple[bytes, str]:
    """The octets of a good request, and its Content-Type."""
    envelope = at.sealed(at.unsealed(attachments))
    return multipart(soap.write_envelope(SoapVersion.V12, native.write_send(envelope)), attachments)


@pytest.mark.parametrize("attachment", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    "cut", ["in the root", "in the part's header", "in the attachment", "before the last boundary"]
)
async def test_body_that_ends_early(at: Stage, attachment: Attached, cut: str):
    """The request is complete for HTTP, the multipart inside is not."""
    body, content_type = message(at, [attachment])
    place = body.index(attachment.data)
    end = {
        "in the root": 1000,
        "in the part's header": place - 10,
        "in the attachment": place + len(attachment.data) // 2,
        "before the last boundary": body.rindex(b"\r\n--") + 3,
    }[cut]
    await at.refused(post(at, body[:end], content_type), errors.MIME_TRUNCATED)


@pytest.mark.parametrize("announced", ["Content-Length", "chunked"])
@pytest.mark.parametrize("attachment", [SMALL, LARGE], ids=["small", "large"])
async def test_line_that_breaks_in_the_middle_of_an_attachment(at: Stage, attachment: Attached, announced: str):
    """Nobody hears the answer; the audit line, the event and the clean disk are there all the same."""
    body, content_type = message(at, [attachment])
    half = body[: body.index(attachment.data) + len(attachment.data) // 2]
    before, leaves = held(at.hub), at.hub.hub.ledger.log.size
    at.lines.clear()
    await broken_request(at, half, len(body), content_type, chunked=announced == "chunked")
    await until(lambda: any(line["event"] == "refused" for line in at.lines))
    await until(lambda: at.hub.hub.ledger.log.size > leaves and not half_stored(at.hub))
    await at.nothing_kept(errors.MIME_TRUNCATED, before, leaves, event=True)


async def broken_request(at: Stage, half: bytes, length: int, content_type: str, *, chunked: bool) -> None:
    """A request over a line that is cut behind `half`."""
    url = URL(at.hub.url)
    _, writer = await asyncio.open_connection("127.0.0.1", url.port, ssl=at.sender.context, server_hostname="localhost")
    head = f"POST /lienthong/v1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
    if chunked:
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n{len(half):x}\r\n".encode() + half + b"\r\n")
    else:
        writer.write(f"{head}Content-Length: {length}\r\n\r\n".encode() + half)
    await writer.drain()
    await until(lambda: bool(at.hub.hub.exchange.custody.in_flight["H21.16"]))  # it is being received by now
    writer.transport.abort()


async def test_attachment_in_broken_base64(at: Stage):
    body, content_type = message(at, [SMALL])
    place = body.index(SMALL.data)
    header = body.rindex(b"\r\n\r\n", 0, place)
    encoded = b"Content-Transfer-Encoding: base64"
    start, _, end = body[:header].rpartition(b"Content-Transfer-Encoding: binary")
    assert start
    damaged = (
        start + encoded + end + b"\r\n\r\n" + base64.b64encode(SMALL.data)[:-3] + b"*" + body[place + len(SMALL.data) :]
    )
    await at.refused(post(at, damaged, content_type), errors.ATTACHMENT_DAMAGED)
    good = start + encoded + end + b"\r\n\r\n" + base64.b64encode(SMALL.data) + body[place + len(SMALL.data) :]
    with pytest.raises(AssertionError):  # the same octets, rightly encoded, are accepted
        await post(at, good, content_type)


async def test_part_with_endless_headers(at: Stage):
    body, content_type = message(at, [SMALL])
    place = body.rindex(b"\r\n\r\n", 0, body.index(SMALL.data))
    long = body[:place] + b"\r\nX-Long: " + b"x" * 20_000 + body[place:]
    await at.refused(post(at, long, content_type), errors.MIME_HEADERS_TOO_LARGE)


# uploads ahead of their document


async def upload(at: Stage, name: str, data: bytes, offset: object = 0, length: object = None) -> dict[str, str]:
    """PATCH; raises the error that the answer names."""
    headers = {"Upload-Offset": str(offset), "Upload-Length": str(len(data) if length is None else length)}
    url = f"{at.hub.url}/lienthong/v1/payloads/{name}"
    async with at.sender.session.patch(url, data=io.BytesIO(data), headers=headers) as response:
        if "Lienthong-Error" in response.headers:
            error = ExchangeError(errors.kind_of(response.headers["Lienthong-Error"]))
            assert response.status == error.kind.http_status
            raise error
        return {"status": str(response.status), **response.headers}


def digest_of(attached: Attached) -> str:
    return hashlib.sha256(attached.data).hexdigest()


WRONG_UPLOADS = {
    "another digest": (digest_of(LARGE), SMALL.data, 0, None, errors.ATTACHMENT_DIGEST),
    "more than announced": (digest_of(LARGE), LARGE.data, 0, 100, errors.ATTACHMENT_DIGEST),
    "too large": (digest_of(LARGE), b"x", 0, PART_LIMIT + 1, errors.MIME_PART_TOO_LARGE),
    "no digest": ("etc", b"x", 0, None, errors.ELEMENT_TYPE),
    "a path": ("..%2F..%2Fetc", b"x", 0, None, errors.ELEMENT_TYPE),
    "an offset that is none": (digest_of(LARGE), b"x", "-1", None, errors.ELEMENT_TYPE),
    "a length that is none": (digest_of(LARGE), b"x", 0, "nhiều", errors.ELEMENT_TYPE),
}


@pytest.mark.parametrize(("name", "data", "offset", "length", "kind"), WRONG_UPLOADS.values(), ids=WRONG_UPLOADS)
async def test_upload_that_is_not_what_it_says(
    at: Stage, name: str, data: bytes, offset: object, length: object, kind: ErrorKind
):
    await at.refused(upload(at, name, data, offset, length), kind)


async def test_upload_at_the_wrong_place_is_told_the_right_one(at: Stage):
    answer = await upload(at, digest_of(LARGE), LARGE.data[:100], offset=500, length=len(LARGE.data))
    assert (answer["status"], answer["Upload-Offset"]) == ("409", "0")
    assert half_stored(at.hub) == []


async def test_upload_waits_for_its_document_also_behind_a_refused_one(at: Stage):
    """Two documents may carry the same file at the same time: neither takes it away from the other."""
    await upload(at, digest_of(LARGE), LARGE.data)
    await at.refused(at.sender.send(at.sealed(at.unsealed([LARGE], to=("H21.77",)))), errors.RECIPIENT_UNKNOWN)
    for _ in range(2):
        await at.sender.send(at.sealed(at.unsealed([LARGE])))
    assert half_stored(at.hub) == []


async def test_upload_that_nobody_comes_for_is_thrown_away(at: Stage):
    """Days after its last octet, complete or not; a document that took it keeps its attachment."""
    store, now = at.hub.hub.ledger.payloads, datetime.now(UTC).timestamp()
    stray = Attached("f4", hashlib.shake_256(b"stray").digest(1000))
    await upload(at, digest_of(stray), stray.data[:500], length=1000)
    await upload(at, digest_of(LARGE), LARGE.data)
    await at.sender.send(at.sealed(at.unsealed([LARGE])))
    store.forget_old_uploads(now + UPLOAD_KEPT - 60)
    assert {name.rpartition("-")[2] for name in uploads(at)} >= {digest_of(LARGE), f"{digest_of(stray)}.part"}
    store.forget_old_uploads(now + UPLOAD_KEPT + 60)
    assert uploads(at) == []
    waiting = (await at.recipient.pending(limit=1000))[-1]
    assert (await at.recipient.fetch(waiting.number)).parts == {"f2": LARGE.data}


async def test_upload_of_another_size_than_the_seal_says(at: Stage):
    tree = at.unsealed([LARGE])
    (size,) = [one for one in tree.iter() if one.tag.endswith("}Size")]
    size.text = str(len(LARGE.data) + 1)
    await upload(at, digest_of(LARGE), LARGE.data)
    await at.refused(at.sender.send(at.sealed(tree)), errors.ATTACHMENT_DIGEST, "f2")


async def test_broken_upload_is_no_refusal_and_goes_on_where_it_stopped(at: Stage):
    """The one thing that may stay half done: that is what it is for."""
    file = Attached("f5", hashlib.shake_256(b"broken").digest(2 << 20))
    leaves = at.hub.hub.ledger.log.size
    _, writer = await asyncio.open_connection(
        "127.0.0.1", URL(at.hub.url).port, ssl=at.sender.context, server_hostname="localhost"
    )
    head = f"PATCH /lienthong/v1/payloads/{digest_of(file)} HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: 0\r\n"
    half = file.data[: 1 << 20]
    writer.write(f"{head}Upload-Length: {2 << 20}\r\nContent-Length: {2 << 20}\r\n\r\n".encode() + half)
    await writer.drain()
    await until(lambda: any(digest_of(file) in name for name in uploads(at)))
    writer.transport.abort()
    folder = at.hub.hub.configuration.data / "payloads/uploads"
    await until(lambda: (folder / f"H21.16-{digest_of(file)}.part").stat().st_size > 0)
    offset = 1  # a wrong one: the answer names the right one, as to every agency that lost count
    while offset < len(file.data):
        offset = int((await upload(at, digest_of(file), file.data[offset:], offset, len(file.data)))["Upload-Offset"])
    assert at.hub.hub.ledger.log.size == leaves
    assert half_stored(at.hub) == []


def uploads(at: Stage) -> list[str]:
    folder = at.hub.hub.configuration.data / "payloads/uploads"
    return [path.name for path in folder.iterdir()]
