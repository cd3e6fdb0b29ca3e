"""Every public name of the embedded packages exists in Humble, with the same kind and the same parameters."""

from __future__ import annotations

import enum
import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

HUMBLE = json.loads((Path(__file__).parent / 'data' / 'humble_api.json').read_text(encoding='utf-8'))
MODULES = list(HUMBLE)


def _offered(module) -> dict:
    """Public classes and functions of a module: what it lists, else what it defines."""
    names = getattr(module, '__all__', None)
    if names is None:
        names = [name for name, value in vars(module).items() if not name.startswith('_')
                 and getattr(value, '__module__', None) == module.__name__]
    found = {name: getattr(module, name) for name in names}
    return {name: value for name, value in found.items() if (inspect.isclass(value) or inspect.isfunction(value))
            and value.__module__ != 'rclpy._rclpy_pybind11'}  # Humble's extension module, of which there is no list


def _parameters(function) -> list[str]:
    marks = {inspect.Parameter.VAR_POSITIONAL: '*', inspect.Parameter.VAR_KEYWORD: '**'}
    names, keyword_only = [], False
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not keyword_only and '*' not in ''.join(names):
            names.append('*')
        keyword_only |= parameter.kind is inspect.Parameter.KEYWORD_ONLY
        names.append(marks.get(parameter.kind, '') + name)
    return names


def _check_parameters(where: str, ours: list[str], theirs: Any, problems: list[str]) -> None:
    if isinstance(theirs, str) or theirs is None or any('args' in item for item in theirs if item.startswith('*')):
        return  # Humble shows no parameters here
    ours, theirs = ([item for item in names if item != '/'] for names in (ours, theirs))
    takes_rest = any(item.startswith('**') for item in ours)
    if ours != theirs and not (takes_rest and [item for item in ours if item[:1] != '*'] ==
                               [item for item in theirs if item in ours and item[:1] != '*']):
        problems.append(f'{where}: {ours} is {theirs} in Humble')


def _check_class(where: str, ours: type, theirs: dict, problems: list[str]) -> None:
    values = theirs.get('values')
    if issubclass(ours, enum.Enum) and values:
        if isinstance(values, dict):
            problems += [f'{where}.{item.name} = {item.value}' for item in ours if values.get(item.name) != item.value]
        else:
            problems += [f'{where}.{item.name}' for item in ours if item.name not in values]
        return
    if '__init__' in vars(ours) and theirs.get('init'):
        _check_parameters(f'{where}()', _parameters(ours.__init__), theirs['init'], problems)
    members = theirs.get('members', {})
    for name, value in vars(ours).items():
        if name.startswith('_') or issubclass(ours, (enum.Enum, tuple)):
            continue
        if name not in members:
            if not _inherited(name, theirs):
                problems.append(f'{where}.{name} is not in Humble')
        elif isinstance(value, property):
            if members[name] != 'property':
                problems.append(f'{where}.{name} is no property in Humble')
        elif inspect.isfunction(value):
            _check_parameters(f'{where}.{name}', _parameters(value), members[name], problems)


def _inherited(name: str, entry: dict) -> bool:
    """Whether a base class in Humble has the member."""
    for base in entry.get('bases', ()):
        for module in HUMBLE.values():
            known = module.get(base)
            if isinstance(known, dict) and (name in known.get('members', {}) or _inherited(name, known)):
                return True
    return False


@pytest.mark.parametrize('module_name', MODULES)
def test_offered_names_are_humble_names(module_name: str) -> None:
    problems: list[str] = []
    for name, value in _offered(importlib.import_module(module_name)).items():
        theirs = HUMBLE[module_name].get(name)
        where = f'{module_name}.{name}'
        if value.__module__ != module_name and any(name in names for names in HUMBLE.values()):
            theirs = theirs or next(names[name] for names in HUMBLE.values() if name in names)
        if theirs is None and name not in HUMBLE[module_name]:
            problems.append(f'{where} is not in Humble')
        elif inspect.isclass(value) and isinstance(theirs, dict):
            _check_class(where, value, theirs, problems)
        elif inspect.isfunction(value):
            _check_parameters(where, _parameters(value), theirs, problems)
    assert not problems, '\n'.join(problems)


def test_wrong_names_would_be_found() -> None:
    problems: list[str] = []

    class Publisher:
        def publish(self, message):
            """Humble calls it `msg`."""

        def send(self):
            """Humble has no such method."""

    _check_class('Publisher', Publisher, HUMBLE['rclpy.publisher']['Publisher'], problems)
    assert len(problems) == 2
