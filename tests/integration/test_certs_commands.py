"""The installed command in a subprocess, and `openssl` as the outside judge of what it makes."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from certs import log_key
from certs.authority import Authority
from certs.commands import cli
from certs.signers import FileSigner
from protocol.checkpoint import LogKey, sign_checkpoint
from protocol.merkle import Frontier, append_batch, leaf_hash
from protocol.receipts import Leaf, Receipt, encode_leaf, format_time

REPOSITORY = Path(__file__).parents[2]
OPENSSL = shutil.which("openssl")
ORIGIN = "truc.gialai.gov.vn/so"


def certs(folder: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", "from certs.commands import main; main()", *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUTF8": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def done(folder: Path, *args: str) -> str:
    result = certs(folder, *args)
    assert result.returncode == 0, result.stderr
    return result.stdout


def openssl(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    assert OPENSSL is not None, "openssl is part of every Debian and of the build image"
    return subprocess.run([OPENSSL, *args], cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("province")
    done(folder, "init", "ca", "--province", "Gia Lai")
    done(
        folder, "issue-hub", "--name", "truc.gialai.gov.vn", "--name", "127.0.0.1", "--key", "rsa-2048", "--out", "hub"
    )
    done(folder, "issue-agency", "000.00.16.H21", "--name", "Sở Nội vụ", "--out", "agency")
    return folder


@pytest.fixture
def province(_made: Path, tmp_path: Path) -> Path:
    shutil.copytree(_made, tmp_path / "p")
    return tmp_path / "p"


@pytest.fixture
def receipt(province: Path) -> Path:
    """A log key vouched for by the hub, and the receipt of one event."""
    log = LogKey.from_private(ORIGIN, ed25519.Ed25519PrivateKey.generate())
    signer = FileSigner(province / "hub/hub.key", province / "hub/hub.pem")
    Authority(province / "ca").add_log_key(log_key.make_statement(signer, ORIGIN, log.vkey))
    now = datetime.now(UTC) - timedelta(seconds=1)
    leaf = encode_leaf(Leaf(type="accepted", time=format_time(now), number=1, kind="document", sender="H21.16"))
    batch = append_batch(Frontier(), [leaf_hash(leaf), leaf_hash(b"next")])
    text = Receipt(leaf, 0, tuple(batch.proofs[0]), sign_checkpoint(log, 2, batch.root)).to_text()
    (province / "receipt.txt").write_text(text, encoding="utf-8")
    return province / "receipt.txt"


def test_help_needs_none_of_the_heavy_libraries():
    """What keeps `--help` far below 150 ms; the libraries are loaded by the command that needs them."""
    script = (
        "import sys\nfrom certs.commands import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "heavy = {'cryptography', 'lxml', 'aiohttp', 'ssl', 'asyncio', 'msgspec', 'structlog', 'rich'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    "command", ["", "init", "issue-hub", "issue-agency", "revoke", "crl", "bundle", "show", "verify"]
)
def test_every_command_has_help_in_vietnamese(tmp_path: Path, command: str):
    said = done(tmp_path, *([command] if command else []), "--help")
    assert re.search("[ăâđêôơưàảãáạ]", said)


def test_manual_names_every_command():
    manual = (REPOSITORY / "certs/README.md").read_text(encoding="utf-8")
    assert cli.commands
    for name in cli.commands:
        assert f"lienthong-certs {name}" in manual, name


def test_init_warns_that_the_root_key_belongs_offline_and_refuses_a_second_time(tmp_path: Path):
    said = done(tmp_path, "init", "ca", "--province", "Đắk Lắk")
    assert "root.key" in said
    assert "ngoại tuyến" in said
    assert (tmp_path / "ca/root.key").stat().st_mode & 0o777 == 0o600
    again = certs(tmp_path, "init", "ca", "--province", "Đắk Lắk")
    assert (again.returncode, again.stdout) == (2, "")
    assert "không ghi đè" in again.stderr


def test_openssl_believes_the_chain_strictly_and_obeys_the_revocation_list(province: Path):
    chain = ("-x509_strict", "-CAfile", "ca/root.pem", "-untrusted", "ca/intermediate.pem")
    checked = (*chain, "-crl_check", "-CRLfile", "ca/crl.pem")
    assert openssl(province, "verify", *chain, "-purpose", "sslserver", "hub/hub.pem").returncode == 0
    assert openssl(province, "verify", *checked, "-purpose", "sslclient", "agency/H21.16.pem").returncode == 0
    done(province, "revoke", "agency/H21.16.pem", "--reason", "keyCompromise")
    refused = openssl(province, "verify", *checked, "agency/H21.16.pem")
    assert refused.returncode != 0
    assert "revoked" in refused.stderr


def test_openssl_verifies_the_statement_about_the_log_key_as_the_manual_says(province: Path, receipt: Path):
    """Runs the commands that certs/README.md shows."""
    assert receipt.exists()
    done(province, "bundle", "--out", "trust.json")
    manual = (REPOSITORY / "certs/README.md").read_text(encoding="utf-8")
    script = re.search(r"<!-- openssl -->\n```sh\n(.*?)```", manual, re.DOTALL)
    assert script is not None
    run = subprocess.run(
        ["sh", "-euc", script[1]], cwd=province, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert "Verified OK" in run.stdout
    assert run.stdout.count(": OK") == 1
    trust = json.loads((province / "trust.json").read_text(encoding="utf-8"))
    changed = json.loads(trust["log_keys"][0])
    changed["text"] = changed["text"].replace("vkey", "Vkey")
    trust["log_keys"] = [json.dumps(changed)]
    (province / "trust.json").write_text(json.dumps(trust), encoding="utf-8")
    bad = subprocess.run(
        ["sh", "-euc", script[1]], cwd=province, capture_output=True, text=True, check=False, timeout=60
    )
    assert bad.returncode != 0


def test_show_tells_what_a_file_is(province: Path, receipt: Path):
    done(province, "revoke", "agency/H21.16.pem")
    done(province, "bundle", "--out", "trust.json")
    shown = done(province, "show", "agency/H21.16.pem")
    assert "cơ quan:    H21.16" in shown
    assert "O=Sở Nội vụ" in shown
    assert "truc.gialai.gov.vn" in done(province, "show", "hub/hub.pem")
    assert "1 chứng thư bị thu hồi" in done(province, "show", "ca/crl.pem")
    assert "1 khóa sổ bằng chứng" in done(province, "show", "trust.json")
    assert "1 gốc" in done(province, "show", "ca")
    assert ORIGIN in done(province, "show", str(next((province / "ca/log").iterdir())))
    assert "chưa kiểm chứng" in done(province, "show", str(receipt))
    unknown = certs(province, "show", "agency/H21.16.key")
    assert unknown.returncode == 2
    assert "PRIVATE" not in unknown.stdout + unknown.stderr


def test_revocation_by_serial_and_what_cannot_be_revoked(province: Path):
    serial = x509.load_pem_x509_certificate((province / "agency/H21.16.pem").read_bytes()).serial_number
    assert "Đã thu hồi" in done(province, "revoke", f"{serial:X}")
    assert "từ trước" in done(province, "revoke", "agency/H21.16.pem")
    for wrong in ("12", "not-a-serial", "ca/crl.pem"):
        assert certs(province, "revoke", wrong).returncode == 2
    assert certs(province, "revoke", f"{serial:X}", "--reason", "boredom").returncode == 2
    assert certs(province, "revoke", f"{serial:X}", "--ca", "elsewhere").returncode == 2


def test_agency_may_keep_its_own_key_and_send_a_request_made_by_openssl(province: Path):
    made = openssl(
        province,
        "req",
        "-new",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "own.key",
        "-out",
        "own.csr",
        "-subj",
        "/CN=x",
    )
    assert made.returncode == 0, made.stderr
    done(province, "issue-agency", "H21.17", "--request", "own.csr", "--out", "own")
    assert sorted(path.name for path in (province / "own").iterdir()) == ["H21.17.pem"]
    (province / "own.csr").write_bytes(b"junk")
    refused = certs(province, "issue-agency", "H21.18", "--request", "own.csr", "--out", "own")
    assert refused.returncode == 3
    assert "enrolment.request" in refused.stderr


def test_existing_key_is_never_overwritten(province: Path):
    before = (province / "agency/H21.16.key").read_bytes()
    assert certs(province, "issue-agency", "H21.16", "--out", "agency").returncode == 2
    assert certs(province, "issue-hub", "--name", "x.vn", "--out", "hub").returncode == 2
    assert (province / "agency/H21.16.key").read_bytes() == before


@pytest.mark.parametrize("code", ["../../etc/x", "", "a b", "H21/16", "x" * 40])
def test_code_that_is_no_agency_code_is_refused_before_anything_is_written(province: Path, code: str):
    result = certs(province, "issue-agency", "--out", "new", "--", code)
    assert result.returncode == 2
    assert not (province / "new").exists()


def test_verify_ends_with_0_only_when_everything_is_good(province: Path, receipt: Path):
    done(province, "bundle", "--out", "trust.json")
    good = certs(province, "verify", str(receipt))
    assert good.returncode == 0, good.stdout
    assert "giấy biên nhận hợp lệ" in good.stdout
    assert "KHÔNG" not in good.stdout
    assert certs(province, "verify", str(receipt), "--trust", "ca").returncode == 0
    head, extra, *rest = receipt.read_text(encoding="utf-8").split("\n")
    leaf = base64.b64decode(extra.removeprefix("extra ")).replace(b"H21.16", b"H21.61")
    receipt.write_text("\n".join([head, f"extra {base64.b64encode(leaf).decode()}", *rest]), encoding="utf-8")
    bad = certs(province, "verify", str(receipt))
    assert bad.returncode == 1
    assert "KHÔNG hợp lệ" in bad.stdout


def test_verify_without_trust_or_with_a_damaged_one_is_a_matter_of_usage(province: Path, receipt: Path):
    missing = certs(province, "verify", str(receipt))
    assert missing.returncode == 2
    assert "trust.json" in missing.stderr
    (province / "trust.json").write_text("{", encoding="utf-8")
    assert certs(province, "verify", str(receipt)).returncode == 2
    assert certs(province, "verify", "no-such-file").returncode == 2


def test_verify_checks_a_document_beside_the_receipt(province: Path, receipt: Path):
    (province / "document.xml").write_bytes(b"<a/>")
    result = certs(province, "verify", str(receipt), "--trust", "ca", "--document", "document.xml")
    assert result.returncode == 1
    assert "KHÔNG" in result.stdout
