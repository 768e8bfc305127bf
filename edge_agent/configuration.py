"""What `edge.toml` may say: every key with its meaning, unit and default; `lienthong-edge config show` prints it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge_agent.places import Places
from protocol.text import Encoding
from runtime import config

MEBIBYTE = 1 << 20


class Agency(msgspec.Struct, frozen=True, kw_only=True):
    """Whose agent this is; written by `join`."""

    code: Annotated[str, Meta(min_length=1, max_length=35, description="Mã định danh cơ quan theo QĐ 20/2020")]
    name: Annotated[str, Meta(description="Tên cơ quan")] = ""


class Hub(msgspec.Struct, frozen=True, kw_only=True):
    """The province's hub."""

    url: Annotated[str, Meta(pattern="^https://", description="Địa chỉ trục liên thông của tỉnh")]
    timeout: Annotated[
        float,
        Meta(ge=1, description="Chờ trục trả lời tối đa kể từ lần nhận gần nhất", extra={"unit": "giây"}),
    ] = 60.0
    poll_wait: Annotated[
        float, Meta(ge=0, le=300, description="Thời gian giữ một lần hỏi hộp thư (long poll)", extra={"unit": "giây"})
    ] = 25.0
    retry_first: Annotated[
        float, Meta(gt=0, description="Chờ trước lần gửi lại đầu tiên; các lần sau gấp đôi", extra={"unit": "giây"})
    ] = 1.0
    retry_longest: Annotated[
        float, Meta(gt=0, description="Chờ lâu nhất giữa hai lần gửi lại", extra={"unit": "giây"})
    ] = 60.0
    batch: Annotated[
        int, Meta(ge=1, le=500, description="Số văn bản lấy về trong một lần hỏi", extra={"unit": "văn bản"})
    ] = 50
    sending: Annotated[int, Meta(ge=1, le=16, description="Số văn bản gửi đồng thời", extra={"unit": "văn bản"})] = 2
    upload_from: Annotated[
        int,
        Meta(ge=0, description="Tệp từ cỡ này được tải lên riêng, đứt thì nối tiếp", extra={"unit": "byte"}),
    ] = 8 * MEBIBYTE


class Local(msgspec.Struct, frozen=True, kw_only=True):
    """The service for programs on this machine."""

    host: Annotated[str, Meta(description="Địa chỉ lắng nghe; chỉ nên là máy này")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Cổng dịch vụ cho phần mềm QLVB (0: tự chọn)")] = 8765
    pull: Annotated[
        bool, Meta(description="Phần mềm QLVB tự hỏi văn bản đến qua dịch vụ này (GetPendingDocumentIds, GetDocument)")
    ] = True
    encoding: Annotated[
        Literal["auto", "unicode", "tcvn3", "vni"],
        Meta(description="Bảng mã của phần mềm QLVB, cho những chữ mà tự nó không cho biết (auto: chưa rõ)"),
    ] = "auto"

    @property
    def declared(self) -> Encoding | None:
        """The encoding of the local system, when somebody said it."""
        return None if self.encoding == "auto" else self.encoding


class Folders(msgspec.Struct, frozen=True, kw_only=True):
    """The watched folders."""

    enabled: Annotated[bool, Meta(description="Dùng thư mục folders/outgoing và folders/incoming")] = True
    interval: Annotated[float, Meta(gt=0, description="Chu kỳ quét thư mục", extra={"unit": "giây"})] = 1.0


class Soap(msgspec.Struct, frozen=True, kw_only=True):
    """The local system's own package B service, which this agent calls."""

    address: Annotated[str, Meta(description="Địa chỉ dịch vụ edXML của phần mềm QLVB; để trống: không gọi")] = ""
    wsdl: Annotated[
        str, Meta(description="Địa chỉ WSDL; để trống: lấy `address` thêm ?wsdl, không có thì dùng WSDL của ta")
    ] = ""
    organ_id: Annotated[str, Meta(description="OrganId khi gọi phần mềm QLVB; để trống: mã cơ quan")] = ""
    token_file: Annotated[
        Path | None, Meta(description="Tệp chứa Token mà phần mềm QLVB cấp (chỉ chủ tệp đọc được)")
    ] = None
    timeout: Annotated[float, Meta(ge=1, description="Chờ phần mềm QLVB trả lời tối đa", extra={"unit": "giây"})] = 60.0
    retry_first: Annotated[
        float, Meta(gt=0, description="Chờ trước lần chuyển lại đầu tiên; các lần sau gấp đôi", extra={"unit": "giây"})
    ] = 2.0
    retry_longest: Annotated[
        float, Meta(gt=0, description="Chờ lâu nhất giữa hai lần chuyển lại", extra={"unit": "giây"})
    ] = 300.0


class Logging(msgspec.Struct, frozen=True, kw_only=True):
    """The agent's own log, on stderr."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Mức ghi nhật ký")] = "info"
    json: Annotated[bool, Meta(description="Nhật ký dạng JSON mỗi dòng; false: dạng người đọc")] = True


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What is refused at the door."""

    attachment: Annotated[int, Meta(gt=0, description="Cỡ lớn nhất của một tệp đính kèm", extra={"unit": "byte"})] = (
        4096 * MEBIBYTE
    )
    message: Annotated[int, Meta(gt=0, description="Cỡ lớn nhất của cả gói tin", extra={"unit": "byte"})] = (
        8192 * MEBIBYTE
    )
    parts: Annotated[int, Meta(gt=0, description="Số tệp đính kèm nhiều nhất", extra={"unit": "tệp"})] = 100
    disk_free: Annotated[int, Meta(ge=0, description="Dừng nhận khi đĩa còn trống ít hơn", extra={"unit": "byte"})] = (
        256 * MEBIBYTE
    )


class EdgeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    agency: Agency
    hub: Hub
    local: Local = Local()
    folders: Folders = Folders()
    soap: Soap = Soap()
    limits: Limits = Limits()
    logging: Logging = Logging()


def load(places: Places) -> EdgeConfig:
    """The agent's configuration. Raises `runtime.config.ConfigError`."""
    return config.load(places.configuration, EdgeConfig)


def initial(agency: Agency, hub_url: str) -> str:
    """TOML text of a fresh agent: every key, explained, with its default."""
    return config.show(EdgeConfig, EdgeConfig(agency=agency, hub=Hub(url=hub_url)))
