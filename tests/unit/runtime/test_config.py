from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from runtime import config
from runtime.config import ConfigError, Setting


class Listen(msgspec.Struct, frozen=True, kw_only=True):
    host: Annotated[str, msgspec.Meta(description="Địa chỉ lắng nghe")] = "0.0.0.0"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535, description="Cổng", extra={"unit": "cổng TCP"})] = 8443


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    certificate: Path | None = None


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    data: Annotated[Path, msgspec.Meta(description="Thư mục dữ liệu")] = Path("data")
    name: Annotated[str, msgspec.Meta(min_length=1, description="Tên")]
    level: Literal["info", "debug"] = "info"
    wait: Annotated[float, msgspec.Meta(gt=0, description="Thời gian chờ", extra={"unit": "giây"})] = 30.0
    limit: int | None = None
    listen: Listen = Listen()
    peers: tuple[Peer, ...] = ()


def read(text: str) -> Sample:
    return config.parse(text, Sample, source="hub.toml", folder=Path("/etc/lienthong"))


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        read(text)
    return str(raised.value)


def test_values_defaults_and_nested_tables_are_read():
    sample = read('name = "truc"\nwait = 5\n[listen]\nport = 9000\n[[peers]]\ncode = "H21.16"\n')
    assert (sample.name, sample.wait, sample.listen) == ("truc", 5.0, Listen(port=9000))
    assert sample.peers == (Peer(code="H21.16"),)
    assert sample.limit is None


def test_relative_paths_are_anchored_at_the_file_also_defaults_and_inside_tables():
    sample = read('name = "x"\n[[peers]]\ncode = "a"\ncertificate = "peers/a.pem"\n')
    assert sample.data == Path("/etc/lienthong/data")
    assert sample.peers[0].certificate == Path("/etc/lienthong/peers/a.pem")
    assert read('name = "x"\ndata = "/var/lib/x"').data == Path("/var/lib/x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("hub.toml", "thiếu khóa bắt buộc `name`")),
        ("name = 7", ("`name`", "chuỗi ký tự", "số nguyên")),
        ('name = ""', ("`name`", "chuỗi ký tự", "có độ dài >= 1")),
        ('name = "x"\nwait = "soon"', ("`wait`", "phải là số", "chuỗi ký tự")),
        ('name = "x"\nwait = 0', ("`wait`", "> 0")),
        ('name = "x"\nlevel = "loud"', ("`level`", "'loud'")),
        ('name = "x"\ndata = 3', ("`data`", "chuỗi ký tự", "số nguyên")),
        ('name = "x"\nlimit = true', ("`limit`", "số nguyên")),
        ('name = "x"\nlisten = 1', ("`listen`", "bảng")),
        ('name = "x"\n[listen]\nport = 0', ("`listen.port`", ">= 1")),
        ('name = "x"\n[listen]\nport = 1.5', ("`listen.port`", "số nguyên")),
        ('name = "x"\n[listen]\nprot = 1', ("`listen.prot`", "`port`")),
        ('name = "x"\nunheard = 1', ("`unheard`", "data, level, limit")),
        ('name = "x"\n[[peers]]\ncode = "a"\n[[peers]]\n', ("peers[1].code",)),
        ('name = "x"\n[[peers]]\ncode = "a"\nkode = 1', ("`peers[].kode`", "`code`")),
        ("name = ", ("hub.toml", "TOML")),
        ('name = "x"\nname = "y"', ("TOML",)),
    ],
)
def test_every_mistake_names_the_key_and_what_was_expected(text: str, words: tuple[str, ...]):
    said = complaint(text)
    for word in words:
        assert word in said


def test_missing_or_unreadable_file_is_said_with_its_name(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"hub\.toml"):
        config.load(tmp_path / "hub.toml", Sample)
    (tmp_path / "hub.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match="UTF-8"):
        config.load(tmp_path / "hub.toml", Sample)


def test_description_has_every_key_with_meaning_unit_and_default():
    settings = {setting.key: setting for setting in config.describe(Sample)}
    assert list(settings) == [
        "data",
        "name",
        "level",
        "wait",
        "limit",
        "listen.host",
        "listen.port",
        "peers[].code",
        "peers[].certificate",
    ]
    assert settings["wait"] == Setting(
        key="wait", type="số > 0", meaning="Thời gian chờ", unit="giây", default="30.0", required=False
    )
    assert settings["name"].required
    assert settings["level"].type == 'một trong "debug", "info"'
    assert settings["listen.port"].default == "8443"
    assert settings["data"].type == "đường dẫn"


@pytest.mark.parametrize("peers", ["", '[[peers]]\ncode = "a"\n[[peers]]\ncode = "b"\ncertificate = "/b.pem"\n'])
def test_shown_text_is_a_file_that_reads_back_to_the_same_values(tmp_path: Path, peers: str):
    sample = config.parse(f'name = "Trục “A”"\nlimit = 4\n{peers}', Sample, source="x", folder=tmp_path)
    text = config.show(Sample, sample)
    assert config.parse(text, Sample, source="shown", folder=tmp_path) == sample
    assert "Thời gian chờ (giây); số > 0; mặc định 30.0" in text


def test_shown_defaults_need_only_what_is_required(tmp_path: Path):
    text = config.show(Sample)
    assert "# name =\n" in text
    assert "# [[peers]]\n" in text
    filled = text.replace("# name =\n", 'name = "x"\n')
    assert config.parse(filled, Sample, source="shown", folder=tmp_path) == config.parse(
        'name = "x"', Sample, source="x", folder=tmp_path
    )


def test_pattern_is_said_in_vietnamese(tmp_path: Path):
    class Strict(msgspec.Struct):
        url: Annotated[str, msgspec.Meta(pattern="^https://")]

    with pytest.raises(ConfigError, match="theo mẫu"):
        config.parse('url = "http://x"', Strict, source="x", folder=tmp_path)
