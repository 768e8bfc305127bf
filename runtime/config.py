"""Configuration: one TOML file into one msgspec struct, every error naming the key and what was expected.

A field documents itself: `Annotated[int, Meta(description="…", extra={"unit": "giây"})]`; `describe` and `show` print
what stands there, so no key exists that the manual does not know.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import inspect

T = TypeVar("T", bound=msgspec.Struct)

_TYPE_NAMES: Final = {
    "int": "số nguyên",
    "float": "số",
    "str": "chuỗi ký tự",
    "bool": "true hoặc false",
    "array": "danh sách",
    "object": "bảng",
    "null": "để trống",
}


class ConfigError(Exception):
    """Bad configuration; the message is Vietnamese and names the file and key. The command ends with exit code 2."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One key as the manual shows it. `default` is a TOML literal, "" when there is none; `key` is dotted."""

    key: str
    type: str
    meaning: str
    unit: str
    default: str
    required: bool


def load(path: Path, type_: type[T]) -> T:
    """The file as an instance of `type_`; relative paths in it are relative to the file's folder, defaults included.

    Raises `ConfigError`: no such file, not TOML, unknown key, missing key, wrong type, out of range.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"Không đọc được tệp cấu hình {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"Tệp cấu hình {path} không phải văn bản UTF-8.") from error
    return parse(text, type_, source=str(path), folder=path.absolute().parent)


def parse(text: str, type_: type[T], *, source: str, folder: Path) -> T:
    """TOML text as an instance of `type_`; `source` names it in errors, `folder` anchors relative paths."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: không phải TOML hợp lệ ({error}).") from error
    for key, known in _unknown_keys(inspect.type_info(type_), data, ""):
        near = difflib.get_close_matches(key.rsplit(".", 1)[-1], known, n=1)
        hint = f" Có phải ý là `{near[0]}`?" if near else f" Các khóa có ở đây: {', '.join(sorted(known))}."
        raise ConfigError(f"{source}: không có khóa `{key}`.{hint}")
    try:
        value = msgspec.convert(data, type_, builtin_types=(datetime, date, time), dec_hook=_from_toml)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_translate(str(error))}") from error
    return _anchored(value, folder)


def describe(type_: type[msgspec.Struct]) -> tuple[Setting, ...]:
    """Every key of `type_`, nested tables included, in the order of declaration."""
    return tuple(_settings(inspect.type_info(type_), ""))


def show(type_: type[msgspec.Struct], value: msgspec.Struct | None = None) -> str:
    """TOML text with every key: a comment with meaning, unit and default, then its value."""
    lines: list[str] = []
    table = ""
    for setting in describe(type_):
        head, _, leaf = setting.key.rpartition(".")
        if head != table:
            lines.append(
                f"[{head.removesuffix('[]')}]" if not head.endswith("[]") else f"[[{head.removesuffix('[]')}]]"
            )
            table = head
        lines.append(_comment(setting))
        current = _literal(_value_at(value, setting.key)) if value is not None else setting.default
        lines.append(f"{leaf} = {current}" if current else f"# {leaf} =")
        lines.append("")
    return "\n".join(lines)


def _comment(setting: Setting) -> str:
    unit = f" ({setting.unit})" if setting.unit else ""
    default = "bắt buộc" if setting.required else f"mặc định {setting.default or 'để trống'}"
    return f"# {setting.meaning or setting.key}{unit}; {setting.type}; {default}"


def _value_at(value: object, key: str) -> object:
    for part in key.split("."):
        if value is None or part.endswith("[]"):
            return None
        value = getattr(value, part, None)
    return value


def _struct_of(info: inspect.Type) -> inspect.StructType | None:
    """The struct inside metadata and unions with None, if there is one."""
    if isinstance(info, inspect.Metadata):
        return _struct_of(info.type)
    if isinstance(info, inspect.UnionType):
        return next((found for found in map(_struct_of, info.types) if found), None)
    return info if isinstance(info, inspect.StructType) else None


def _item_of(info: inspect.Type) -> inspect.StructType | None:
    """The struct inside a list of structs (TOML array of tables), if it is one."""
    if isinstance(info, inspect.Metadata):
        return _item_of(info.type)
    if isinstance(info, inspect.ListType | inspect.VarTupleType):
        return _struct_of(info.item_type)
    return None


def _unknown_keys(info: inspect.Type, data: object, prefix: str) -> Iterator[tuple[str, Sequence[str]]]:
    struct = _struct_of(info)
    if struct is None or not isinstance(data, Mapping):
        return
    known = {field.encode_name: field for field in struct.fields}
    for key, value in data.items():
        if key not in known:
            yield prefix + key, tuple(known)
            continue
        yield from _unknown_keys(known[key].type, value, f"{prefix}{key}.")
        item = _item_of(known[key].type)
        for entry in value if item and isinstance(value, list) else ():
            yield from _unknown_keys(item or known[key].type, entry, f"{prefix}{key}[].")


