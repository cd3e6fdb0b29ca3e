"""Texts that are known only when launching."""

from __future__ import annotations

import os

from ._base import Substitution, perform, substitutions


class SubstitutionFailure(RuntimeError):
    """A substitution without result."""

    def __init__(self, msg):
        super().__init__(msg)


class TextSubstitution(Substitution):
    """A given text."""

    def __init__(self, *, text):
        if not isinstance(text, str):
            raise TypeError(f"TextSubstitution expected Text object got '{type(text)}' instead.")
        self._text = text

    @property
    def text(self):
        """The text."""
        return self._text

    def describe(self):
        """For people."""
        return f"'{self._text}'"

    def perform(self, context):
        """The text."""
        return self._text


class LaunchConfiguration(Substitution):
    """Value of a launch argument or configuration."""

    def __init__(self, variable_name, *, default=None):
        self._variable_name, self._default = substitutions(variable_name), default

    @property
    def variable_name(self):
        """Its name."""
        return self._variable_name

    def describe(self):
        """For people."""
        return f"LaunchConfig({' + '.join(part.describe() for part in self._variable_name)})"

    def perform(self, context):
        """The value or the default; raises SubstitutionFailure when there is neither."""
        name = perform(context, self._variable_name)
        if name in context.launch_configurations:
            return context.launch_configurations[name]
        if self._default is None:
            raise SubstitutionFailure(f"launch configuration '{name}' does not exist")
        if isinstance(self._default, (bool, int, float)):
            return str(self._default)
        return perform(context, self._default)


class EnvironmentVariable(Substitution):
    """Value of an environment variable as processes will see it."""

    def __init__(self, name, *, default_value=None):
        self._name = substitutions(name)
        self._default_value = None if default_value is None else substitutions(default_value)

    @property
    def name(self):
        """Its name."""
        return self._name

    @property
    def default_value(self):
        """What to take when it is not set."""
        return self._default_value

    def perform(self, context):
        """The value or the default; raises SubstitutionFailure when there is neither."""
        name = perform(context, self._name)
        if name in context.environment:
            return context.environment[name]
        if self._default_value is None:
            raise SubstitutionFailure(f"environment variable '{name}' does not exist")
        return perform(context, self._default_value)


_flat = substitutions


class PathJoinSubstitution(Substitution):
    """Parts of a path, joined."""

    def __init__(self, substitutions):
        self._substitutions = _flat(substitutions)

    @property
    def substitutions(self):
        """The parts."""
        return self._substitutions

    def describe(self):
        """For people."""
        return f'PathJoin({self._substitutions})'

    def perform(self, context):
        """The path."""
        return os.path.join(*(perform(context, part) for part in self._substitutions))


def _current_file(context):
    path = context.get_locals_as_dict().get('current_launch_file_path')
    if path is None:
        raise SubstitutionFailure('ThisLaunchFile used outside of a launch file (in a script)')
    return path


class ThisLaunchFile(Substitution):
    """Path of the launch file that is visited."""

    def perform(self, context):
        """The path; raises SubstitutionFailure outside of launch files."""
        return _current_file(context)


class ThisLaunchFileDir(Substitution):
    """Folder of the launch file that is visited."""

    def perform(self, context):
        """The folder; raises SubstitutionFailure outside of launch files."""
        return os.path.dirname(_current_file(context))


def _truth(context, value):
    text = perform(context, value).strip().lower()
    if text not in ('true', 'false', '1', '0'):
        raise SubstitutionFailure(f"'{text}' is neither true, false, 1 nor 0")
    return text in ('true', '1')


class NotSubstitution(Substitution):
    """The opposite of a truth value."""

    def __init__(self, value):
        self._value = substitutions(value)

    @property
    def value(self):
        """What is negated."""
        return self._value

    def perform(self, context):
        """'true' or 'false'."""
        return str(not _truth(context, self._value)).lower()
