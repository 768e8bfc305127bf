"""Configuration: one TOML file into one msgspec struct, every error naming the key and what was expected.

A field documents itself: `Annotated[int, Meta(description="…", extra={"unit": "giây"})]`; `describe` and `show` print
what stands there, so no key exists that the manual does not know.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import inspect

from runtime.settings import TYPE_NAMES, Setting, describe, item_of, show, struct_of

T = TypeVar("T", bound=msgspec.Struct)

__all__ = ["ConfigError", "Setting", "describe", "load", "parse", "show"]


class ConfigError(Exception):
    """Bad configuration; the message is Vietnamese and names the file and key. The command ends with exit code 2."""


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


def _unknown_keys(info: inspect.Type, data: object, prefix: str) -> Iterator[tuple[str, Sequence[str]]]:
    struct = struct_of(info)
    if struct is None or not isinstance(data, Mapping):
        return
    known = {field.encode_name: field for field in struct.fields}
    for key, value in data.items():
        if key not in known:
            yield prefix + key, tuple(known)
            continue
        yield from _unknown_keys(known[key].type, value, f"{prefix}{key}.")
        item = item_of(known[key].type)
        for entry in value if item and isinstance(value, list) else ():
            yield from _unknown_keys(item or known[key].type, entry, f"{prefix}{key}[].")


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
        wanted = " hoặc ".join(TYPE_NAMES.get(one.strip(), one.strip()) for one in found[1].split("|"))
        got = f", nhưng nhận được {TYPE_NAMES.get(found[2], found[2])}" if found[2] else ""
        limit = found[3].replace("of length", "có độ dài").replace("matching regex", "theo mẫu")
        return f"khóa `{key}` phải là {wanted}{limit}{got}."
    found = re.match(r"Invalid enum value (.+)", body)
    if found:
        return f"khóa `{key}` không nhận giá trị {found[1]}."
    return f"khóa `{key}` không hợp lệ ({body})."
