"""Exceptions of the client library, with Humble's texts where programs may look at them."""

from __future__ import annotations


class NotInitializedException(Exception):
    """Use of the library before `rclpy.init()` or after shutdown."""

    def __init__(self, *args):
        super().__init__('rclpy.init() has not been called', *args)


class NoTypeSupportImportedException(Exception):
    """A type that is not a message, service or action class."""

    def __init__(self, *args):
        super().__init__('no type_support imported', *args)


class NameValidationException(Exception):
    """A name that breaks the rules of ROS names."""

    def __init__(self, name_type, name, error_msg, invalid_index, *args):
        text = f"Invalid {name_type}: {error_msg}:\n  '{name}'\n   {' ' * invalid_index}^"
        super().__init__(text, *args)
        self.name_type, self.name, self.error_msg, self.invalid_index = name_type, name, error_msg, invalid_index


class InvalidNamespaceException(NameValidationException):
    """A namespace that breaks the rules."""

    def __init__(self, name, error_msg, invalid_index, *args):
        super().__init__('namespace', name, error_msg, invalid_index, *args)


class InvalidNodeNameException(NameValidationException):
    """A node name that breaks the rules."""

    def __init__(self, name, error_msg, invalid_index, *args):
        super().__init__('node name', name, error_msg, invalid_index, *args)


class InvalidTopicNameException(NameValidationException):
    """A topic name that breaks the rules."""

    def __init__(self, name, error_msg, invalid_index, *args):
        super().__init__('topic name', name, error_msg, invalid_index, *args)


class InvalidServiceNameException(NameValidationException):
    """A service name that breaks the rules."""

    def __init__(self, name, error_msg, invalid_index, *args):
        super().__init__('service name', name, error_msg, invalid_index, *args)


class ParameterException(Exception):
    """Base of the parameter errors."""

    def __init__(self, error_msg, parameters, *args):
        super().__init__(error_msg, parameters, *args)


class ParameterNotDeclaredException(ParameterException):
    """Use of a parameter that was not declared."""

    def __init__(self, parameters, *args):
        super().__init__('Invalid access to undeclared parameter(s)', parameters, *args)


class ParameterAlreadyDeclaredException(ParameterException):
    """Second declaration of a parameter."""

    def __init__(self, parameters, *args):
        super().__init__('Parameter(s) already declared', parameters, *args)


class InvalidParameterException(ParameterException):
    """A parameter name that breaks the rules."""

    def __init__(self, parameter, *args):
        super().__init__('Invalid parameter name', parameter, *args)


class InvalidParameterTypeException(ParameterException):
    """A value whose type is not the declared one."""

    def __init__(self, desired_parameter, expected_type, *args):
        text = (f"Trying to set parameter '{desired_parameter.name}' to '{desired_parameter.value}' of type "
                f"'{desired_parameter.type_.name}', expecting type '{expected_type}'")
        super().__init__(text, desired_parameter.name, *args)


class InvalidParameterValueException(ParameterException):
    """A value that was refused."""

    def __init__(self, parameter, value, reason, *args):
        super().__init__(f'Invalid parameter value ({value}) for parameter. Reason: {reason}', parameter, *args)


class ParameterImmutableException(ParameterException):
    """A change of a read-only parameter."""

    def __init__(self, parameter, *args):
        super().__init__('Attempted to modify read-only parameter', parameter, *args)


class ParameterUninitializedException(ParameterException):
    """Read of a parameter that has a type but no value yet."""

    def __init__(self, parameter_name, *args):
        super().__init__(f"The parameter '{parameter_name}' is not initialized", parameter_name, *args)
