"""Message, service and action classes with Humble's attributes, defaults, checks and assertion texts.

Numeric sequences are held as `array.array`, numeric arrays of fixed length as `numpy.ndarray`, a `byte` as `bytes` of
length one, as in Humble; so what is accepted here is accepted there.
"""

from __future__ import annotations

import array
import functools
import math
import operator
from collections import UserList, UserString
from collections.abc import Callable, Sequence, Set
from typing import Any, ClassVar

import numpy

from .interfaces import INTEGERS, PRIMITIVES, Field, definition

TYPECODES = {'int8': 'b', 'uint8': 'B', 'char': 'B', 'int16': 'h', 'uint16': 'H', 'int32': 'i', 'uint32': 'I',
             'int64': 'q', 'uint64': 'Q', 'float32': 'f', 'float64': 'd'}
DTYPES = {**{name: name for name in TYPECODES}, 'char': 'uint8', 'bool': 'bool'}
_FLOAT_MAX = {'float32': 3.402823466e+38, 'float64': 1.7976931348623157e+308}


class Message:
    """What all message classes share: keyword construction, equality, `repr` and the field table."""

    __slots__ = ()
    __hash__ = None  # pyright: ignore[reportAssignmentType]
    _typename: ClassVar[str]
    _fields_and_field_types: ClassVar[dict[str, str]]
    _constant_defaults: ClassVar[tuple[tuple[str, Callable, Any], ...]]
    _built_defaults: ClassVar[tuple[tuple[str, Callable, Callable[[], Any]], ...]]

    def __init__(self, **kwargs: Any) -> None:
        for _, store, value in self._constant_defaults:
            store(self, value)
        for name, store, make in self._built_defaults:
            if name not in kwargs:
                store(self, make())
        if kwargs:
            known = self._fields_and_field_types
            assert kwargs.keys() <= known.keys(), \
                f"Invalid arguments passed to constructor: {', '.join(sorted(kwargs.keys() - known.keys()))}"
            for name, value in kwargs.items():
                setattr(self, name, value)

    @classmethod
    def get_fields_and_field_types(cls) -> dict[str, str]:
        """Field name -> IDL type, in the order of the definition."""
        return dict(cls._fields_and_field_types)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, self.__class__):
            return False
        for slot in self.__slots__:
            mine, theirs = getattr(self, slot), getattr(other, slot)
            if not (numpy.array_equal(mine, theirs) if isinstance(mine, numpy.ndarray) else mine == theirs):
                return False
        return True

    def __repr__(self) -> str:
        shown = []
        for name in self._fields_and_field_types:
            value = getattr(self, name)
            shown.append(f'{name}={value.tolist() if isinstance(value, array.array) else value!r}')
        package, kind, name = self._typename.split('/')
        return f"{package}.{kind}.{name}({', '.join(shown)})"


@functools.cache
def message_class(typename: str) -> type[Message]:
    """The class of 'package/msg/Name'; raises InterfaceError when there is no such type."""
    spec = definition(typename)
    package, kind, name = typename.split('/')
    namespace: dict[str, Any] = {
        '__slots__': tuple('_' + field.name for field in spec.fields),
        '__module__': f'{package}.{kind}',
        '_typename': typename,
        '_fields_and_field_types': {field.name: field.text for field in spec.fields},
        **spec.constants,
    }
    cls = type(name, (Message,), namespace)
    constants, built = [], []
    for field in spec.fields:
        store = getattr(cls, '_' + field.name).__set__
        setter = _setter(field, store)
        setattr(cls, field.name, property(operator.attrgetter('_' + field.name), setter))
        make = _default(field)
        if make is None:
            constants.append((field.name, store, _scalar_default(field)))
        else:
            built.append((field.name, store, make))
    cls._constant_defaults, cls._built_defaults = tuple(constants), tuple(built)
    return cls


def _scalar_default(field: Field) -> Any:
    if field.default is not None:
        return field.default
    zeros = {'bool': False, 'byte': b'\0', 'string': '', 'float32': 0.0, 'float64': 0.0}
    return zeros.get(field.base, 0)


def _default(field: Field) -> Callable[[], Any] | None:
    """What builds the default of a field, None where the default is an immutable value."""
    values = field.default or []
    if field.kind == 'scalar':
        return None if field.base in PRIMITIVES else message_class(field.base)
    if field.kind == 'sequence':
        if field.base in TYPECODES:
            code = TYPECODES[field.base]
            return lambda: array.array(code, values)
        return lambda: list(values)
    if field.base in TYPECODES:
        template = numpy.array(values or [0] * field.size, dtype=DTYPES[field.base])
        return template.copy
    if field.base in PRIMITIVES:
        filled = values or [_scalar_default(Field('', field.base, 'scalar', 0, 0, ''))] * field.size
        return lambda: list(filled)
    cls = message_class(field.base)
    return lambda: [cls() for _ in range(field.size)]