def _settings(info: inspect.Type, prefix: str) -> Iterator[Setting]:
    struct = _struct_of(info)
    nested: list[tuple[inspect.Type, str]] = []
    for field in struct.fields if struct else ():
        item = _item_of(field.type)
        if item is not None:
            nested.append((item, f"{prefix}{field.encode_name}[]."))
        elif _struct_of(field.type) is not None:
            nested.append((field.type, f"{prefix}{field.encode_name}."))
        else:
            yield _setting(field, prefix)
    for inner, inner_prefix in nested:  # TOML: plain keys stand before the tables
        yield from _settings(inner, inner_prefix)


def _setting(field: inspect.Field, prefix: str) -> Setting:
    meaning, unit, inner = "", "", field.type
    if isinstance(inner, inspect.Metadata):
        meaning = str((inner.extra_json_schema or {}).get("description", ""))
        unit = str((inner.extra or {}).get("unit", ""))
        inner = inner.type
    default = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    return Setting(
        key=prefix + field.encode_name,
        type=_type_name(inner),
        meaning=meaning,
        unit=unit,
        default="" if default is msgspec.NODEFAULT else _literal(default),
        required=field.required,
    )


def _type_name(info: inspect.Type) -> str:  # noqa: PLR0911 - a table, one row per type
    match info:
        case inspect.Metadata():
            return _type_name(info.type)
        case inspect.BoolType():
            return _TYPE_NAMES["bool"]
        case inspect.IntType() | inspect.FloatType() | inspect.StrType():
            return _TYPE_NAMES[type(info).__name__.removesuffix("Type").lower()] + _bounds(info)
        case inspect.ListType() | inspect.VarTupleType():
            return f"danh sách {_type_name(info.item_type)}"
        case inspect.LiteralType():
            return "một trong " + ", ".join(_literal(value) for value in info.values)
        case inspect.EnumType():
            return "một trong " + ", ".join(_literal(member.value) for member in info.cls)
        case inspect.UnionType():
            return " hoặc ".join(_type_name(one) for one in info.types if not isinstance(one, inspect.NoneType))
        case inspect.CustomType() if issubclass(info.cls, Path):
            return "đường dẫn"
        case _:
            return type(info).__name__.removesuffix("Type").lower()


def _bounds(info: inspect.IntType | inspect.FloatType | inspect.StrType) -> str:
    if isinstance(info, inspect.StrType):
        return f" (ít nhất {info.min_length} ký tự)" if info.min_length else ""
    pairs = ((">=", info.ge), (">", info.gt), ("<=", info.le), ("<", info.lt))
    text = ", ".join(f"{sign} {bound:g}" for sign, bound in pairs if bound is not None)
    return f" {text}" if text else ""


def _literal(value: object) -> str:  # noqa: PLR0911 - a table, one row per type
    """A TOML literal; "" for what TOML cannot say (None)."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Enum():
            return _literal(value.value)
        case int() | float():
            return str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case list() | tuple() | set() | frozenset():
            return "[" + ", ".join(_literal(one) for one in value) + "]"
        case _:
            return json.dumps(str(value), ensure_ascii=False)


def _from_toml(type_: type, value: object) -> object:
    if issubclass(type_, Path) and isinstance(value, str):
        return type_(value)
    raise TypeError(f"Expected `str`, got `{type(value).__name__}`")


def _anchored(value: T, folder: Path) -> T:
    """`value` with every relative path, also inside tables and lists, put under `folder`."""
    changes: dict[str, object] = {}
    for name in value.__struct_fields__:
        old = getattr(value, name)
        new = _anchored_item(old, folder)
        if new is not old:
            changes[name] = new
    return msgspec.structs.replace(value, **changes) if changes else value


def _anchored_item(item: object, folder: Path) -> object:
    if isinstance(item, Path):
        return folder / item.expanduser()
    if isinstance(item, msgspec.Struct):
        return _anchored(item, folder)
    if isinstance(item, list | tuple):
        return type(item)(_anchored_item(one, folder) for one in item)
    return item


def _translate(message: str) -> str:
    """The English sentence of msgspec as a Vietnamese one that names the key."""
    body, _, where = message.partition(" - at ")
    key = where.strip("`").removeprefix("$").removeprefix(".") or ""
    found = re.match(r"Object missing required field `(.+)`", body)
    if found:
        return f"thiếu khóa bắt buộc `{f'{key}.' if key else ''}{found[1]}`."
    found = re.match(r"Expected `([^`]+)`(?:, got `([^`]+)`)?(.*)", body)
    if found:
        wanted = " hoặc ".join(_TYPE_NAMES.get(one.strip(), one.strip()) for one in found[1].split("|"))
        got = f", nhưng nhận được {_TYPE_NAMES.get(found[2], found[2])}" if found[2] else ""
        return f"khóa `{key}` phải là {wanted}{found[3].replace('of length', 'có độ dài')}{got}."
    found = re.match(r"Invalid enum value (.+)", body)
    if found:
        return f"khóa `{key}` không nhận giá trị {found[1]}."
    return f"khóa `{key}` không hợp lệ ({body})."
