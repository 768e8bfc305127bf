"""`protocol.checkpoint`: C2SP signed notes, checkpoints and cosignatures, with foreign keys and hostile texts."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from protocol import errors
from protocol.checkpoint import (
    Cosignature,
    KeyKind,
    LogKey,
    VerifierKey,
    WitnessKey,
    add_cosignature,
    cosign,
    read_checkpoint,
    sign_checkpoint,
)
from protocol.checkpoint.note import SignatureLine, read_note, write_signature
from protocol.errors import ExchangeError

VECTORS = Path(__file__).parents[2] / "vectors" / "evidence"
ORIGIN = "lienthong.example.vn/log"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOG = LogKey.from_private(ORIGIN, PRIVATE)
OTHER = LogKey.from_private("other.example.vn/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
WITNESS = WitnessKey.from_private("H21.16", Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64))))
ROOT = hashlib.sha256(b"root").digest()
NOTE = sign_checkpoint(LOG, 20_852_163, ROOT)
BODY = NOTE.split("\n\n")[0] + "\n"


def refused(text: str, *vkeys: str) -> bool:
    try:
        read_checkpoint(text, vkeys or (LOG.vkey,))
    except ExchangeError as error:
        return error.kind is errors.PROOF_INVALID
    return False


def signed(body: str, key: LogKey = LOG) -> str:
    return body + "\n" + line(body, key)


def line(body: str, key: LogKey = LOG) -> str:
    return write_signature(SignatureLine(key.origin, key.key_id, key.sign(body.encode())))


def test_a_checkpoint_reads_back_what_was_signed():
    checkpoint = read_checkpoint(NOTE, [LOG.vkey])
    assert (checkpoint.origin, checkpoint.size, checkpoint.root, checkpoint.text) == (ORIGIN, 20_852_163, ROOT, NOTE)
    assert checkpoint.cosignatures == ()


def test_the_form_is_that_of_c2sp_octet_for_octet():
    """Written out from the specification with nothing but `cryptography`."""
    public = PRIVATE.public_key().public_bytes_raw()
    key_id = hashlib.sha256(ORIGIN.encode() + b"\n\x01" + public).digest()[:4]
    body = f"{ORIGIN}\n20852163\n{b64encode(ROOT).decode()}\n"
    signature = b64encode(key_id + PRIVATE.sign(body.encode())).decode()
    assert f"{body}\n\u2014 {ORIGIN} {signature}\n" == NOTE
    assert LOG.vkey == f"{ORIGIN}+{key_id.hex()}+{b64encode(bytes([1]) + public).decode()}"


def test_a_note_of_go_sumdb_verifies():
    note = read_note((VECTORS / "02-signed-note.txt").read_text())
    key = VerifierKey.parse((VECTORS / "02-signed-note.vkey").read_text().strip())
    (signature,) = note.signatures
    assert (signature.name, signature.key_id) == ("PeterNeumann", key.key_id)
    key.check(signature.signature, note.body.encode())
    with pytest.raises(ExchangeError):
        key.check(signature.signature, note.body.upper().encode())


@pytest.mark.parametrize("text", (VECTORS / "03-vkeys.txt").read_text().splitlines())
def test_foreign_keys_read_and_write_back(text: str):
    key = VerifierKey.parse(text)
    assert key.text == text
    assert key.kind is (KeyKind.WITNESS if text.startswith("remora") else KeyKind.LOG)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++",
        ORIGIN,
        LOG.vkey.rsplit("+", 1)[0],
        LOG.vkey + "=",
        LOG.vkey[:-4],
        LOG.vkey.replace("+", "+0", 1),
        LOG.vkey.upper(),
        LOG.vkey.replace("lien", "lìen"),
        LOG.vkey.replace(ORIGIN, "a b"),
        LOG.vkey.replace(ORIGIN, ""),
        LOG.vkey + "\n",
        LOG.vkey * 20,
        VerifierKey("a b", KeyKind.LOG, bytes(32)).text,
        VerifierKey("a\nb", KeyKind.LOG, bytes(32)).text,
        VerifierKey("a\0b", KeyKind.LOG, bytes(32)).text,
        VerifierKey("", KeyKind.LOG, bytes(32)).text,
        VerifierKey(ORIGIN, 0x06, bytes(32)).text,  # type: ignore[arg-type] - ML-DSA is not ours
    ],
)
def test_bad_keys_are_refused(text: str):
    with pytest.raises(ExchangeError) as caught:
        VerifierKey.parse(text)
    assert caught.value.kind is errors.PROOF_INVALID


def test_signatures_of_unknown_keys_are_ignored():
    unknown = line(BODY, OTHER) * 2 + write_signature(SignatureLine(ORIGIN, b"\0\0\0\0", bytes(2420)))
    assert read_checkpoint(NOTE + unknown, [LOG.vkey]).size == 20_852_163
    assert read_checkpoint(BODY + "\n" + unknown + line(BODY), [LOG.vkey]).root == ROOT


def test_a_known_key_that_fails_or_repeats_condemns_the_note():
    wrong = write_signature(SignatureLine(OTHER.origin, OTHER.key_id, OTHER.sign(b"something else")))
    assert not refused(NOTE + wrong, LOG.vkey)
    assert refused(NOTE + wrong, LOG.vkey, OTHER.vkey)
    assert refused(NOTE + line(BODY), LOG.vkey)


def test_only_the_key_of_the_origin_makes_a_checkpoint():
    """Another log's key is trusted for its own origin only (c2sp.org/tlog-proof, "Verifying", step 2)."""
    foreign = signed(BODY, OTHER)
    assert refused(foreign, OTHER.vkey, LOG.vkey)
    assert refused(NOTE, OTHER.vkey)
    assert refused(add_cosignature(foreign, cosign(WITNESS, foreign, 1)), WITNESS.vkey)


