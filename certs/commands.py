"""`lienthong-certs`: make the province's authority, issue, revoke, show, and verify receipts offline."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runtime import commands

if TYPE_CHECKING:
    from certs.authority import Authority

_CA = click.option(
    "--ca",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("ca"),
    envvar="LIENTHONG_CA",
    show_default=True,
    help="Thư mục của CA.",
)
_OUT = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Thư mục nhận khóa (quyền 0600) và chứng thư.",
)
_DAYS = click.option("--days", type=click.IntRange(1, 3650), default=730, show_default=True, help="Số ngày hiệu lực.")
_KEY = click.option(
    "--key",
    "kind",
    type=click.Choice(["p-256", "rsa-2048", "rsa-3072"]),
    default="p-256",
    show_default=True,
    help="Loại khóa.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Chứng thư của trục liên thông: lập CA của tỉnh, cấp, thu hồi, xem và kiểm chứng.

    Mã kết thúc: 0 xong, 1 không đạt, 2 sai cấu hình hoặc cách dùng, 3 bị từ chối theo quy định.
    """


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--province", required=True, help="Tên tỉnh, ví dụ “Gia Lai”.")
@click.option(
    "--root-key", type=click.Choice(["p-384", "p-256", "rsa-3072", "rsa-4096"]), default="p-384", show_default=True
)
@click.option(
    "--intermediate-key",
    type=click.Choice(["p-256", "p-384", "rsa-3072", "rsa-4096"]),
    default="p-256",
    show_default=True,
)
def init(directory: Path, province: str, root_key: str, intermediate_key: str) -> None:
    """Lập CA của tỉnh trong DIRECTORY: CA gốc, CA cấp dưới, danh sách thu hồi rỗng."""
    from certs.authority import Authority
    from certs.keys import authority_kind

    made = Authority.init(
        directory,
        province=province,
        at=_now(),
        root_kind=authority_kind(root_key),
        intermediate_kind=authority_kind(intermediate_key),
    )
    click.echo(f"Đã lập CA của tỉnh {province} trong {directory}.")
    click.echo(f"Vân tay CA gốc (SHA-256): {_fingerprint(made.root)}")
    click.secho(
        f"CHÚ Ý: {directory / 'root.key'} là khóa gốc. Chép ra hai thiết bị lưu trữ ngoại tuyến, cất vào két,\n"
        "rồi xóa khỏi máy này. Hằng ngày chỉ cần intermediate.key.",
        fg="yellow",
    )


@cli.command("issue-hub")
@_CA
@click.option("--name", "names", multiple=True, required=True, help="Tên miền hoặc IP của trục; lặp lại được.")
@_KEY
@_DAYS
@_OUT
def issue_hub(directory: Path, names: tuple[str, ...], kind: str, days: int, out: Path) -> None:
    """Cấp khóa và chứng thư cho trục: hub.key, hub.pem."""
    from certs.enrolment import make_request
    from certs.keys import leaf_kind

    authority = _authority(directory)
    _refuse_overwrite(out / "hub.key")
    key, request = make_request(names[0], kind=leaf_kind(kind))
    certificate = authority.issue_hub(request, names, at=_now(), days=days)
    _deliver(out, "hub", key, authority.chain_pem(certificate))


@cli.command("issue-agency")
@click.argument("code")
@_CA
@click.option("--name", default="", help="Tên cơ quan, ví dụ “Sở Nội vụ”.")
@click.option("--host", "hosts", multiple=True, help="Tên miền của cơ quan (cho phép chạy máy chủ TLS); lặp lại được.")
@click.option(
    "--request",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Yêu cầu PKCS #10 của cơ quan (khi cơ quan tự giữ khóa); nếu không có thì tạo khóa mới.",
)
@_KEY
@_DAYS
@_OUT
def issue_agency(
    *,
    code: str,
    directory: Path,
    name: str,
    hosts: tuple[str, ...],
    request: Path | None,
    kind: str,
    days: int,
    out: Path,
) -> None:
    """Cấp chứng thư cho cơ quan có mã CODE (ví dụ H21.16): CODE.key, CODE.pem."""
    from certs.enrolment import make_request, read_request
    from certs.keys import leaf_kind
    from protocol import agency_codes

    canonical = agency_codes.canonical(code)
    if not agency_codes.is_plausible(canonical):
        raise click.BadParameter(f"mã cơ quan không hợp lệ: {code}")
    authority = _authority(directory)
    key = None
    if request is not None:
        octets = read_request(request.read_bytes())
    else:
        _refuse_overwrite(out / f"{canonical}.key")
        key, octets = make_request(canonical, kind=leaf_kind(kind))
    certificate = authority.issue_agency(octets, canonical, at=_now(), name=name, hosts=hosts, days=days)
    _deliver(out, canonical, key, authority.chain_pem(certificate))


