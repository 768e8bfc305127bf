"""`lienthong-hub`: set up a hub, run it, and look after its agencies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime import commands

if TYPE_CHECKING:
    from hub.configuration import HubConfiguration

_DIR = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    envvar="LIENTHONG_HUB_DIR",
    help="Thư mục của trục (chứa hub.toml); mặc định là thư mục hiện tại.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="In JSON cho máy đọc.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lienthong")
def cli() -> None:
    """Trục liên thông văn bản của tỉnh.

    Mã kết thúc: 0 xong, 1 không đạt, 2 sai cấu hình hoặc cách dùng, 3 bị từ chối theo quy định.
    """


@cli.command()
@_DIR
@click.option("--province", default="H21", show_default=True, help="Mã định danh của tỉnh.")
@click.option("--province-name", default="Gia Lai", show_default=True, help="Tên tỉnh, ghi trong chứng thư.")
@click.option("--name", default="lienthong.gialai.gov.vn", show_default=True, help="Tên trục và sổ bằng chứng.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    default=("localhost", "127.0.0.1"),
    show_default=True,
    help="Tên máy hoặc địa chỉ IP mà cơ quan gọi tới.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=7443, show_default=True, help="Cổng TLS.")
def init(folder: Path, province: str, province_name: str, name: str, hosts: tuple[str, ...], port: int) -> None:
    """Lập một trục mới: CA của tỉnh, chứng thư, khóa sổ bằng chứng, hub.toml."""
    from hub.installation import initialise

    configuration = initialise(
        folder,
        province=province,
        province_name=province_name,
        name=name,
        hosts=hosts,
        port=port,
        at=datetime.now(UTC),
    )
    click.echo(f"Đã lập trục {configuration.name} trong {folder.absolute()}.")
    click.echo(
        f"Khóa CA gốc: {configuration.authority / 'root.key'}: chép ra thiết bị ngoại tuyến rồi xóa khỏi máy này."
    )
    click.echo("Việc tiếp theo: lienthong-hub serve; rồi lienthong-hub agency add MÃ --name TÊN")


@cli.command()
@_DIR
def serve(folder: Path) -> None:
    """Chạy trục. Tín hiệu dừng đầu tiên: làm xong việc dở rồi dừng; tín hiệu thứ hai: dừng ngay."""
    import gc
    import sys

    from hub import descriptors
    from hub import service as hub_service
    from runtime import logs, service

    configuration = _load(folder)
    descriptors.raise_limit()
    logs.configure(configuration.log_level, json=not sys.stderr.isatty())
    # two threads share the interpreter; the default of 5 ms would be felt in every batch
    sys.setswitchinterval(0.001)
    # a document makes some thousand objects and no cycles; the default looks for cycles in all of them
    gc.set_threshold(20_000, 20, 20)
    with _held_is_for_now():
        service.run(lambda drain: hub_service.serve(configuration, drain))


@cli.group()
def agency() -> None:
    """Các cơ quan tham gia trục."""


@agency.command()
@_DIR
@click.argument("code")
@click.option("--name", default="", help="Tên cơ quan.")
@click.option(
    "--kind",
    type=click.Choice(["state", "member"]),
    default=None,
    help="Cơ quan nhà nước (state, mặc định khi thêm mới) hay đơn vị tham gia (member).",
)
@click.option("--alias", "aliases", multiple=True, help="Mã khác cùng chỉ cơ quan này.")
@click.option("--domain", default=None, help="Tên miền của cơ quan (Điều 7.1).")
@click.option(
    "--endpoint", default=None, help="Địa chỉ dịch vụ gói B của cơ quan, để trục gọi tới; để trống là thôi gọi."
)
@click.option("--endpoint-token", default=None, help="Tệp chứa mã truy cập dịch vụ đó.")
@click.option(
    "--seal-required/--no-seal-required", default=None, help="Chỉ nhận văn bản đã ký số của cơ quan này, hay không."
)
def add(folder: Path, code: str, **options: Any) -> None:  # noqa: ANN401 -- options pass through by name
    """Thêm (hoặc sửa) một cơ quan và in mã tham gia dùng một lần. Khi sửa, điều không nêu thì giữ nguyên."""
    configuration = _load(folder)
    invitation = _administer(configuration, "add", code=code, **options)
    click.echo(f"Mã tham gia của {code} (dùng một lần, trong {configuration.invitation_days} ngày):")
    click.echo(f"  {invitation}")
    click.echo(f"Tại cơ quan, chạy: lienthong-edge join {configuration.public_url} {invitation}")


@agency.command()
@_DIR
@click.argument("code")
def invite(folder: Path, code: str) -> None:
    """In mã tham gia mới cho một cơ quan đã có (thay máy, mất khóa)."""
    click.echo(_administer(_load(folder), "invite", code=code))


@agency.command("list")
@_DIR
@_JSON
def list_agencies(folder: Path, *, as_json: bool) -> None:
    """Danh sách cơ quan, trạng thái và số văn bản đang chờ nhận."""
    import msgspec

    lines = _administer(_load(folder), "lines")
    if as_json:
        click.echo(msgspec.json.encode(lines).decode())
        return
    states = {"invited": "chưa tham gia", "active": "hoạt động", "suspended": "tạm dừng"}
    _table(
        ["Mã", "Tên", "Trạng thái", "Đang chờ", "Chờ lâu nhất"],
        [[one["code"], one["name"], states[one["state"]], str(one["waiting"]), _age(one["oldest"])] for one in lines],
    )


@agency.command()
@_DIR
@click.argument("code")
def suspend(folder: Path, code: str) -> None:
    """Tạm dừng một cơ quan, có hiệu lực ngay; văn bản gửi đến cơ quan vẫn được giữ."""
    _administer(_load(folder), "suspend", code=code)
    click.echo(f"Đã tạm dừng {code}.")


@agency.command()
@_DIR
@click.argument("code")
def resume(folder: Path, code: str) -> None:
    """Cho một cơ quan hoạt động trở lại."""
    _administer(_load(folder), "resume", code=code)
    click.echo(f"{code} hoạt động trở lại.")


@agency.command()
@_DIR
@click.argument("code")
@click.option("--revoke", is_flag=True, help="Hủy mã truy cập đang dùng.")
def token(folder: Path, code: str, *, revoke: bool) -> None:
    """Cấp mã truy cập gói B cho phần mềm của cơ quan gọi thẳng tới trục (chỉ in một lần)."""
    import secrets

    if revoke:
        _administer(_load(folder), "revoke_token", code=code)
        click.echo(f"Đã hủy mã truy cập của {code}.")
        return
    made = secrets.token_urlsafe(32)
    _administer(_load(folder), "set_token", code=code, token=made)
    click.echo(made)


@cli.command()
@_DIR
@_JSON
def dead(folder: Path, *, as_json: bool) -> None:
    """Các lần giao bị từ chối, cần người xử lý."""
    import msgspec

    rows = _administer(_load(folder), "dead")
    if as_json:
        click.echo(msgspec.json.encode(rows).decode())
        return
    _table(
        ["Số", "Nơi nhận", "Số lần thử", "Lỗi", "Nghĩa là"],
        [
            [str(r["message"]), r["recipient"], str(r["attempts"]), r["last_error"], _sentence(r["last_error"])]
            for r in rows
        ],
    )


@cli.command()
@_DIR
@click.argument("number", type=int)
@click.argument("code")
def release(folder: Path, number: int, code: str) -> None:
    """Cho giao lại một văn bản đã bị từ chối."""
    _administer(_load(folder), "release", message=number, code=code)
    click.echo(f"Văn bản số {number} sẽ được giao lại cho {code}.")


@cli.command()
@_DIR
@_JSON
def status(folder: Path, *, as_json: bool) -> None:
    """Trục đang chạy không, sẵn sàng không, hàng đợi ra sao. Mã kết thúc 1 khi không sẵn sàng."""
    import msgspec

    from hub.doctor import ready

    configuration = _load(folder)
    answer = ready(configuration)
    queues = [one for one in _administer(configuration, "lines") if one["waiting"]]
    if as_json:
        click.echo(msgspec.json.encode({**answer, "queues": queues}).decode())
    else:
        running = "đang chạy" if answer["running"] else "không chạy"
        click.echo(f"Trục {configuration.name}: {running}, {'sẵn sàng' if answer['ready'] else 'CHƯA sẵn sàng'}.")
        for problem in answer["problems"]:
            click.echo(f"  - {problem}")
        _table(
            ["Nơi nhận", "Đang chờ", "Chờ lâu nhất"],
            [[q["code"], str(q["waiting"]), _age(q["oldest"])] for q in queues],
        )
    if not answer["ready"]:
        raise click.exceptions.Exit(commands.EXIT_FAILED)


@cli.command()
@_DIR
def doctor(folder: Path) -> None:
    """Khám máy: đồng hồ, ổ đĩa, chứng thư, sổ cái, kho tệp, cổng. Mỗi dòng là ĐẠT hoặc LỖI kèm cách xử lý."""
    from hub.doctor import examine

    findings = examine(_load(folder))
    for finding in findings:
        click.echo(f"{'ĐẠT ' if finding.good else 'LỖI '} {finding.subject}: {finding.sentence}")
    if not all(finding.good for finding in findings):
        raise click.exceptions.Exit(commands.EXIT_FAILED)


@cli.group("config")
def config_group() -> None:
    """Cấu hình."""


@config_group.command("show")
@_DIR
@click.option("--defaults", is_flag=True, help="In giá trị mặc định, không đọc tệp.")
def config_show(folder: Path, *, defaults: bool) -> None:
    """In mọi khóa của hub.toml với ý nghĩa, đơn vị và giá trị."""
    from hub.configuration import HubConfiguration
    from runtime import config

    click.echo(config.show(HubConfiguration, None if defaults else _load(folder)))


def _load(folder: Path) -> HubConfiguration:
    from hub.configuration import FILE_NAME, HubConfiguration
    from runtime import config

    return config.load(folder / FILE_NAME, HubConfiguration)


def _administer(configuration: HubConfiguration, operation: str, **arguments: object) -> Any:  # noqa: ANN401 -- each operation's own
    """Through the running hub, or directly on the ledger when none runs."""
    import asyncio

    from hub import offline

    with _held_is_for_now():
        return asyncio.run(offline.administer(configuration, operation, arguments))


@contextmanager
def _held_is_for_now() -> Iterator[None]:
    """A ledger in use is no wrong configuration: the unit tries again after 1, and would not after 2."""
    from runtime.lock import HeldError

    try:
        yield
    except HeldError as error:
        raise click.ClickException(str(error)) from error


def _table(header: list[str], rows: list[list[str]]) -> None:
    if not rows:
        click.echo("(không có)")
        return
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for line in (header, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _age(since: int | None) -> str:
    if since is None:
        return ""
    minutes = int((datetime.now(UTC).timestamp() - since / 1000) // 60)
    days, minutes = divmod(minutes, 1440)
    hours, minutes = divmod(minutes, 60)
    return (
        " ".join(f"{n} {unit}" for n, unit in ((days, "ngày"), (hours, "giờ"), (minutes, "phút")) if n) or "dưới 1 phút"
    )


def _sentence(code: str) -> str:
    from protocol.errors import kind_of

    return kind_of(code).sentence


def main() -> None:
    """Entry point."""
    commands.run(cli)