def test_what_one_caller_trusts_does_not_leak_to_another():
    assert not refused(NOTE, LOG.vkey)
    assert refused(NOTE, OTHER.vkey)
    assert not refused(NOTE, LOG.vkey)
    with pytest.raises(ExchangeError):
        read_checkpoint(NOTE, [])


@pytest.mark.parametrize(
    "body",
    [
        f"{ORIGIN}\n1\n",
        f"{ORIGIN}\n01\n{b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n-1\n{b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n1_0\n{b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n١\n{b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n1١\n{b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n{1 << 63}\n{b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n1\n{b64encode(ROOT[:31]).decode()}\n",
        f"{ORIGIN}\n1\n{b64encode(ROOT).decode()[:-1]}\n",
        f"{ORIGIN}\n1\n{ROOT.hex()}\n",
        f"{ORIGIN}\n1\n\n{b64encode(ROOT).decode()}\n",
        f"\n1\n{b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n1\n{b64encode(ROOT).decode()}\nextension\twith a tab\n",
        f"{ORIGIN}\n1\n{b64encode(ROOT).decode()}\nextension with a return\r\n",
        f"{ORIGIN}\n1\n{b64encode(ROOT).decode()}\n\nextension after an empty line\n",
    ],
)
def test_bodies_that_are_no_tree_head_are_refused_though_signed(body: str):
    assert refused(signed(body))


def test_extension_lines_are_signed_and_otherwise_ignored():
    assert read_checkpoint(signed(BODY + "extension\n"), [LOG.vkey]).size == 20_852_163
    assert refused(NOTE.replace("\n\n", "\nextension\n\n"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        BODY,
        BODY + "\n",
        "\n\n" + line(BODY),
        NOTE[:-1],
        NOTE + "\n",
        NOTE.replace("\n", "\r\n"),
        NOTE.replace("— ", "- "),
        NOTE.replace("— ", "—  "),
        NOTE + "— \n",
        NOTE + f"— {ORIGIN}\n",
        NOTE + "— a+b AAAAAAAA\n",
        NOTE + "— name AAAA\n",
        NOTE + "— name AAAAAAA\n",
        NOTE + "— name AAAAAAB=\n",
        NOTE + "— name AAAA AAAA\n",
        NOTE + "— name\u00a0x AAAAAAAA\n",
        NOTE.replace(ORIGIN, ORIGIN + "\0"),
        NOTE + "\ud800\n",
        BODY + "\ud800\n\n" + line(BODY),
        NOTE + "— name AAAAAAAA\n" * 100,
        NOTE + "— name " + "A" * 100_000 + "\n",
    ],
)
def test_texts_that_are_no_signed_note_are_refused(text: str):
    assert refused(text)


def test_sixteen_other_signatures_are_accepted():
    others = "".join(write_signature(SignatureLine(f"w{n}", bytes(4), bytes(2428))) for n in range(16))
    assert read_checkpoint(NOTE + others, [LOG.vkey]).size == 20_852_163


