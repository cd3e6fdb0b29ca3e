"""Parameters of nodes in launch files."""

from __future__ import annotations

import os
from pathlib import Path

from launch import Substitution
from launch._base import perform, substitutions
from wbvla_embedded.arguments import load_yaml


def _evaluate(context, value, value_type=None):
    """A value as a parameter can hold it: texts are read as YAML unless a type is asked for.

    Raises ValueError when the text does not give the type.
    """
    if isinstance(value, ParameterValue):
        return value.evaluate(context)
    if isinstance(value, (str, Substitution)) or _is_text_list(value):
        text = perform(context, value)
        result = text if value_type is str else load_yaml(text)
        if isinstance(result, int) and not isinstance(result, bool) and value_type is float:
            result = float(result)
        plain = value_type in (bool, int, float, str)
        if plain and not (isinstance(result, value_type) and isinstance(result, bool) == (value_type is bool)):
            raise ValueError(f"'{text}' is not of type {value_type.__name__}")
        return result
    if isinstance(value, (list, tuple)):
        return [_evaluate(context, item) if isinstance(item, (str, Substitution)) else item for item in value]
    return value


def _is_text_list(value):
    """Whether a sequence is one text with substitutions in it, not a list of texts."""
    return isinstance(value, (list, tuple)) and any(isinstance(item, Substitution) for item in value) and \
        all(isinstance(item, (str, Substitution)) for item in value)


class ParameterValue:
    """A value with the type that it must have."""

    def __init__(self, value, *, value_type=None):
        self._value, self._value_type = value, value_type

    value = property(lambda self: self._value, doc='The value.')
    value_type = property(lambda self: self._value_type, doc='The type, None for what YAML makes of it.')

    def evaluate(self, context):
        """The value as a parameter can hold it; raises ValueError when it is not of the type."""
        return _evaluate(context, self._value, self._value_type)


class Parameter:
    """One parameter with its name."""

    def __init__(self, name, value, *, value_type=None):
        self._name, self._value = substitutions(name), ParameterValue(value, value_type=value_type)

    name = property(lambda self: self._name, doc='Its name.')
    value = property(lambda self: self._value.value, doc='Its value.')
    value_type = property(lambda self: self._value.value_type, doc='Its type, None for what YAML makes of it.')

    def evaluate(self, context):
        """(name, value)."""
        return perform(context, self._name), self._value.evaluate(context)


class ParameterFile:
    """A parameter file. Substitutions within the file are not offered."""

    def __init__(self, param_file, *, allow_substs=False):
        if allow_substs is not False:
            raise ValueError('allow_substs is not offered')
        self._param_file = substitutions(os.fspath(param_file) if isinstance(param_file, os.PathLike) else param_file)

    param_file = property(lambda self: self._param_file, doc='Its path.')

    def evaluate(self, context):
        """The path."""
        return Path(perform(context, self._param_file))
