"""`lienthong-edge`: join the province, run the agent, send, look, examine. Work is imported where it is done."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runtime import commands

if TYPE_CHECKING:
    from edge_agent.bridge.sidecar import Sidecar
    from edge_agent.configuration import EdgeConfig
    from edge_agent.places import Places
    from edge_agent.posting import Posted

_DIR = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    envvar="LIENTHONG_EDGE_DIR",
    help="Thư mục của tác vụ (chứa edge.toml); mặc định là thư mục hiện tại.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="In JSON cho máy đọc.")
_LIMIT = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Số dòng mới nhất."
)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lienthong")
def cli() -> None:
    """Tác vụ liên thông đặt tại cơ quan: ký, gửi, nhận, giữ bản lưu.

    Mã kết thúc: 0 xong, 1 không đạt, 2 sai cấu hình hoặc cách dùng, 3 bị từ chối theo quy định.
    """


@cli.command()
@click.argument("url")
@click.argument("code")
@_DIR
@click.option("--anew", is_flag=True, help="Xin lại chứng thư cho thư mục đã tham gia (mất khóa, hết hạn).")
def join(url: str, code: str, folder: Path, *, anew: bool) -> None:
    """Tham gia trục: URL là địa chỉ trục, CODE là mã dùng một lần do Trung tâm cấp."""
    import asyncio

    from edge_agent import join as joining
    from edge_agent.clock import system_clock
    from edge_agent.places import Places

    if not url.startswith("https://"):
        raise click.BadParameter("địa chỉ trục phải bắt đầu bằng https://", param_hint="URL")
    joined = asyncio.run(joining.join(Places(folder), url, code, now=system_clock(), anew=anew))
    name = f"{joined.code} {joined.name}".strip()
    if joined.again:
        click.echo(f"Thư mục này đã tham gia với tư cách {name}; không thay đổi gì.")
        return
    click.echo(f"Đã tham gia trục với tư cách {name}.")
    click.echo(f"Việc tiếp theo: lienthong-edge serve --dir {folder}")


@cli.command()
@_DIR
def serve(folder: Path) -> None:
    """Chạy tác vụ. Tín hiệu dừng đầu tiên: làm xong việc dở rồi dừng; tín hiệu thứ hai: dừng ngay."""
    from edge_agent.service import EdgeAgent
    from runtime import logs, service

    places, config = _load(folder)
    logs.configure(config.logging.level, json=config.logging.json)
    agent = EdgeAgent(places, config)
    service.run(agent.run)


@cli.command()
@click.argument("file", type=_FILE)
@_DIR
@click.option("--to", "recipients", multiple=True, help="Mã cơ quan nhận (lặp lại được).")
@click.option("--number", default="", help="Số của văn bản (CodeNumber).")
@click.option("--notation", default="", help="Ký hiệu của văn bản (CodeNotation).")
@click.option("--date", "issued", type=click.DateTime(["%Y-%m-%d", "%d/%m/%Y"]), help="Ngày ban hành.")
@click.option("--subject", default="", help="Trích yếu.")
@click.option("--type", "type_name", default="Công văn", show_default=True, help="Tên loại văn bản.")
@click.option("--signer", default="", help="Họ tên người ký.")
@click.option("--position", default="", help="Chức vụ người ký.")
@click.option(
    "--priority", type=click.IntRange(0, 4), default=0, show_default=True, help="Độ khẩn: 0 thường … 3 hỏa tốc."
)
@click.option("--paper", is_flag=True, help="Có gửi kèm bản giấy (Điều 4.3).")
@click.option("--attach", "attachments", multiple=True, type=_FILE, help="Tệp kèm theo (lặp lại được).")
@click.option("--fields", type=_FILE, help="Tệp TOML hoặc JSON chứa các trường, thay cho các tùy chọn trên.")
@click.option("--wait", is_flag=True, help="Chờ đến khi có biên nhận của trục.")
@click.option("--timeout", type=float, default=120.0, show_default=True, help="Số giây chờ tối đa với --wait.")
def send(file: Path, folder: Path, fields: Path | None, *, wait: bool, timeout: float, **options: object) -> None:
    """Gửi một tệp .edxml, một trạng thái .status.toml, hoặc một tệp PDF kèm các trường của văn bản."""
    from edge_agent import posting
    from edge_agent.clock import system_clock
    from protocol.model import Organization

    places, config = _load(folder)
    agency = Organization(organ_id=config.agency.code, organ_name=config.agency.name)
    if file.name.lower().endswith((".edxml", ".status.toml")):
        posted = posting.post_file(places, file, agency, system_clock(), config.local.declared)
    else:
        sidecar, further = _fields(fields, options)
        posted = posting.post_fields(places, sidecar, [file, *further], agency, system_clock(), config.local.declared)
    click.echo(f"Đã đặt vào {posted.main}.")
    if wait:
        _follow(places, posted, timeout)


@cli.command()
@_DIR
@_LIMIT
@_JSON
def inbox(folder: Path, limit: int, *, as_json: bool) -> None:
    """Văn bản và trạng thái đến, mới nhất trước."""
    import msgspec

    from edge_agent import overview

    places, _ = _load(folder, database=True)
    found = overview.inbox(places, limit=limit)
    click.echo(msgspec.json.encode(found).decode() if as_json else "\n".join(overview.inbox_lines(found)))


@cli.command()
@_DIR
@_LIMIT
@_JSON
def status(folder: Path, limit: int, *, as_json: bool) -> None:
    """Hàng đợi, liên lạc với trục, cảnh báo, văn bản gửi gần đây."""
    import msgspec

    from edge_agent import overview
    from edge_agent.clock import system_clock

    places, config = _load(folder, database=True)
    found = overview.status(places, config, limit=limit)
    lines = overview.status_lines(found, system_clock())
    click.echo(msgspec.json.encode(found).decode() if as_json else "\n".join(lines))


@cli.command()
@_DIR
def doctor(folder: Path) -> None:
    """Khám máy: chứng thư, đồng hồ, đĩa, thư mục, cơ sở dữ liệu, trục. Mỗi dòng ĐẠT hoặc LỖI kèm cách xử lý."""
    from edge_agent.doctor import examine

    places, config = _load(folder)
    findings = examine(places, config)
    for finding in findings:
        click.echo(f"{'ĐẠT' if finding.good else 'LỖI'} {finding.subject}: {finding.sentence}")
    if not all(finding.good for finding in findings):
        raise click.exceptions.Exit(commands.EXIT_FAILED)


@cli.command()
@click.argument("number", type=int)
@_DIR
@click.option("--route", type=click.Choice(["soap", "folder"]), default="soap", show_default=True, help="Đường giao.")
def release(number: int, folder: Path, route: str) -> None:
    """Giao lại văn bản đến số NUMBER mà phần mềm QLVB đã từ chối (xem lienthong-edge status)."""
    from edge_agent import control

    places, _ = _load(folder)
    control.ask_release(places, number, "soap" if route == "soap" else "folder")
    click.echo(f"Văn bản đến số {number} sẽ được giao lại.")


@cli.command()
@click.argument("kind")
@_DIR
def clear(kind: str, folder: Path) -> None:
    """Tắt cảnh báo KIND sau khi đã xử lý (tên cảnh báo đứng trong lienthong-edge status)."""
    from edge_agent import control

    places, _ = _load(folder)
    control.ask_clear(places, kind)
    click.echo(f"Đã tắt cảnh báo {kind}; việc này được ghi vào sổ sự kiện.")


@cli.command()
@click.argument("document_ids", metavar="[DOCUMENT_ID]...", nargs=-1)
@_DIR
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bien-nhan"),
    show_default=True,
    help="Thư mục nhận biên nhận, văn bản đã ký và trust.json.",
)
def receipt(document_ids: tuple[str, ...], folder: Path, out: Path) -> None:
    """Xuất biên nhận của văn bản đã gửi (không nêu mã: của mọi văn bản) để kiểm chứng không cần mạng."""
    from edge_agent import evidence

    places, _ = _load(folder, database=True)
    exported = evidence.export(places, document_ids, out)
    for one in exported[:1] if not document_ids else exported:
        click.echo(f"Kiểm chứng: lienthong-certs verify {one.receipt} --document {one.document}")
    click.echo(f"Đã xuất {len(exported)} biên nhận vào {out}.")


@cli.command()
@_DIR
def token(folder: Path) -> None:
    """Tạo mã truy cập mới cho phần mềm QLVB gọi dịch vụ trên máy này; mã cũ hết hiệu lực ngay."""
    from edge_agent.tokens import make_token

    places, config = _load(folder)
    click.echo(f"OrganId: {config.agency.code}")
    click.echo(f"Token: {make_token(places.token_hash)}")
    click.echo("Mã chỉ hiện một lần. Ghi vào cấu hình của phần mềm QLVB ngay.", err=True)


@cli.group("config")
def config_group() -> None:
    """Cấu hình."""


@config_group.command("show")
@_DIR
@click.option("--defaults", is_flag=True, help="In giá trị mặc định, không đọc tệp.")
def config_show(folder: Path, *, defaults: bool) -> None:
    """In mọi khóa của edge.toml với ý nghĩa, đơn vị và giá trị."""
    from edge_agent.configuration import EdgeConfig
    from runtime import config

    click.echo(config.show(EdgeConfig, None if defaults else _load(folder)[1]))


def _load(folder: Path, *, database: bool = False) -> tuple[Places, EdgeConfig]:
    from edge_agent import configuration
    from edge_agent.places import Places
    from runtime.config import ConfigError

    places = Places(folder)
    config = configuration.load(places)
    if database and not places.database.exists():
        raise ConfigError("Dịch vụ chưa chạy lần nào trong thư mục này. Chạy: lienthong-edge serve")
    return places, config


def _fields(file: Path | None, options: dict[str, object]) -> tuple[Sidecar, list[Path]]:
    """The fields, from a file or from the options, and the further attachments."""
    import msgspec

    from edge_agent.bridge import sidecar

    further = list(options["attachments"])  # type: ignore[call-overload] # click gives a tuple
    if file is not None:
        read = sidecar.read_sidecar(file.name, file.read_bytes())
        return read, [*(file.parent / name for name in read.attachments), *further]
    issued = options["issued"]
    given = {
        "To": list(options["recipients"]),  # type: ignore[call-overload] # click gives a tuple
        "CodeNumber": options["number"],
        "CodeNotation": options["notation"],
        "PromulgationDate": issued.date().isoformat() if isinstance(issued, datetime) else "",
        "Subject": options["subject"],
        "TypeName": options["type_name"],
        "FullName": options["signer"],
        "Position": options["position"],
        "Priority": options["priority"],
        "Paper": int(bool(options["paper"])),
    }
    if not given["To"]:
        raise click.UsageError("cần ít nhất một --to")
    return msgspec.convert(given, sidecar.Sidecar), further


def _follow(places: Places, posted: Posted, timeout: float) -> None:
    """Wait for the receipt and say how it ended; exit 1 or 3 when it was not sent."""
    from edge_agent import posting
    from protocol.errors import ExchangeError, kind_of

    outcome = posting.follow(places, posted, timeout=timeout)
    if outcome is None:
        click.echo("Chưa có biên nhận; tác vụ sẽ tiếp tục gửi. Xem: lienthong-edge status", err=True)
        raise click.exceptions.Exit(commands.EXIT_FAILED)
    if outcome.receipt is None:
        raise click.exceptions.Exit(commands.report(ExchangeError(kind_of(outcome.code))))
    click.echo(f"Trục đã nhận. Biên nhận: {outcome.receipt}")


def main() -> None:
    """Entry point."""
    commands.run(cli)


if __name__ == "__main__":
    main()