@given(st.integers(0, len(NOTE) - 1), st.characters())
def test_no_other_character_anywhere_is_believed(position: int, character: str):
    altered = NOTE[:position] + character + NOTE[position + 1 :]
    if altered != NOTE:
        assert refused(altered)


@given(st.text(max_size=80))
def test_any_text_is_refused_with_the_one_error(text: str):
    assert refused(text)
    assert refused(BODY + "\n" + text)


def test_the_empty_tree_has_a_checkpoint_and_impossible_ones_are_not_signed():
    assert read_checkpoint(sign_checkpoint(LOG, 0, ROOT), [LOG.vkey]).size == 0
    for size, root in ((-1, ROOT), (1 << 63, ROOT), (1, ROOT[:31])):
        with pytest.raises(ExchangeError):
            sign_checkpoint(LOG, size, root)


@pytest.mark.parametrize(
    ("origin", "public"), [("", bytes(32)), ("a b", bytes(32)), ("a+b", bytes(32)), ("a", bytes(31))]
)
def test_impossible_log_keys_are_refused(origin: str, public: bytes):
    with pytest.raises(ExchangeError):
        LogKey(origin, public, PRIVATE.sign)


def test_a_cosignature_states_time_and_checkpoint_as_c2sp_writes_them():
    cosignature = cosign(WITNESS, NOTE, 1_679_315_147)
    name, text = cosignature.removeprefix("— ").split()
    data = b64decode(text)
    public = WITNESS.verifier.public
    assert name == "H21.16"
    assert data[:4] == hashlib.sha256(b"H21.16\n\x04" + public).digest()[:4]
    assert int.from_bytes(data[4:12], "big") == 1_679_315_147
    signed_text = f"cosignature/v1\ntime 1679315147\n{BODY}".encode()
    Ed25519PublicKey.from_public_bytes(public).verify(data[12:], signed_text)


def test_cosignatures_of_known_witnesses_are_verified_and_listed():
    cosigned = add_cosignature(NOTE, cosign(WITNESS, NOTE, 1_679_315_147))
    assert read_checkpoint(cosigned, [LOG.vkey]).cosignatures == ()
    checkpoint = read_checkpoint(cosigned, [LOG.vkey, WITNESS.vkey])
    assert checkpoint.cosignatures == (Cosignature("H21.16", 1_679_315_147),)
    later = add_cosignature(NOTE, cosign(WITNESS, NOTE, 1_679_315_148))
    stolen = cosigned.replace(cosigned.splitlines()[-1], later.splitlines()[-1][:40] + cosigned.splitlines()[-1][40:])
    assert stolen not in (cosigned, later)
    assert refused(stolen, LOG.vkey, WITNESS.vkey)


def test_a_cosignature_is_no_log_signature_and_the_reverse():
    """One key pair under both kinds has two ids; the kind decides what was signed."""
    both = WitnessKey.from_private(ORIGIN, PRIVATE)
    assert both.key_id != LOG.key_id
    assert refused(add_cosignature(BODY + "\n" + cosign(both, NOTE, 1), line(BODY, OTHER)), LOG.vkey, both.vkey)
    plain = write_signature(SignatureLine(WITNESS.origin, WITNESS.key_id, WITNESS.sign(BODY.encode())))
    assert refused(NOTE + plain, LOG.vkey, WITNESS.vkey)


def test_impossible_cosignatures_are_refused():
    for time in (-1, 1 << 63):
        with pytest.raises(ExchangeError):
            cosign(WITNESS, NOTE, time)
    with pytest.raises(ExchangeError):
        cosign(WITNESS, "no note", 1)
    for bad in ("", "no line\n", cosign(WITNESS, NOTE, 1) * 2, "\n" + cosign(WITNESS, NOTE, 1)):
        with pytest.raises(ExchangeError):
            add_cosignature(NOTE, bad)


def test_a_signed_time_beyond_63_bits_is_refused():
    def cosigned(time: int) -> str:
        signature = WITNESS.sign(f"cosignature/v1\ntime {time}\n{BODY}".encode())
        return NOTE + write_signature(SignatureLine("H21.16", WITNESS.key_id, time.to_bytes(8, "big") + signature))

    assert not refused(cosigned((1 << 63) - 1), LOG.vkey, WITNESS.vkey)
    assert refused(cosigned(1 << 63), LOG.vkey, WITNESS.vkey)