def _element(field: Field) -> tuple[type | tuple[type, ...], str, Callable[[Any], bool], str]:
    """Python type of one element, its name, a check of its value, and what the check asks for."""
    base = field.base
    if base in INTEGERS:
        bits = INTEGERS[base]
        signed = base.startswith('int')
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2 ** bits - 1)
        word = 'an integer' if signed else 'an unsigned integer'
        return int, 'int', lambda value: low <= value <= high, f'{word} in [{low}, {high}]'
    if base in _FLOAT_MAX:
        bound = _FLOAT_MAX[base]
        word = 'a double' if base == 'float64' else 'a float'
        return (float, 'float', lambda value: not (value < -bound or value > bound) or math.isinf(value),
                f'{word} in [{-bound}, {bound}]')
    if base == 'bool':
        return bool, 'bool', lambda value: True, ''
    if base == 'byte':
        return (bytes, bytearray), 'bytes', lambda value: len(value) == 1, 'of length 1'
    if base == 'string':
        chars = field.chars
        return (str, 'str', lambda value: not chars or len(value) <= chars,
                f'string value not longer than {chars}')
    cls = message_class(base)
    return cls, cls.__name__, lambda value: True, ''


def _setter(field: Field, store: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    return _scalar_setter(field, store) if field.kind == 'scalar' else _collection_setter(field, store)


def _scalar_setter(field: Field, store: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    type_, type_name, valid, wanted = _element(field)
    wrong_type = f"The '{field.name}' field must be of type '{type_name}'" if field.base in PRIMITIVES else \
        f"The '{field.name}' field must be a sub message of type '{type_name}'"
    wrong_value = f"The '{field.name}' field must be {wanted}"

    def set_scalar(self: Any, value: Any) -> None:
        assert isinstance(value, type_), wrong_type
        assert valid(value), wrong_value
        store(self, value)

    return set_scalar


def _collection_setter(field: Field, store: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    name, size = field.name, field.size
    code, fixed = TYPECODES.get(field.base), field.kind == 'array'
    type_, type_name, valid, wanted = _element(field)
    dtype = numpy.dtype(DTYPES[field.base]) if code else None
    length = f' with length {size}' if fixed else f', with length at most {size}' if size else ''
    message = f"The '{name}' field must be a set or sequence{length} and each value of type '{type_name}'" + \
        (f' and each {wanted}' if wanted else '')

    def fits(value: Any) -> bool:
        return len(value) == size if fixed else not size or len(value) <= size

    def set_collection(self: Any, value: Any) -> None:
        if code and fixed and isinstance(value, numpy.ndarray):
            assert value.dtype == dtype, \
                f"The '{name}' numpy.ndarray() must have the dtype of 'numpy.{dtype}'"
            assert value.size == size, f"The '{name}' numpy.ndarray() must have a size of {size}"
            store(self, value)
            return
        if code and not fixed and isinstance(value, array.array):
            assert value.typecode == code, f"The '{name}' array.array() must have the type code of '{code}'"
            assert fits(value), f"The '{name}' array.array() must have a size <= {size}"
            store(self, value)
            return
        if not (code == 'B' and isinstance(value, (bytes, bytearray)) and fits(value)):
            assert (isinstance(value, (Sequence, Set, UserList)) and not isinstance(value, (str, UserString))
                    and fits(value) and all(isinstance(item, type_) for item in value)
                    and all(valid(item) for item in value)), message
        if code is None:
            store(self, value)
        elif fixed:
            store(self, numpy.array(list(value), dtype=dtype))
        else:
            store(self, array.array(code, value))

    return set_collection


class _Lazy(type):
    """Builds `Request`, `Goal`, `Impl`, ... of a service or action when first asked for."""

    _parts: dict[str, Callable[[], Any]]

    def __getattr__(cls, name: str) -> Any:
        try:
            value = cls.__dict__['_parts'][name]()
        except KeyError:
            raise AttributeError(f"'{cls.__name__}' has no attribute '{name}'") from None
        setattr(cls, name, value)
        return value


def _lazy(typename: str, parts: dict[str, str], **more: Callable[[], Any]) -> type:
    package, kind, name = typename.split('/')
    makers = {part: functools.partial(message_class, f'{package}/{kind}/{stem}') for part, stem in parts.items()}
    return _Lazy(name, (), {'__module__': f'{package}.{kind}', '_typename': typename, '_parts': {**makers, **more}})


@functools.cache
def service_class(typename: str) -> type:
    """The class of 'package/srv/Name' with `Request` and `Response` (also of an action's inner services)."""
    name = typename.split('/')[2]
    return _lazy(typename, {'Request': f'{name}_Request', 'Response': f'{name}_Response'})


@functools.cache
def action_class(typename: str) -> type:
    """The class of 'package/action/Name' with `Goal`, `Result`, `Feedback` and `Impl`."""
    name = typename.split('/')[2]

    def impl() -> type:
        return _lazy(f'{typename}_Impl', {'FeedbackMessage': f'{name}_FeedbackMessage'},
                     SendGoalService=lambda: service_class(f'{typename}_SendGoal'),
                     GetResultService=lambda: service_class(f'{typename}_GetResult'),
                     CancelGoalService=lambda: service_class('action_msgs/srv/CancelGoal'),
                     GoalStatusMessage=lambda: message_class('action_msgs/msg/GoalStatusArray'))

    return _lazy(typename, {'Goal': f'{name}_Goal', 'Result': f'{name}_Result', 'Feedback': f'{name}_Feedback'},
                 Impl=impl)
