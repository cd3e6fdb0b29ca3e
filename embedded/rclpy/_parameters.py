"""The parameter half of a node."""

from __future__ import annotations

import copy
import re
import threading
from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor, ParameterEvent, SetParametersResult

from . import exceptions
from .parameter import Parameter, parameter_value_to_python
from .qos import qos_profile_parameter_events

_NAME = re.compile(r'[A-Za-z0-9_./\-]+$')


class ParameterMixin:
    """Declared parameters with descriptors, callbacks and events."""

    create_publisher: Callable[..., Any]
    get_clock: Callable[[], Any]
    get_fully_qualified_name: Callable[[], str]
    _time_source_parameter: Callable[[Parameter], None]

    def _init_parameters(self, overrides, allow_undeclared):
        self._parameters, self._descriptors = {}, {}
        self._parameter_callbacks, self._parameter_lock = [], threading.RLock()
        self._parameter_overrides, self._allow_undeclared_parameters = overrides, allow_undeclared
        self._parameter_event_publisher = self.create_publisher(
            ParameterEvent, '/parameter_events', qos_profile_parameter_events)

    def declare_parameter(self, name, value=None, descriptor=None, ignore_override=False):
        """Declare a parameter with its default (or type) and return it; see `declare_parameters`."""
        return self.declare_parameters('', [(name, value, descriptor)], ignore_override)[0]

    def declare_parameters(self, namespace, parameters: Any, ignore_override=False):
        """Declare several: tuples of name, default or Parameter.Type, descriptor, the last two optional.

        Values come from the command line or parameter files unless `ignore_override`. Raises
        ParameterAlreadyDeclaredException, InvalidParameterException, InvalidParameterTypeException,
        InvalidParameterValueException.
        """
        declared, types = [], {}
        for index, entry in enumerate(parameters):
            fields = list(entry) if isinstance(entry, tuple) else []
            if not 1 <= len(fields) <= 3 or not isinstance(fields[0], str):
                raise TypeError(f'Invalid parameter tuple at index {index}: {entry!r}')
            default, descriptor = (*fields[1:], None, None)[:2]
            descriptor = ParameterDescriptor() if descriptor is None else copy.deepcopy(descriptor)
            name = f'{namespace}.{fields[0]}' if namespace else fields[0]
            if not _NAME.match(name):
                raise exceptions.InvalidParameterException(name)
            if name in self._parameters:
                raise exceptions.ParameterAlreadyDeclaredException([name])
            if isinstance(default, Parameter.Type):
                type_, default = default, None
            else:
                type_ = Parameter.Type.from_parameter_value(default)
            if len(fields) < 2 or (default is None and type_ is Parameter.Type.NOT_SET):
                descriptor.dynamic_typing = True
            value = default
            if not ignore_override and name in self._parameter_overrides:
                value = self._parameter_overrides[name].value
            if type_ is Parameter.Type.DOUBLE_ARRAY and value == []:
                parameter = Parameter(name, type_, [])
            elif value is None and type_ is not Parameter.Type.NOT_SET:
                parameter = Parameter(name, Parameter.Type.NOT_SET, None)
            elif value == [] and type_.value >= Parameter.Type.BYTE_ARRAY.value:
                parameter = Parameter(name, type_, [])
            else:
                parameter = Parameter(name, None, value)
            descriptor.name, descriptor.type = name, type_.value
            declared.append(parameter)
            types[name] = descriptor
        with self._parameter_lock:
            self._descriptors.update(types)
            for parameter in declared:
                result = self._check_and_apply([parameter], declaring=True)
                if not result.successful:
                    del self._descriptors[parameter.name]
                    expected = Parameter.Type(types[parameter.name].type)
                    if parameter.type_ is not expected and not types[parameter.name].dynamic_typing:
                        raise exceptions.InvalidParameterTypeException(parameter, expected.name)
                    raise exceptions.InvalidParameterValueException(parameter.name, parameter.value, result.reason)
        return [self._parameters[parameter.name] for parameter in declared]

    def undeclare_parameter(self, name):
        """Forget a parameter; raises ParameterNotDeclaredException, ParameterImmutableException (read-only)."""
        with self._parameter_lock:
            self._require(name)
            if self._descriptors[name].read_only:
                raise exceptions.ParameterImmutableException(name)
            del self._parameters[name], self._descriptors[name]

    def has_parameter(self, name):
        """Whether it is declared."""
        return name in self._parameters

    def _require(self, *names):
        missing = [name for name in names if name not in self._parameters]
        if missing:
            raise exceptions.ParameterNotDeclaredException(missing)

    def get_parameters(self, names):
        """The parameters of these names; see `get_parameter`."""
        if not all(isinstance(name, str) for name in names):
            raise TypeError('All names must be instances of type str')
        return [self.get_parameter(name) for name in names]

    def get_parameter(self, name):
        """A parameter; raises ParameterNotDeclaredException, ParameterUninitializedException (type, no value)."""
        if name not in self._parameters:
            if self._allow_undeclared_parameters:
                return Parameter(name, Parameter.Type.NOT_SET, None)
            self._require(name)
        parameter = self._parameters[name]
        if parameter.type_ is Parameter.Type.NOT_SET and not self._descriptors[name].dynamic_typing:
            raise exceptions.ParameterUninitializedException(name)
        return parameter

    def get_parameter_or(self, name, alternative_value=None):
        """A parameter, or the alternative when it is not declared."""
        if name in self._parameters:
            return self._parameters[name]
        return Parameter(name, Parameter.Type.NOT_SET) if alternative_value is None else alternative_value

    def get_parameter_type(self, name):
        """Type of a parameter; raises ParameterNotDeclaredException."""
        return self.get_parameter_types([name])[0]

    def get_parameter_types(self, names):
        """Types of parameters; raises ParameterNotDeclaredException."""
        if not self._allow_undeclared_parameters:
            self._require(*names)
        return [self._parameters[name].type_ if name in self._parameters else Parameter.Type.NOT_SET
                for name in names]

    def get_parameters_by_prefix(self, prefix):
        """Name without the prefix -> parameter, of those that begin with `prefix.`."""
        start = f'{prefix}.' if prefix else ''
        return {name[len(start):]: parameter for name, parameter in self._parameters.items()
                if name.startswith(start)}

    def set_parameters(self, parameter_list):
        """Set one by one; returns a SetParametersResult for each. Raises ParameterNotDeclaredException."""
        return [self.set_parameters_atomically([parameter]) for parameter in self._checked(parameter_list)]

    def set_parameters_atomically(self, parameter_list):
        """Set all or none; returns one SetParametersResult. Raises ParameterNotDeclaredException."""
        with self._parameter_lock:
            return self._check_and_apply(self._checked(parameter_list))

    def _checked(self, parameters):
        if not all(isinstance(parameter, Parameter) for parameter in parameters):
            raise TypeError('parameter must be instance of rclpy.parameter.Parameter')
        for parameter in parameters:
            if parameter.name not in self._parameters:
                if not self._allow_undeclared_parameters:
                    self._require(parameter.name)
                self._descriptors[parameter.name] = ParameterDescriptor(
                    name=parameter.name, type=parameter.type_.value, dynamic_typing=True)
        return parameters

    def add_on_set_parameters_callback(self, callback):
        """Ask `callback(parameters)`, the newest first, before parameters change."""
        self._parameter_callbacks.insert(0, callback)

    def remove_on_set_parameters_callback(self, callback):
        """Ask it no more; raises ValueError when it was not there."""
        self._parameter_callbacks.remove(callback)

    def _check_and_apply(self, parameters, declaring=False):
        """Apply if descriptors and callbacks agree, and tell the graph; the caller holds the lock."""
        for parameter in parameters:
            reason = self._refusal(parameter, declaring)
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        for callback in list(self._parameter_callbacks):
            result = callback(parameters)
            if not isinstance(result, SetParametersResult):
                raise TypeError('callbacks of add_on_set_parameters_callback must return a SetParametersResult')
            if not result.successful:
                return result
        event = ParameterEvent(node=self.get_fully_qualified_name(), stamp=self.get_clock().now().to_msg())
        for parameter in parameters:
            before = self._parameters.get(parameter.name)
            if parameter.type_ is Parameter.Type.NOT_SET and not declaring:
                event.deleted_parameters.append(parameter.to_parameter_msg())
                del self._parameters[parameter.name], self._descriptors[parameter.name]
                continue
            kind = event.new_parameters if before is None or before.type_ is Parameter.Type.NOT_SET \
                else event.changed_parameters
            if parameter.type_ is not Parameter.Type.NOT_SET:
                kind.append(parameter.to_parameter_msg())
            self._parameters[parameter.name] = parameter
            self._descriptors[parameter.name].type = parameter.type_.value or self._descriptors[parameter.name].type
        self._parameter_event_publisher.publish(event)
        for parameter in parameters:
            self._time_source_parameter(parameter)
        return SetParametersResult(successful=True)

    def _refusal(self, parameter, declaring):
        """Why a descriptor does not allow a value, '' when it does."""
        descriptor, name = self._descriptors[parameter.name], parameter.name
        if descriptor.read_only and not declaring:
            return f'Trying to set a read-only parameter: {name}.'
        if parameter.type_ is Parameter.Type.NOT_SET:
            return '' if declaring or descriptor.dynamic_typing else f'Static parameter {name} cannot be undeclared'
        wrong = descriptor.type not in (0, parameter.type_.value) and not descriptor.dynamic_typing
        if wrong and not (parameter.value == [] and descriptor.type >= Parameter.Type.BYTE_ARRAY.value):
            return f'Wrong parameter type, expected {Parameter.Type(descriptor.type)} got {parameter.type_}'
        ranges = {Parameter.Type.INTEGER: descriptor.integer_range,
                  Parameter.Type.DOUBLE: descriptor.floating_point_range}.get(parameter.type_)
        for limit in ranges or ():
            reason = _out_of_range(parameter, limit)
            if reason:
                return reason
        return ''

    def describe_parameter(self, name):
        """Descriptor of a parameter; raises ParameterNotDeclaredException."""
        return self.describe_parameters([name])[0]

    def describe_parameters(self, names):
        """Descriptors of parameters; raises ParameterNotDeclaredException."""
        if not self._allow_undeclared_parameters:
            self._require(*names)
        return [self._descriptors.get(name, ParameterDescriptor(name=name)) for name in names]

    def set_descriptor(self, name, descriptor, alternative_value=None):
        """Replace a descriptor; returns the value, which becomes the alternative if one is given."""
        self._require(name)
        if self._descriptors[name].read_only:
            raise exceptions.ParameterImmutableException(name)
        descriptor = copy.deepcopy(descriptor)
        descriptor.name, descriptor.type = name, descriptor.type or self._parameters[name].type_.value
        parameter = self._parameters[name] if alternative_value is None else Parameter(
            name, None, parameter_value_to_python(alternative_value))
        with self._parameter_lock:
            before, self._descriptors[name] = self._descriptors[name], descriptor
            result = self._check_and_apply([parameter], declaring=True)
            if not result.successful:
                self._descriptors[name] = before
                raise exceptions.InvalidParameterValueException(name, parameter.value, result.reason)
        return self._parameters[name].get_parameter_value()


def _out_of_range(parameter, limit):
    """Why a number is outside `[from_value, to_value]` or off the grid of `step`, '' when it is neither."""
    value, low, high, step = parameter.value, limit.from_value, limit.to_value, limit.step
    if not low <= value <= high and not _close(value, low) and not _close(value, high):
        return f'Parameter {parameter.name} out of range. Min: {low}, Max: {high}, value: {value}'
    if step and not _close(value, high):
        steps = (value - low) / step
        if not _close(steps, round(steps)):
            return (f'The parameter value for {parameter.name} is not a valid step. Min: {low}, max: {high}, '
                    f'value: {value}, step: {step}')
    return ''


def _close(a, b):
    return abs(a - b) <= 1e-7 * max(abs(a), abs(b), 1e-30)
