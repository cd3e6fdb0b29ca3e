"""Launch files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ._base import LaunchDescription, LaunchDescriptionSource


class InvalidPythonLaunchFileError(Exception):
    """A file that is no launch file."""


def load_python_launch_file_as_module(python_launch_file_path):
    """The module; raises InvalidPythonLaunchFileError when there is no such file."""
    if not Path(python_launch_file_path).is_file():
        raise InvalidPythonLaunchFileError(f'there is no launch file {python_launch_file_path}')
    spec = importlib.util.spec_from_file_location('python_launch_file', python_launch_file_path)
    if spec is None or spec.loader is None:
        raise InvalidPythonLaunchFileError(f'{python_launch_file_path} is not a Python file')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def get_launch_description_from_python_launch_file(python_launch_file_path):
    """What its `generate_launch_description()` returns; raises InvalidPythonLaunchFileError."""
    module = load_python_launch_file_as_module(python_launch_file_path)
    if not hasattr(module, 'generate_launch_description'):
        raise InvalidPythonLaunchFileError(
            f'launch file {python_launch_file_path} has no function generate_launch_description()')
    description = module.generate_launch_description()
    if not isinstance(description, LaunchDescription):
        raise InvalidPythonLaunchFileError(
            f'generate_launch_description() of {python_launch_file_path} returned no LaunchDescription')
    return description


class PythonLaunchDescriptionSource(LaunchDescriptionSource):
    """A Python launch file."""

    def __init__(self, launch_file_path):
        super().__init__(None, launch_file_path, 'interpreted python launch file')

    def _read(self, location):
        return get_launch_description_from_python_launch_file(location)


class AnyLaunchDescriptionSource(PythonLaunchDescriptionSource):
    """A launch file; only Python ones can be read."""
