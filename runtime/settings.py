"""What a configuration struct says about itself: every key with meaning, type, unit and default, and as TOML text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from enum import Enum
from typing import Final

import msgspec
from msgspec import inspect

TYPE_NAMES: Final = {
    "int": "số nguyên",
    "float": "số",
    "str": "chuỗi ký tự",
    "bool": "true hoặc false",
    "array": "danh sách",
    "object": "bảng",
    "null": "để trống",
}
"""The types of TOML, by the names that msgspec gives them, in Vietnamese."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One key as the manual shows it.

    `key` is dotted, `[]` marks a list of tables; `default` is a TOML literal, "" when there is none.
    """

    key: str
    type: str
    meaning: str
    unit: str
    default: str
    required: bool


def describe(type_: type[msgspec.Struct]) -> tuple[Setting, ...]:
    """Every key of `type_`, nested tables included; plain keys stand before the tables, as in TOML."""
    return tuple(_settings(_struct(type_), ""))


def show(type_: type[msgspec.Struct], value: msgspec.Struct | None = None) -> str:
    """TOML text with every key: a comment with meaning, type, unit and default, then the value of it in `value`.

    Without `value` the defaults stand there. What has no value, or is an example of a list's entry, is commented out,
    so that the text reads back to the same values.
    """
    return "\n".join(_table(_struct(type_), value, "", live=True))


def struct_of(info: inspect.Type) -> inspect.StructType | None:
    """The struct inside metadata and unions with None, if there is one."""
    if isinstance(info, inspect.Metadata):
        return struct_of(info.type)
    if isinstance(info, inspect.UnionType):
        return next((found for found in map(struct_of, info.types) if found), None)
    return info if isinstance(info, inspect.StructType) else None


def item_of(info: inspect.Type) -> inspect.StructType | None:
    """The struct inside a list of structs (TOML array of tables), if it is one."""
    if isinstance(info, inspect.Metadata):
        return item_of(info.type)
    if isinstance(info, inspect.ListType | inspect.VarTupleType):
        return struct_of(info.item_type)
    return None


def _struct(type_: type[msgspec.Struct]) -> inspect.StructType:
    info = inspect.type_info(type_)
    assert isinstance(info, inspect.StructType)
    return info


def _settings(struct: inspect.StructType, prefix: str) -> Iterator[Setting]:
    for field in _plain(struct):
        yield _setting(field, prefix)
    for field, inner, mark in _tables(struct):
        yield from _settings(inner, f"{prefix}{field.encode_name}{mark}.")


def _table(struct: inspect.StructType, value: object, prefix: str, *, live: bool) -> Iterator[str]:
    for field in _plain(struct):
        literal = _literal(_current(field, value))
        yield _comment(_setting(field, prefix))
        yield f"{'' if live and literal else '# '}{field.encode_name} = {literal}".rstrip()
        yield ""
    for field, inner, mark in _tables(struct):
        current, path = _current(field, value), f"{prefix}{field.encode_name}"
        entries: Sequence[object] = (current,)
        if mark:
            entries = current if isinstance(current, list | tuple) and current else (None,)
        for entry in entries:
            shown = live and (entry is not None or (field.required and not mark))
            yield f"{'' if shown else '# '}{f'[[{path}]]' if mark else f'[{path}]'}"
            yield from _table(inner, entry, f"{path}.", live=shown)


def _plain(struct: inspect.StructType) -> Iterator[inspect.Field]:
    return (field for field in struct.fields if struct_of(field.type) is None and item_of(field.type) is None)


def _tables(struct: inspect.StructType) -> Iterator[tuple[inspect.Field, inspect.StructType, str]]:
    """The fields that are tables, with the struct inside and `[]` for a list of them."""
    for field in struct.fields:
        item = item_of(field.type)
        inner = item or struct_of(field.type)
        if inner is not None:
            yield field, inner, "[]" if item else ""


def _current(field: inspect.Field, value: object) -> object:
    return _default(field) if value is None else getattr(value, field.name)


def _default(field: inspect.Field) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default is msgspec.NODEFAULT else field.default


def _comment(setting: Setting) -> str:
    unit = f" ({setting.unit})" if setting.unit else ""
    default = "bắt buộc" if setting.required else f"mặc định {setting.default or 'để trống'}"
    return f"# {setting.meaning or setting.key}{unit}; {setting.type}; {default}"


def _setting(field: inspect.Field, prefix: str) -> Setting:
    meaning, unit, inner = "", "", field.type
    if isinstance(inner, inspect.Metadata):
        meaning = str((inner.extra_json_schema or {}).get("description", ""))
        unit = str((inner.extra or {}).get("unit", ""))
        inner = inner.type
    return Setting(
        key=prefix + field.encode_name,
        type=_type_name(inner),
        meaning=meaning,
        unit=unit,
        default=_literal(_default(field)),
        required=field.required,
    )


def _type_name(info: inspect.Type) -> str:  # noqa: PLR0911 - a table, one row per type
    match info:
        case inspect.Metadata():
            return _type_name(info.type)
        case inspect.BoolType():
            return TYPE_NAMES["bool"]
        case inspect.IntType() | inspect.FloatType() | inspect.StrType():
            return TYPE_NAMES[type(info).__name__.removesuffix("Type").lower()] + _bounds(info)
        case inspect.ListType() | inspect.VarTupleType():
            return f"danh sách {_type_name(info.item_type)}"
        case inspect.LiteralType():
            return "một trong " + ", ".join(_literal(value) for value in info.values)
        case inspect.EnumType():
            return "một trong " + ", ".join(_literal(member.value) for member in info.cls)
        case inspect.UnionType():
            return " hoặc ".join(_type_name(one) for one in info.types if not isinstance(one, inspect.NoneType))
        case inspect.CustomType() if info.cls.__name__.endswith("Path"):
            return "đường dẫn"
        case _:
            return type(info).__name__.removesuffix("Type").lower()


def _bounds(info: inspect.IntType | inspect.FloatType | inspect.StrType) -> str:
    if isinstance(info, inspect.StrType):
        return f" (ít nhất {info.min_length} ký tự)" if info.min_length else ""
    pairs = ((">=", info.ge), (">", info.gt), ("<=", info.le), ("<", info.lt))
    text = ", ".join(f"{sign} {bound:.12g}" for sign, bound in pairs if bound is not None)
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