@cli.command()
@click.argument("target", metavar="SERIAL|FILE")
@_CA
@click.option(
    "--reason",
    type=click.Choice(["unspecified", "keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation"]),
    default="unspecified",
    show_default=True,
    help="Lý do thu hồi (RFC 5280).",
)
def revoke(target: str, directory: Path, reason: str) -> None:
    """Thu hồi một chứng thư, có hiệu lực ngay ở trục đang chạy."""
    serial = _serial(target)
    if _authority(directory).revoke(serial, at=_now(), reason=reason):
        click.echo(f"Đã thu hồi chứng thư {serial:040X}. Danh sách thu hồi mới đã có hiệu lực.")
    else:
        click.echo(f"Chứng thư {serial:040X} đã bị thu hồi từ trước.")


@cli.command()
@_CA
def crl(directory: Path) -> None:
    """Ký lại danh sách thu hồi (trục đang chạy tự làm việc này mỗi ngày)."""
    authority = _authority(directory)
    authority.crl(at=_now())
    click.echo(f"Đã ký lại {authority.crl_path}.")


@cli.command()
@_CA
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Tệp nhận gói tin cậy.")
def bundle(directory: Path, out: Path) -> None:
    """Xuất gói tin cậy (chứng thư gốc, danh sách thu hồi, khóa sổ bằng chứng) để kiểm chứng ngoại tuyến."""
    from certs.bundle import TrustBundle
    from runtime import durable

    durable.write_file(out, TrustBundle.load(directory).to_json())
    click.echo(f"Đã xuất gói tin cậy: {out}. Tệp này không chứa bí mật.")


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def show(file: Path) -> None:
    """Xem chứng thư, danh sách thu hồi, gói tin cậy hoặc giấy biên nhận."""
    from certs.showing import describe

    for line in describe(file):
        click.echo(line)


@cli.command()
@click.argument("receipt", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--trust",
    type=click.Path(path_type=Path, exists=True),
    envvar="LIENTHONG_TRUST",
    help="Gói tin cậy hoặc thư mục CA; mặc định: trust.json cạnh giấy biên nhận.",
)
@click.option(
    "--document",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Văn bản đã ký (.xml hoặc .edxml) để đối chiếu.",
)
@click.pass_context
def verify(context: click.Context, receipt: Path, trust: Path | None, document: Path | None) -> None:
    """Kiểm chứng giấy biên nhận RECEIPT, không cần mạng. Kết thúc 0 chỉ khi mọi điểm đều đạt."""
    from certs.bundle import TrustBundle
    from certs.verification import verify_receipt

    data = TrustBundle.load(trust or receipt.with_name("trust.json"))
    content = document.read_bytes() if document else None
    text = receipt.read_bytes().decode("utf-8", errors="replace")
    findings = verify_receipt(text, data, content, _now())
    for finding in findings:
        mark = click.style("ĐẠT  ", fg="green") if finding.ok else click.style("KHÔNG", fg="red", bold=True)
        click.echo(f"{mark}  {finding.sentence}")
    good = all(finding.ok for finding in findings)
    click.echo("Kết luận: giấy biên nhận hợp lệ." if good else "Kết luận: KHÔNG hợp lệ.")
    context.exit(0 if good else commands.EXIT_FAILED)


def main() -> None:
    """The console script."""
    commands.run(cli)


def _now() -> datetime:
    return datetime.now(UTC)


def _authority(directory: Path) -> Authority:
    from certs.authority import Authority

    return Authority(directory)


def _fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def _refuse_overwrite(path: Path) -> None:
    from runtime.config import ConfigError

    if path.exists():
        raise ConfigError(f"{path} đã có; không ghi đè khóa.")


def _deliver(out: Path, name: str, key: bytes | None, certificates: bytes) -> None:
    from certs.keys import write_key
    from runtime import durable

    durable.make_directory(out)
    if key is not None:
        write_key(out / f"{name}.key", key)
        click.echo(f"Khóa (giữ kín, quyền 0600): {out / f'{name}.key'}")
    durable.write_file(out / f"{name}.pem", certificates)
    click.echo(f"Chứng thư: {out / f'{name}.pem'}")


def _serial(target: str) -> int:
    path = Path(target)
    if path.is_file():
        from certs.signers import read_certificates

        return read_certificates(path)[0].serial_number
    try:
        return int(target.replace(":", "").removeprefix("0x"), 16)
    except ValueError as error:
        raise click.BadParameter(f"không phải số sê-ri (hệ 16) và cũng không phải tệp: {target}") from error
