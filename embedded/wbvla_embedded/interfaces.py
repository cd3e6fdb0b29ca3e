"""Interface definitions: the standard ones from a table, ours from their `.msg`, `.srv` and `.action` files.

Everything is parsed on first use, one interface at a time, since every node pays for its own imports.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import packages

INTEGERS = {'int8': 8, 'uint8': 8, 'char': 8, 'int16': 16, 'uint16': 16, 'int32': 32, 'uint32': 32,
            'int64': 64, 'uint64': 64}
PRIMITIVES = {*INTEGERS, 'bool', 'byte', 'float32', 'float64', 'string'}
_TYPE = re.compile(r'(?P<base>[\w/]+)(?:<=(?P<chars>\d+))?(?P<array>\[(?:(?P<bound><=)?(?P<size>\d+))?\])?$')
_CONSTANT = re.compile(r'(?P<type>[\w<=]+)\s+(?P<name>[A-Z][A-Z0-9_]*)\s*=\s*(?P<value>.+)$')
_IDL_NAMES = {'float64': 'double', 'float32': 'float', 'bool': 'boolean', 'byte': 'octet', 'char': 'uint8'}
_GOAL_ID = 'unique_identifier_msgs/UUID goal_id\n'


class InterfaceError(LookupError):
    """An interface that does not exist, or a definition that cannot be read."""


@dataclass(frozen=True)
class Field:
    """One field: `kind` is 'scalar', 'array' (exactly `size`) or 'sequence' (at most `size`, 0: unbounded)."""

    name: str
    base: str  # a primitive, or 'package/msg/Name'
    kind: str
    size: int
    chars: int  # bound of a string, 0: unbounded
    text: str  # the type as `get_fields_and_field_types` shows it
    default: Any = None


@dataclass(frozen=True)
class Definition:
    """A message, or one half of a service or a part of an action: `name` is 'package/srv/Trigger_Request'."""

    name: str
    fields: tuple[Field, ...]
    constants: dict[str, Any]


@functools.cache
def _standard() -> dict[str, str]:
    return json.loads((Path(__file__).parent / 'standard_interfaces.json').read_text(encoding='utf-8'))


@functools.cache
def interface_packages() -> dict[str, Path | None]:
    """Package name -> folder of its definitions, None where the table has them."""
    found: dict[str, Path | None] = {name.split('/')[0]: None for name in _standard()}
    for name, path in packages.package_paths().items():
        if any((path / kind).is_dir() for kind in ('msg', 'srv', 'action')):
            found[name] = path
    return found


def interface_names(package: str, kind: str) -> list[str]:
    """Names of the interfaces of one kind ('msg', 'srv' or 'action') in a package."""
    folder = interface_packages()[package]
    if folder is None:
        return [name.split('/')[2] for name in _standard() if name.startswith(f'{package}/{kind}/')]
    return sorted(path.stem for path in (folder / kind).glob(f'*.{kind}'))


def _text(package: str, kind: str, name: str) -> str:
    folder = interface_packages().get(package)
    if folder is not None and (folder / kind / f'{name}.{kind}').is_file():
        return (folder / kind / f'{name}.{kind}').read_text(encoding='utf-8')
    try:
        return _standard()[f'{package}/{kind}/{name}']
    except KeyError:
        raise InterfaceError(f"no interface '{package}/{kind}/{name}'") from None


def _sections(package: str, kind: str, name: str) -> list[str]:
    return re.split(r'^---\s*$', _text(package, kind, name), flags=re.MULTILINE)


@functools.cache
def definition(typename: str) -> Definition:
    """The definition of a message type such as 'std_msgs/msg/String' or 'p/action/Do_SendGoal_Request'.

    Raises InterfaceError when there is none, or when a line of it cannot be read.
    """
    try:
        package, kind, name = typename.split('/')
    except ValueError:
        raise InterfaceError(f"'{typename}' is not a type name like 'std_msgs/msg/String'") from None
    if kind == 'msg':
        text = _text(package, kind, name)
    elif kind == 'srv':
        stem, _, half = name.rpartition('_')
        text = _sections(package, kind, stem)[('Request', 'Response').index(half)]
    else:
        text = _action_part(package, name)
    return _parse(typename, text)


def _action_part(package: str, name: str) -> str:
    """Definition text of one part of an action, with the derived types that carry goals and results."""
    derived = {
        'SendGoal_Request': _GOAL_ID + '{0}_Goal goal',
        'SendGoal_Response': 'bool accepted\nbuiltin_interfaces/Time stamp',
        'GetResult_Request': _GOAL_ID,
        'GetResult_Response': 'int8 status\n{0}_Result result',
        'FeedbackMessage': _GOAL_ID + '{0}_Feedback feedback',
    }
    for suffix, text in derived.items():
        if name.endswith('_' + suffix):
            stem = name[:-len(suffix) - 1]
            return text.format(f'{package}/action/{stem}')
    stem, _, part = name.rpartition('_')
    return _sections(package, 'action', stem)[('Goal', 'Result', 'Feedback').index(part)]


def _parse(typename: str, text: str) -> Definition:
    package = typename.split('/')[0]
    fields: list[Field] = []
    constants: dict[str, Any] = {}
    for raw in text.splitlines():
        line = re.sub(r'''((?:"[^"]*"|'[^']*'|[^#"'])*)#.*$''', r'\1', raw).strip()
        if not line:
            continue
        constant = _CONSTANT.match(line)
        if constant and '<=' not in line.split()[1]:
            constants[constant['name']] = _literal(constant['type'], constant['value'].strip())
            continue
        parts = line.split(None, 2)
        if len(parts) < 2:
            raise InterfaceError(f"{typename}: cannot read the line '{raw.strip()}'")
        fields.append(_field(typename, package, parts[0], parts[1], parts[2] if len(parts) > 2 else None))
    if not fields:
        fields = [_field(typename, package, 'uint8', 'structure_needs_at_least_one_member', None)]
    return Definition(typename, tuple(fields), constants)


def _field(typename: str, package: str, type_: str, name: str, default: str | None) -> Field:
    match = _TYPE.match(type_)
    if match is None or not re.fullmatch(r'[a-z][a-z0-9_]*', name):
        raise InterfaceError(f"{typename}: cannot read the field '{type_} {name}'")
    base = match['base']
    shown = _IDL_NAMES.get(base, base)
    if base not in PRIMITIVES:
        parts = ['std_msgs', base] if base == 'Header' else base.split('/')
        if len(parts) == 1:
            parts.insert(0, package)
        shown = f'{parts[0]}/{parts[-1]}'
        base = '/'.join(parts) if len(parts) == 3 else f'{parts[0]}/msg/{parts[1]}'
    size = int(match['size'] or 0)
    if match['array'] is None:
        kind = 'scalar'
    else:
        kind = 'array' if match['size'] and not match['bound'] else 'sequence'
    text = shown + (f"<{match['chars']}>" if match['chars'] else '')
    if kind != 'scalar':
        text = f'{text}[{size}]' if kind == 'array' else f"sequence<{text}{f', {size}' if size else ''}>"
    value = None if default is None else _literal(base, default)
    return Field(name, base, kind, size, int(match['chars'] or 0), text, value)


def _literal(type_: str, text: str) -> Any:
    """Value of a constant or default as Humble's Python messages hold it (a `byte` is one byte of `bytes`)."""
    if text.startswith('['):
        return [_literal(type_, part.strip()) for part in text[1:-1].split(',') if part.strip()]
    if type_.startswith('string'):
        return ast.literal_eval(text) if text[:1] in ('"', "'") else text
    if type_ == 'bool':
        return text.lower() in ('true', '1')
    if type_ in ('float32', 'float64'):
        return float(text)
    value = int(text, 0)
    return bytes([value]) if type_ == 'byte' else value
