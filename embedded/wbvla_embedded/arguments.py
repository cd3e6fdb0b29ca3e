"""`--ros-args`: remap rules, parameters and log levels from a command line, and parameter files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .names import RemapRule


class ArgumentError(ValueError):
    """A ROS argument or parameter file that cannot be used; the text says which and why."""


@dataclass
class RosArguments:
    """What followed `--ros-args`. `parameters`: (node pattern, name, value) in order, the last that fits wins."""

    remaps: list[RemapRule] = field(default_factory=list)
    parameters: list[tuple[str, str, Any]] = field(default_factory=list)
    log_levels: list[tuple[str | None, str]] = field(default_factory=list)
    rosout: bool = True
    unknown: list[str] = field(default_factory=list)

    def overrides(self, fully_qualified_name: str) -> dict[str, Any]:
        """Parameter values given for a node, e.g. '/wbvla/driver'."""
        return {name: value for pattern, name, value in self.parameters
                if _pattern(pattern).fullmatch(fully_qualified_name)}


def parse(arguments: Iterable[str] | None) -> RosArguments:
    """Read all `--ros-args ... [--]` stretches of a command line; raises ArgumentError for a malformed one."""
    found = RosArguments()
    queue = list(arguments or ())
    inside = False
    while queue:
        item = queue.pop(0)
        if not inside:
            inside = item == '--ros-args'
        elif item == '--':
            inside = False
        elif item in _VALUED:
            if not queue:
                raise ArgumentError(f'{item} needs a value')
            _VALUED[item](found, queue.pop(0))
        elif item in ('--enable-rosout-logs', '--disable-rosout-logs'):
            found.rosout = item.startswith('--enable')
        elif item not in _IGNORED and item != '--ros-args':
            found.unknown.append(item)
    return found


def _remap(found: RosArguments, text: str) -> None:
    try:
        found.remaps.append(RemapRule.parse(text))
    except ValueError as error:
        raise ArgumentError(str(error)) from None


def _parameter(found: RosArguments, text: str) -> None:
    import yaml

    left, separator, value = text.partition(':=')
    if not separator:
        raise ArgumentError(f"parameter '{text}' is not of the form name:=value")
    node, colon, name = left.rpartition(':')
    try:
        found.parameters.append((node if colon else '/**', name, _value(name, load_yaml(value), '-p')))
    except yaml.YAMLError:
        raise ArgumentError(f"value of parameter '{text}' is not valid YAML") from None


def _file(found: RosArguments, path: str) -> None:
    found.parameters += read_file(Path(path))


def _log_level(found: RosArguments, text: str) -> None:
    logger, _, level = text.rpartition(':=')
    if level.upper() not in ('UNSET', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'):
        raise ArgumentError(f"log level '{level}' is none of debug, info, warn, error, fatal")
    found.log_levels.append((logger or None, level.upper()))


_VALUED = {'-r': _remap, '--remap': _remap, '-p': _parameter, '--param': _parameter, '--params-file': _file,
           '--log-level': _log_level, '-e': lambda *_: None, '--enclave': lambda *_: None,
           '--log-config-file': lambda *_: None}
_IGNORED = {f'--{state}-{kind}-logs' for state in ('enable', 'disable') for kind in ('stdout', 'external-lib')}


def load_yaml(text: str) -> Any:
    """YAML as ROS reads it: `1e-3` is a number too. Raises yaml.YAMLError."""
    import yaml

    Loader: Any = type('Loader', (getattr(yaml, 'CSafeLoader', yaml.SafeLoader),), {})  # so that the base stays as it is
    Loader.add_implicit_resolver('tag:yaml.org,2002:float', re.compile(r'[-+]?\d+[eE][-+]?\d+$'), list('-+0123456789'))
    return yaml.load(text, Loader=Loader)


def read_file(path: Path) -> list[tuple[str, str, Any]]:
    """(node pattern, parameter name, value) of a ROS parameter file; raises ArgumentError with file and key."""
    import yaml

    try:
        content = load_yaml(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise ArgumentError(f'cannot read parameter file {path}: {error.strerror}') from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ArgumentError(f'parameter file {path} is not valid YAML: {error}') from None
    if not isinstance(content, dict):
        raise ArgumentError(f'parameter file {path}: the top level must map node names to ros__parameters')
    found: list[tuple[str, str, Any]] = []
    _nodes(content, '', path, found)
    return found


def _nodes(content: dict, prefix: str, path: Path, found: list[tuple[str, str, Any]]) -> None:
    for key, value in content.items():
        if key == 'ros__parameters':
            if not isinstance(value, dict):
                raise ArgumentError(f"parameter file {path}: 'ros__parameters' of '{prefix or '/'}' must be a map")
            _flatten(value, '', prefix, path, found)
        elif isinstance(value, dict):
            _nodes(value, f"{prefix}/{str(key).strip('/')}", path, found)
        else:
            raise ArgumentError(f"parameter file {path}: '{prefix}/{key}' has no ros__parameters")


def _flatten(content: dict, prefix: str, node: str, path: Path, found: list[tuple[str, str, Any]]) -> None:
    for key, value in content.items():
        name = f'{prefix}{key}'
        if isinstance(value, dict):
            _flatten(value, name + '.', node, path, found)
        else:
            found.append((node, name, _value(name, value, f'parameter file {path}')))


def _value(name: str, value: Any, where: str) -> Any:
    """Check that YAML gave something that a parameter can hold."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        if value and isinstance(value[0], (bool, int, float, str)) and len({type(item) for item in value}) == 1:
            return value
        if not value:
            return value
    raise ArgumentError(f"{where}: the value of '{name}' must be a bool, number, string or a list "
                        f'of values of one type, not {value!r}')


def _pattern(node: str) -> re.Pattern[str]:
    """Regular expression of a node name in a parameter file: `*` is one token, `**` any number of them."""
    tokens = [token for token in node.split('/') if token]
    source = ''
    for token in tokens:
        source += {'*': r'/[^/]+', '**': r'(?:/[^/]+)*'}.get(token, '/' + re.escape(token))
    if not node.startswith('/') and tokens and tokens[0] != '**':
        source = r'(?:/[^/]+)*' + source
    return re.compile(source)
