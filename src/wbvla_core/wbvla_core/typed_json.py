"""Strict reading and writing of frozen dataclasses as JSON: every key known, present, of its type, every
number finite."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, TypeVar

T = TypeVar("T")


class TypedJsonError(ValueError):
    """A value does not fit its type; the text starts with the path of the key."""


def from_json(cls: type[T], data: Any, where: str) -> T:
    """An instance of dataclass ``cls`` from parsed JSON.

    Raises:
        TypedJsonError: a key is missing or unknown, or a value has the wrong type; ``where`` is the path of
        ``data``.
    """
    if not isinstance(data, dict):
        raise TypedJsonError(f"{where}: expected an object, got {_kind(data)}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise TypedJsonError(f"{where}.{unknown[0]}: unknown key; known are {', '.join(fields)}")
    missing = [name for name in fields if name not in data]
    if missing:
        raise TypedJsonError(f"{where}.{missing[0]}: missing")
    values = {name: _value(hints[name], data[name], f"{where}.{name}") for name in fields}
    try:
        return cls(**values)
    except TypedJsonError:
        raise
    except ValueError as error:
        raise TypedJsonError(f"{where}: {error}") from None


def to_json(value: Any) -> Any:
    """Plain JSON data of a dataclass, tuple, dict or scalar."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    return value


def _value(hint: Any, data: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if data is None and type(None) in arguments:
            return None
        return _value(next(a for a in arguments if a is not type(None)), data, where)
    if origin is tuple:
        return _tuple(arguments, data, where)
    if origin is dict:
        if not isinstance(data, dict):
            raise TypedJsonError(f"{where}: expected an object, got {_kind(data)}")
        return {key: _value(arguments[1], item, f"{where}.{key}") for key, item in data.items()}
    if dataclasses.is_dataclass(hint):
        return from_json(hint, data, where)
    if hint is float:
        if isinstance(data, bool) or not isinstance(data, (int, float)) or not math.isfinite(data):
            raise TypedJsonError(f"{where}: expected a finite number, got {_kind(data)}")
        return float(data)
    if hint in (int, bool, str):
        if type(data) is not hint:
            raise TypedJsonError(f"{where}: expected {_NAMES[hint]}, got {_kind(data)}")
        return data
    raise TypeError(f"{where}: type {hint} is not supported")


def _tuple(arguments: tuple, data: Any, where: str) -> tuple:
    if not isinstance(data, list):
        raise TypedJsonError(f"{where}: expected a list, got {_kind(data)}")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_value(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(data))
    if len(data) != len(arguments):
        raise TypedJsonError(f"{where}: expected {len(arguments)} entries, got {len(data)}")
    return tuple(
        _value(hint, item, f"{where}[{i}]")
        for i, (hint, item) in enumerate(zip(arguments, data, strict=True))
    )


_NAMES = {int: "a whole number", bool: "true or false", str: "text"}


def _kind(data: Any) -> str:
    text = repr(data)
    return text if len(text) <= 40 else text[:37] + "..."
