"""Parameters: typed values with a name."""

from __future__ import annotations

import array
from enum import Enum

from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterType, ParameterValue

PARAMETER_SEPARATOR_STRING = '.'
_FIELDS = {1: 'bool_value', 2: 'integer_value', 3: 'double_value', 4: 'string_value', 5: 'byte_array_value',
           6: 'bool_array_value', 7: 'integer_array_value', 8: 'double_array_value', 9: 'string_array_value'}


class Parameter:
    """A name, a type and a value; the type follows from the value when it is not given."""

    class Type(Enum):
        """The types a parameter can have."""

        NOT_SET = ParameterType.PARAMETER_NOT_SET
        BOOL = ParameterType.PARAMETER_BOOL
        INTEGER = ParameterType.PARAMETER_INTEGER
        DOUBLE = ParameterType.PARAMETER_DOUBLE
        STRING = ParameterType.PARAMETER_STRING
        BYTE_ARRAY = ParameterType.PARAMETER_BYTE_ARRAY
        BOOL_ARRAY = ParameterType.PARAMETER_BOOL_ARRAY
        INTEGER_ARRAY = ParameterType.PARAMETER_INTEGER_ARRAY
        DOUBLE_ARRAY = ParameterType.PARAMETER_DOUBLE_ARRAY
        STRING_ARRAY = ParameterType.PARAMETER_STRING_ARRAY

        @classmethod
        def from_parameter_value(cls, parameter_value):
            """The type of a Python value; raises TypeError when a parameter cannot hold it."""
            if parameter_value is None:
                return cls.NOT_SET
            scalar = {bool: cls.BOOL, int: cls.INTEGER, float: cls.DOUBLE, str: cls.STRING}
            for type_, result in scalar.items():
                if isinstance(parameter_value, type_):
                    return result
            if isinstance(parameter_value, (list, tuple, array.array)):
                arrays = {bytes: cls.BYTE_ARRAY, bool: cls.BOOL_ARRAY, int: cls.INTEGER_ARRAY,
                          float: cls.DOUBLE_ARRAY, str: cls.STRING_ARRAY}
                for type_, result in arrays.items():
                    if all(isinstance(item, type_) for item in parameter_value):
                        return result
            raise TypeError(f"The given value is not one of the allowed types '{parameter_value}'.")

        def check(self, parameter_value):
            """Whether a Python value is of this type."""
            if self is Parameter.Type.NOT_SET:
                return parameter_value is None
            if isinstance(parameter_value, (list, tuple, array.array)) and len(parameter_value) == 0:
                return self.value >= Parameter.Type.BYTE_ARRAY.value
            try:
                return Parameter.Type.from_parameter_value(parameter_value) is self
            except TypeError:
                return False

    def __init__(self, name, type_=None, value=None):
        if type_ is None:
            type_ = Parameter.Type.from_parameter_value(value)
        if not isinstance(type_, Parameter.Type):
            raise TypeError('type must be an instance of `Parameter.Type`')
        if not type_.check(value) and not (value is None and type_ is not Parameter.Type.NOT_SET):
            raise ValueError(f"Type '{type_}' and value '{value}' do not agree")
        self._name, self._type_, self._value = name, type_, value

    @classmethod
    def from_parameter_msg(cls, param_msg):
        """From `rcl_interfaces/msg/Parameter`."""
        return cls(param_msg.name, Parameter.Type(param_msg.value.type), parameter_value_to_python(param_msg.value))

    @property
    def name(self):
        """The name."""
        return self._name

    @property
    def type_(self):
        """The type."""
        return self._type_

    @property
    def value(self):
        """The value, None when it is not set."""
        return self._value

    def get_parameter_value(self):
        """The value as `rcl_interfaces/msg/ParameterValue`."""
        message = ParameterValue(type=self._type_.value)
        if self._type_ is not Parameter.Type.NOT_SET and self._value is not None:
            value = list(self._value) if isinstance(self._value, tuple) else self._value
            setattr(message, _FIELDS[self._type_.value], value)
        return message

    def to_parameter_msg(self):
        """As `rcl_interfaces/msg/Parameter`."""
        return ParameterMsg(name=self._name, value=self.get_parameter_value())

    def __eq__(self, other):
        return isinstance(other, Parameter) and (self._name, self._type_, self._value) == \
            (other._name, other._type_, other._value)

    def __repr__(self):
        return f"Parameter(name='{self._name}', type={self._type_}, value={self._value!r})"


def parameter_value_to_python(parameter_value):
    """The Python value in a `rcl_interfaces/msg/ParameterValue`; raises RuntimeError for an unknown type."""
    if parameter_value.type == ParameterType.PARAMETER_NOT_SET:
        return None
    if parameter_value.type not in _FIELDS:
        raise RuntimeError(f'unexpected parameter type {parameter_value.type}')
    value = getattr(parameter_value, _FIELDS[parameter_value.type])
    return value.tolist() if isinstance(value, array.array) else value
