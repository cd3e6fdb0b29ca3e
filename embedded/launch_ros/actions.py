"""Nodes and their namespaces."""

from __future__ import annotations

import json
import os
from typing import Any

import yaml
from launch import Action
from launch._base import perform, substitutions
from launch.actions import ExecuteProcess
from wbvla_embedded import packages
from wbvla_embedded.arguments import load_yaml

from .parameter_descriptions import Parameter, ParameterFile, _evaluate


def _join(space: str, relative: str) -> str:
    return relative if relative.startswith('/') else f"{space.rstrip('/')}/{relative}" if relative else space


class PushRosNamespace(Action):
    """Put the nodes that follow (in this group) into a namespace."""

    def __init__(self, namespace, **kwargs):
        super().__init__(**kwargs)
        self._namespace = substitutions(namespace)

    namespace = property(lambda self: self._namespace, doc='The namespace.')

    def execute(self, context):
        """Add it to the one there is."""
        current = context.launch_configurations.get('ros_namespace', '')
        context.launch_configurations['ros_namespace'] = _join(current, perform(context, self._namespace))


class SetParameter(Action):
    """Give a parameter to all nodes that follow (in this group)."""

    def __init__(self, name, value, **kwargs):
        super().__init__(**kwargs)
        self._parameter = Parameter(name, value)

    name = property(lambda self: self._parameter.name, doc='Its name.')
    value = property(lambda self: self._parameter.value, doc='Its value.')

    def execute(self, context):
        """Remember it."""
        shared = context.launch_configurations.get('global_params', [])
        context.launch_configurations['global_params'] = [*shared, self._parameter.evaluate(context)]


class SetRemap(Action):
    """Give a remapping to all nodes that follow (in this group)."""

    def __init__(self, src, dst, **kwargs):
        super().__init__(**kwargs)
        self._src, self._dst = substitutions(src), substitutions(dst)

    src = property(lambda self: self._src, doc='The name to replace.')
    dst = property(lambda self: self._dst, doc='What replaces it.')

    def execute(self, context):
        """Remember it."""
        shared = context.launch_configurations.get('ros_remaps', [])
        rule = (perform(context, self._src), perform(context, self._dst))
        context.launch_configurations['ros_remaps'] = [*shared, rule]


class Node(ExecuteProcess):
    """Run an executable of a package as a ROS node."""

    def __init__(self, *, executable, package=None, name=None, namespace=None, exec_name=None, parameters: Any = None,
                 remappings: Any = None, ros_arguments=None, arguments=None, **kwargs):
        super().__init__(cmd=[executable], name=exec_name, **kwargs)
        self._executable, self._package = executable, package
        self._node_name, self._node_namespace = name, namespace
        self._parameters: list[Any] = list(parameters or ())
        self._remappings: list[Any] = list(remappings or ())
        self._ros_arguments, self._arguments = list(ros_arguments or ()), list(arguments or ())
        self._expanded_namespace = ''

    node_package = property(lambda self: self._package, doc='Its package.')
    node_executable = property(lambda self: self._executable, doc='Its executable.')
    node_name = property(lambda self: self._node_name, doc='Its name, None for what the executable calls itself.')
    expanded_node_namespace = property(lambda self: self._expanded_namespace, doc='Its namespace when launched.')

    def is_node_name_fully_specified(self):
        """Whether name and namespace are known."""
        return self._node_name is not None and bool(self._expanded_namespace)

    def _process_name(self, context, command):
        return perform(context, self._name) if self._name is not None else \
            os.path.basename(perform(context, self._executable))

    def _command(self, context):
        """The command line with `--ros-args`; raises RuntimeError for an unknown package, executable or file."""
        executable = perform(context, self._executable)
        command = [executable]
        if self._package is not None:
            try:
                command = packages.command(perform(context, self._package), executable)
            except KeyError as error:
                raise RuntimeError(error.args[0]) from None
        command += [perform(context, argument) for argument in self._arguments]
        return [*command, '--ros-args', *(perform(context, argument) for argument in self._ros_arguments),
                *self._name_arguments(context), *self._parameter_arguments(context),
                *self._remap_arguments(context)]

    def _name_arguments(self, context):
        space = context.launch_configurations.get('ros_namespace', '')
        if self._node_namespace is not None:
            space = _join(space, perform(context, self._node_namespace))
        self._expanded_namespace = space and (space if space.startswith('/') else '/' + space)
        found = [] if self._node_name is None else ['-r', f'__node:={perform(context, self._node_name)}']
        return found + (['-r', f'__ns:={self._expanded_namespace}'] if self._expanded_namespace else [])

    def _remap_arguments(self, context):
        rules = [*context.launch_configurations.get('ros_remaps', []),
                 *((perform(context, source), perform(context, target)) for source, target in self._remappings)]
        return [part for source, target in rules for part in ('-r', f'{source}:={target}')]

    def _parameter_arguments(self, context):
        found = []
        for name, value in context.launch_configurations.get('global_params', []):
            found += ['-p', f'{name}:={_yaml(value)}']
        for entry in self._parameters:
            if isinstance(entry, Parameter):
                name, value = entry.evaluate(context)
                found += ['-p', f'{name}:={_yaml(value)}']
            elif hasattr(entry, 'items'):
                found += [part for name, value in _flat(context, entry) for part in ('-p', f'{name}:={_yaml(value)}')]
            else:
                file = entry if isinstance(entry, ParameterFile) else ParameterFile(entry)
                path = file.evaluate(context)
                if not os.path.isfile(path):
                    raise RuntimeError(f'there is no parameter file {path}')
                found += ['--params-file', str(path)]
        return found


def _flat(context, parameters, prefix=''):
    for key, value in parameters.items():
        name = prefix + perform(context, key)
        if hasattr(value, 'items'):
            yield from _flat(context, value, name + '.')
        else:
            yield name, _evaluate(context, value)


def _yaml(value):
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix('...\n').strip()
    return text if load_yaml(text) == value else json.dumps(value)


class LifecycleNode(Node):
    """A node with a life cycle, whose name and namespace must be given. Its transitions are no launch events."""

    def __init__(self, *, name, namespace, **kwargs):
        super().__init__(name=name, namespace=namespace, **kwargs)


__all__ = ['LifecycleNode', 'Node', 'PushRosNamespace', 'SetParameter', 'SetRemap']
